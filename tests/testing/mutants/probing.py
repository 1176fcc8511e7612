"""Devices whose probes have side effects, or carry baselines wrongly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mgdhw.block import Block, Costs, HeldBaseline

from .mark import CUTS, HELD, LEVELS, NODES, REPEATED, caught_by
from .sound import Sound


@caught_by("probe-has-no-side-effects", *REPEATED, *CUTS, *NODES)
class Drifts(Sound):
    """A block leaves the last parameter one step up."""

    async def probe(self, block: Block) -> Costs:
        costs = await super().probe(block)
        self.chip.codes = self.chip.codes + np.eye(1, self.chip.codes.size, dtype=np.int16)[0]
        return costs


@caught_by("steps-come-in-any-order", *REPEATED, *LEVELS, *CUTS, *NODES)
class CountsCalls(Sound):
    """Noise that depends on the call: the n-th block is n higher."""

    calls = 0

    async def probe(self, block: Block) -> Costs:
        self.calls += 1
        costs = await super().probe(block)
        return replace(costs, perturbed=costs.perturbed + self.calls)


@caught_by("every-probe-is-answered", *LEVELS, *HELD, *NODES)
class Miscounts(Sound):
    """Doesn't count baselines."""

    async def probe(self, block: Block) -> Costs:
        return replace(await super().probe(block), evaluations=block.n_probes)


@caught_by("held-baseline-is-carried", *CUTS)
class MeasuresAgain(Sound):
    """Measures a baseline that it was given."""

    async def probe(self, block: Block) -> Costs:
        fresh = await super().probe(replace(block, held=None))
        return replace(fresh, evaluations=block.evaluations())


@caught_by("held-baseline-is-carried", *LEVELS, *CUTS, *NODES)
class HoldsOn(Sound):
    """Uses a baseline for one probe of the next batch."""

    async def probe(self, block: Block) -> Costs:
        costs = await super().probe(block)
        reference = costs.reference.copy()
        for step in block.baseline_steps()[1:] if block.held is None else block.baseline_steps():
            j = step - block.first_step
            if block.baseline == "held" and j > 0:
                reference[j] = reference[j - 1]
        return replace(costs, reference=reference)


@caught_by("every-probe-is-answered", *LEVELS, *CUTS, *HELD)
class WrongHeldStep(Sound):
    """Says of a baseline that it was measured a step later."""

    async def probe(self, block: Block) -> Costs:
        costs = await super().probe(block)
        held = costs.held and HeldBaseline(costs.held.value, costs.held.step + 1)
        return replace(costs, held=held)
