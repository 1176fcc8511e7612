"""A driver that records what it was told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.block import Part
from mgdhw.device import Capability, DeviceInfo, HostCodes
from mgdhw.topology import Topology


class Recorder(HostCodes):
    """A driver like anybody's, which records what it was told, and goes wrong where it is asked to."""

    def __init__(self) -> None:
        super().__init__("recorder:")
        self.told: list[str] = []
        self.wrong: dict[str, Callable[[], Awaitable[None]]] = {}
        self.energised = False
        self.theta = np.zeros(2)
        self.moves: list[NDArray[np.float64]] = [self.theta]
        """Where the parameters have been, one write after the other."""
        self.info = DeviceInfo(
            model="two voltages", identity="1", topology=Topology(2), theta_min=-1.0, theta_max=1.0, theta_lsb=0.125,
            n_inputs=2, n_outputs=1, cost_kind="mse", cost_lsb=1.0, capabilities=Capability.MEASURE,
        )  # fmt: skip

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
        self.theta = theta.copy()
        self.moves.append(self.theta)
        return theta

    async def read(self) -> NDArray[np.float64]:
        return self.theta.copy()

    async def infer(self, samples: NDArray[np.int64], step: int = 0) -> NDArray[np.float64]:
        await self._tell("infer")
        return np.zeros((samples.size, 1))

    async def measure(self, samples: NDArray[np.int64], step: int, part: Part) -> float:
        await self._tell("measure")
        return 0.5 * samples.size
