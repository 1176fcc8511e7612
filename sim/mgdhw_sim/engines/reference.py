"""The reference engine: the readable chip, and the host's own loop around it."""

from __future__ import annotations

from dataclasses import replace

from mgdhw.block import Block, Costs
from mgdhw.codes import Codes
from mgdhw.loop import absorb, block_at, to_update, to_write, update
from mgdhw.segment import Segment, SegmentResult
from mgdhw_sim.chip import Chip
from mgdhw_sim.engines.engine import Engine


class Reference(Engine):
    """The definition. It runs everything."""

    name = "reference"

    def declines(self, chip: Chip, work: Block | Segment) -> str | None:
        return None

    def probe(self, chip: Chip, block: Block) -> Costs:
        return chip.probe(block)

    def learn(self, chip: Chip, segment: Segment) -> SegmentResult:
        state, recipe = segment.state, segment.recipe
        codes = Codes(recipe.codes, chip.topology)
        end = state.step + segment.n_probes
        total, last = 0, None
        chip.take(state.cells, to_write(state, recipe), state.step)
        while state.step < end:
            costs = chip.probe(block_at(state, recipe, min(end - state.step, to_update(state, recipe))))
            total += int(costs.perturbed.sum())
            state = absorb(state, costs, recipe, codes)
            if state.step % recipe.update_period == 0:
                state, last = update(state, recipe, codes)
                chip.write(to_write(state, recipe), state.step)
        state = replace(state, cells=chip.remembered())
        return SegmentResult(state, total / segment.n_probes, last)
