"""What an engine is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from mgdhw.arrays import IntArray
from mgdhw.block import Block, Costs
from mgdhw.learning.segment import Segment, SegmentResult
from mgdhw_sim.reference.chip import Chip


class Engine(ABC):
    """Runs blocks and segments on a chip. Equal to the reference bit for bit, or it says why it can't."""

    name: str

    @abstractmethod
    def unsupported_reason(self, chip: Chip, work: Block | Segment) -> str | None:
        """Why it can't run this, or None if it can."""

    @abstractmethod
    def probe(self, chip: Chip, block: Block) -> Costs:
        """`Chip.probe`."""

    @abstractmethod
    def learn(self, chip: Chip, segment: Segment) -> SegmentResult:
        """The whole loop: probes, updates and writes. Leaves the chip at the segment's last θ."""

    def infer(self, chip: Chip, samples: IntArray, step: int) -> IntArray:
        """`Chip.infer`."""
        return chip.infer(samples, step)

    def learn_many(self, chip: Chip, segments: Sequence[Segment]) -> list[SegmentResult]:
        """`learn` for each of many segments, side by side where the engine can.

        What the chip holds afterwards is not defined.
        """
        return [self.learn(chip, segment) for segment in segments]
