"""The reference engine: the readable chip, and the host's own loop around it."""

from __future__ import annotations

from mgdhw.block import Block, Costs
from mgdhw.learning.segment import Segment, SegmentResult
from mgdhw_sim.engines import stepped
from mgdhw_sim.engines.base import Engine
from mgdhw_sim.reference.chip import Chip


class Reference(Engine):
    """The definition. It runs everything."""

    name = "reference"

    def unsupported_reason(self, chip: Chip, work: Block | Segment) -> str | None:
        return None

    def probe(self, chip: Chip, block: Block) -> Costs:
        return chip.probe(block)

    def learn(self, chip: Chip, segment: Segment) -> SegmentResult:
        return stepped.learn(chip, segment, Chip.probe)
