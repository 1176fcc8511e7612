"""The contract, clause by clause: one documented async function each, which takes the opener of the device."""

from __future__ import annotations

from mgdhw.testing.check import Check
from mgdhw.testing.clauses import data, leaks, learning, levels, lifecycle, limits, motion, nodes, parameters, probing

CHECKS: tuple[Check, ...] = tuple(
    Check.of(body)
    for body in (
        parameters.info_is_complete,
        parameters.write_answers_what_is_held,
        parameters.write_is_absolute,
        parameters.write_is_idempotent,
        parameters.write_is_done_when_it_answers,
        parameters.memory_can_be_restored,
        limits.parameters_beyond_their_limits_are_refused,
        limits.parameters_at_their_limits_are_taken,
        limits.parameters_of_other_shapes_are_refused,
        limits.perturbations_beyond_the_limits_are_refused,
        limits.segments_beyond_the_limits_are_refused,
        limits.data_of_other_sizes_are_refused,
        limits.errors_name_the_device,
        motion.parameters_move_no_faster_than_declared,
        motion.the_safe_state_is_reached_and_read,
        motion.perturbations_that_are_moves_too_far_are_refused,
        data.samples_are_called_by_index,
        data.data_can_be_replaced,
        data.infer_disturbs_nothing,
        probing.every_probe_is_answered,
        probing.probe_has_no_side_effects,
        probing.steps_come_in_any_order,
        probing.held_baseline_is_carried,
        probing.cuts_change_nothing,
        nodes.node_blocks_give_sums,
        levels.levels_agree,
        levels.late_steps_agree,
        levels.levels_agree_up_to_rounding,
        levels.levels_agree_statistically,
        learning.learning_alone_is_learning_with_the_host,
        learning.learning_alone_agrees_statistically,
        learning.segments_can_be_cut,
        learning.segments_can_be_repeated,
        learning.segments_end_with_their_theta_held,
        learning.replicas_learn_as_one_does,
        learning.learning_is_refused_where_it_cannot_be,
        lifecycle.closing_is_allowed_in_any_state,
        lifecycle.devices_can_be_reopened,
        lifecycle.closed_devices_refuse,
        lifecycle.errors_end_in_a_closed_device,
        lifecycle.cancelled_blocks_leave_theta,
        lifecycle.cancelled_segments_leave_a_usable_device,
        lifecycle.cancelled_requests_leave_a_usable_device,
        lifecycle.cancelled_closing_closes,
        leaks.no_descriptor_is_left_open,
        leaks.no_task_is_left_running,
        leaks.no_thread_is_left_running,
    )
)
"""Ordered so that the first failure is the most informative one."""
