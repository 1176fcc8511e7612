"""Devices that keep every clause, from which the mutants are derived."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import ClassVar

import numpy as np

from mgdhw.arrays import IntArray
from mgdhw.block import Block, Costs, Part
from mgdhw.device import Capability, Motion
from mgdhw.errors import DeviceUnavailable
from mgdhw.learning.segment import Segment, SegmentResult
from mgdhw.random.philox import Stream, words
from mgdhw.testing.training_cases import train_from_host
from mgdhw_sim.device import SimDevice
from mgdhw_sim.uri import parse

CHIP = "sim:analog-8bit?layers=3-2-2&engine=reference"


class Sound(SimDevice):
    """Breaks nothing. It has both levels of codes, and doesn't learn."""

    def __init__(self, uri: str = CHIP) -> None:
        super().__init__(uri, parse(uri))
        self.info = replace(self.info, capabilities=self.info.capabilities & ~Capability.LEARN)

    async def learn(self, segment: Segment) -> SegmentResult:
        raise DeviceUnavailable("it cannot learn on its own", uri=self.uri)


class Learner(SimDevice):
    """Breaks nothing, and learns by itself."""

    def __init__(self) -> None:
        super().__init__(CHIP, parse(CHIP))


class Slow(Sound):
    """Works in turns of the event loop, and puts θ back if it is cancelled between them."""

    async def probe(self, block: Block) -> Costs:
        before = self.chip.codes
        try:
            for _ in range(4):
                self.chip.codes = before + np.int16(1)
                await asyncio.sleep(0)
        finally:
            self.chip.codes = before
        return await super().probe(block)


class Moving(Sound):
    """Breaks nothing, and moves slowly: its safe state is where it begins."""

    safe: ClassVar[float] = 0.0

    def __init__(self) -> None:
        super().__init__()
        lsb = float(self.info.theta_lsb)
        self.info = replace(self.info, motion=Motion(8 * lsb, 0.0005, self.safe))


class Noisy(Sound):
    """Adds noise to each cost, the same at both levels: not deterministic, and says so. Breaks nothing."""

    count = 0

    def __init__(self) -> None:
        super().__init__()
        can = self.info.capabilities & ~(Capability.DETERMINISTIC | Capability.NODE_SUMS)
        self.info = replace(self.info, capabilities=can)

    async def measure(self, samples: IntArray, step: int, part: Part) -> int:
        return await super().measure(samples, step, part) + self.noise()

    async def probe(self, block: Block) -> Costs:
        return await self.probe_with_host_codes(block)

    def noise(self) -> int:
        """-16 ... 15, never the same again."""
        self.count += 1
        return int(words(1, Stream.DATA, [self.count], 1)[0, 0] >> np.uint32(27)) - 16


class Repeatable(Sound):
    """Says that its levels agree up to rounding only. Breaks nothing."""

    def __init__(self) -> None:
        super().__init__()
        can = self.info.capabilities & ~Capability.DETERMINISTIC | Capability.REPEATABLE
        self.info = replace(self.info, capabilities=can)


class NoisyLearner(Noisy):
    """Learns by itself, with noise. Breaks nothing."""

    eta = 1.0
    """Factor on the learning rate."""

    def __init__(self) -> None:
        super().__init__()
        self.info = replace(self.info, capabilities=self.info.capabilities | Capability.LEARN)

    async def learn(self, segment: Segment) -> SegmentResult:
        self.check_limits(segment.state.theta)
        rule = replace(segment.rule, eta=self.eta * segment.rule.eta)
        return await train_from_host(self, self.probe, replace(segment, rule=rule))


SOUND = (Sound, Repeatable, Learner, Slow, Moving, Noisy, NoisyLearner)
