"""Segments whose blocks an engine measures, and whose updates Python makes: any learning rule, on any engine."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from mgdhw.block import Block, Costs
from mgdhw.codes import Codes
from mgdhw.learning.segment import Segment, SegmentResult
from mgdhw.learning.step import accumulate_costs, next_block, probes_to_update, requested_theta, update
from mgdhw_sim.reference.chip import Chip

_turn = threading.Lock()
"""Python runs one thread at a time. Threads that take turns at every function of numpy wait for each other most of the
time; so they take turns at whole updates."""


def learn(chip: Chip, segment: Segment, probe: Callable[[Chip, Block], Costs]) -> SegmentResult:
    """The host's own loop around an engine's `probe`."""
    state, rule = segment.state, segment.rule
    codes = Codes(rule.codes, chip.topology)
    end = state.step + segment.n_probes
    total, last = 0, None
    chip.begin_segment(state.cells, requested_theta(state, rule), state.step)
    while state.step < end:
        costs = probe(chip, next_block(state, rule, min(end - state.step, probes_to_update(state, rule))))
        with _turn:
            total += int(costs.perturbed.sum())
            state = accumulate_costs(state, costs, rule, codes)
            if state.step % rule.update_period == 0:
                state, last = update(state, rule, codes)
                chip.write(requested_theta(state, rule), state.step)
    state = replace(state, cells=chip.cell_state())
    return SegmentResult(state, total / segment.n_probes, last)
