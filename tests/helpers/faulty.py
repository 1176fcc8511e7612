"""Simulated chips whose link loses requests, or that answer nonsense."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from mgdhw.arrays import FloatArray, IntArray
from mgdhw.block import Block, Costs, Part
from mgdhw.datasets import Dataset
from mgdhw.errors import LinkCorrupt, LinkLost, LinkTimeout
from mgdhw.learning.segment import Segment, SegmentResult
from mgdhw_sim.device import SimDevice
from mgdhw_sim.uri import parse
from tests.helpers.chips import WIDE_CHIP


class Flaky(SimDevice):
    """Loses requests: those whose number is among `lost`, counting all calls of `calls`.

    Args:
        calls: names of methods, and of `write`.
        lost: numbers of calls that fail, from 0.
        late: the request is carried out, and only its answer is lost.
        error: which error the host gets.
    """

    def __init__(
        self,
        calls: str,
        lost: Sequence[int],
        *,
        late: bool = False,
        error: type[LinkTimeout | LinkLost | LinkCorrupt] = LinkTimeout,
    ) -> None:
        super().__init__(WIDE_CHIP, parse(WIDE_CHIP))
        self.calls, self.lost, self.late, self.error = calls.split(), lost, late, error
        self.number = 0

    @contextmanager
    def _losing(self, call: str) -> Iterator[None]:
        number = self.number
        fails = call in self.calls and number in self.lost
        self.number += call in self.calls
        if fails and not self.late:
            raise self.error("no answer in 0.1 s", uri=self.uri)
        yield
        if fails:
            raise self.error("no answer in 0.1 s", uri=self.uri)

    async def load(self, dataset: Dataset) -> None:
        with self._losing("load"):
            await super().load(dataset)

    async def apply(self, theta: FloatArray, step: int) -> FloatArray:
        with self._losing("write"):
            return await super().apply(theta, step)

    async def read(self) -> FloatArray:
        with self._losing("read"):
            return await super().read()

    async def infer(self, samples: IntArray, step: int = 0) -> FloatArray:
        with self._losing("infer"):
            return await super().infer(samples, step)

    async def measure(self, samples: IntArray, step: int, part: Part) -> int:
        with self._losing("measure"):
            return await super().measure(samples, step, part)

    async def probe(self, block: Block) -> Costs:
        with self._losing("probe"):
            return await super().probe(block)

    async def learn(self, segment: Segment) -> SegmentResult:
        with self._losing("learn"):
            return await super().learn(segment)

    async def learn_many(self, segments: Sequence[Segment]) -> list[SegmentResult]:
        with self._losing("learn_many"):
            return await super().learn_many(segments)


class Wrong(SimDevice):
    """Answers probes 12 and 13, its third block, or any round of replicas, with what no device may answer.

    Args:
        what: "nan", "inf" or "-inf" as costs; "short" or "short reference", too few of them; of replicas "short", one
            answer too few, or "stale", the first segment's state as it was before.
    """

    def __init__(self, what: str) -> None:
        super().__init__(WIDE_CHIP, parse(WIDE_CHIP))
        self.what, self.blocks = what, 0

    async def probe(self, block: Block) -> Costs:
        costs = await super().probe(block)
        self.blocks += 1
        if self.what.endswith(("nan", "inf")):
            perturbed = costs.perturbed.astype(np.float64)
            steps = np.arange(block.first_step, block.first_step + block.n_probes)
            perturbed[(steps == 12) | (steps == 13)] = float(self.what)
            return replace(costs, perturbed=perturbed)
        if self.blocks != 3:
            return costs
        if self.what == "short":
            return replace(costs, perturbed=costs.perturbed[:-1])
        if self.what == "short reference":
            return replace(costs, reference=costs.reference[:-1])
        raise AssertionError(self.what)

    async def learn_many(self, segments: Sequence[Segment]) -> list[SegmentResult]:
        results = await super().learn_many(segments)
        return results[:-1] if self.what == "short" else [SegmentResult(segments[0].state, 0.0, None), *results[1:]]
