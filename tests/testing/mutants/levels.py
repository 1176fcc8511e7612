"""Devices whose own codes are not those of the host."""

from __future__ import annotations

from dataclasses import replace

from mgdhw.block import Block, Costs

from .mark import NODES, caught_by
from .sound import Noisy, Repeatable, Sound


@caught_by("levels-agree", *NODES)
class OtherSparseCodes(Sound):
    """Draws sparse codes with another seed than the host."""

    async def probe(self, block: Block) -> Costs:
        if block.codes.family == "sparse":
            block = replace(block, codes=replace(block.codes, seed=block.codes.seed ^ 1))
        return await super().probe(block)


@caught_by("late-steps-agree")
class ShortSteps(Sound):
    """Counts steps in 32 bits."""

    async def probe(self, block: Block) -> Costs:
        return await super().probe(replace(block, first_step=block.first_step % (1 << 32)))


@caught_by("levels-agree-up-to-rounding", *NODES)
class OtherRoundedCodes(Repeatable):
    """Draws its own codes with another seed than the host."""

    async def probe(self, block: Block) -> Costs:
        return await super().probe(replace(block, codes=replace(block.codes, seed=block.codes.seed ^ 1)))


@caught_by("levels-agree-statistically")
class Biased(Noisy):
    """Its own codes cost two thirds of the noise more than the host's."""

    async def probe(self, block: Block) -> Costs:
        costs = await super().probe(block)
        return replace(costs, perturbed=costs.perturbed + 6)


@caught_by("levels-agree-statistically")
class OtherNoisyCodes(Noisy):
    """Draws its own codes with another seed than the host."""

    async def probe(self, block: Block) -> Costs:
        return await super().probe(replace(block, codes=replace(block.codes, seed=block.codes.seed ^ 1)))
