"""Devices whose answers to blocks that perturb nodes are wrong."""

from __future__ import annotations

from dataclasses import replace

from mgdhw.block import Block, Costs, Target

from .mark import caught_by
from .sound import Sound


@caught_by("node-blocks-give-sums")
class AddsNothing(Sound):
    """Answers a block that perturbs nodes like any other: without the sums."""

    async def probe(self, block: Block) -> Costs:
        return replace(await super().probe(block), node_sums=None)


@caught_by("node-blocks-give-sums")
class ForgetsTheBaseline(Sound):
    """Makes the sums of C instead of C̃: they are off by the baseline."""

    async def probe(self, block: Block) -> Costs:
        costs = await super().probe(block)
        if block.codes.target is Target.WEIGHTS or costs.node_sums is None:
            return costs
        return replace(costs, node_sums=costs.node_sums + int(costs.reference[0]))
