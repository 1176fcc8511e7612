"""Segments whose blocks an engine measures, and whose updates Python makes: any recipe, on any engine."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from mgdhw.block import Block, Costs
from mgdhw.codes import Codes
from mgdhw.learning.loop import accumulate_costs, next_block, probes_to_update, requested_theta, update
from mgdhw.learning.segment import Segment, SegmentResult
from mgdhw_sim.reference.chip import Chip

_turn = threading.Lock()
"""Python runs one thread at a time. Threads that take turns at every function of numpy wait for each other most of the
time; so they take turns at whole updates."""


def learn(chip: Chip, segment: Segment, probe: Callable[[Chip, Block], Costs]) -> SegmentResult:
    """The host's own loop around an engine's `probe`."""
    state, recipe = segment.state, segment.recipe
    codes = Codes(recipe.codes, chip.topology)
    end = state.step + segment.n_probes
    total, last = 0, None
    chip.begin_segment(state.cells, requested_theta(state, recipe), state.step)
    while state.step < end:
        costs = probe(chip, next_block(state, recipe, min(end - state.step, probes_to_update(state, recipe))))
        with _turn:
            total += int(costs.perturbed.sum())
            state = accumulate_costs(state, costs, recipe, codes)
            if state.step % recipe.update_period == 0:
                state, last = update(state, recipe, codes)
                chip.write(requested_theta(state, recipe), state.step)
    state = replace(state, cells=chip.cell_state())
    return SegmentResult(state, total / segment.n_probes, last)
