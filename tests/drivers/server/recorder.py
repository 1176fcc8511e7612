"""A driver that records what it was told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.block import Part
from mgdhw.device import Capability
from mgdhw.testing.function_device import FunctionDevice


class Recorder(FunctionDevice):
    """A driver like anybody's, which records what it was told, and goes wrong where it is asked to."""

    def __init__(self) -> None:
        super().__init__(lambda theta: 0.5, 2, uri="recorder:", low=-1.0, high=1.0, lsb=0.125)
        self.info = replace(self.info, capabilities=Capability.MEASURE)
        self.told: list[str] = []
        self.wrong: dict[str, Callable[[], Awaitable[None]]] = {}
        self.energised = False
        self.moves: list[NDArray[np.float64]] = [self.theta]
        """Where the parameters have been, one write after the other."""

    async def _tell(self, what: str) -> None:
        self.told.append(what)
        if what in self.wrong:
            await self.wrong[what]()

    async def connect(self) -> None:
        await self._tell("open")
        self.energised = True

    async def disconnect(self) -> None:
        await self._tell("close")
        self.energised = False

    def largest_step(self) -> float:
        """Furthest that a parameter was moved at once."""
        return max(float(np.abs(b - a).max()) for a, b in pairwise(self.moves))

    async def load(self, dataset: Any) -> None:
        await self._tell("load")

    async def apply(self, theta: NDArray[np.float64], step: int) -> NDArray[np.float64]:
        await self._tell("write")
        actual = await super().apply(theta, step)
        self.moves.append(actual)
        return actual

    async def infer(self, samples: NDArray[np.int64], step: int = 0) -> NDArray[np.float64]:
        await self._tell("infer")
        return np.zeros((samples.size, 1))

    async def measure(self, samples: NDArray[np.int64], step: int, part: Part) -> float:
        await self._tell("measure")
        return await super().measure(samples, step, part)
