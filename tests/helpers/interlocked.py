"""A device that notes what it does, and prepared answers of an interlock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

import mgdhw
from mgdhw.arrays import FloatArray
from mgdhw.device import Motion
from mgdhw.testing.function_device import FunctionDevice
from mgdhw.training.events import Event, InterlockClosed, InterlockOpened

EXPERIMENT: dict[str, Any] = {
    "data": {"name": "xor"},
    "training": {"probes": 120, "tau_theta": 5, "init": "uniform"},
    "codes": {"delta": 0.05},
    "evaluation": {"every": 20},
    "run": {"block": 5},
}
SAFE = 0.5


class Bowl(FunctionDevice):
    """Notes each measurement ("probe", "infer") and write: of the safe state ("safe"), or anything else ("move")."""

    def __init__(self, motion: Motion | None = None) -> None:
        super().__init__(lambda theta: float(np.square(theta - 0.2).sum()), 3, uri="bowl:1", lsb=0.01)
        self.info = replace(self.info, motion=motion or Motion(0.2, safe=SAFE))
        self.did: list[str] = []
        self.largest = 0.0

    async def apply(self, theta: FloatArray, step: int) -> FloatArray:
        self.largest = max(self.largest, float(np.abs(theta - self.theta).max()))
        self.did.append("safe" if (theta == SAFE).all() else "move")
        return await super().apply(theta, step)

    async def infer(self, *arguments: Any) -> FloatArray:
        self.did.append("infer")
        return await super().infer(*arguments)

    async def measure(self, *arguments: Any) -> float:
        self.did.append("probe")
        return await super().measure(*arguments)


class Answers:
    """A condition with prepared answers, then True; notes what the device had done each time it was asked."""

    def __init__(self, answers: Iterable[Any], device: Bowl | None = None) -> None:
        self.answers = iter(answers)
        self.device = device
        self.asked: list[int] = []

    def __call__(self) -> Any:
        if self.device is not None:
            self.asked.append(len(self.device.did))
        answer = next(self.answers, True)
        if isinstance(answer, Exception):
            raise answer
        return answer


def after(closed: int, *answers: Any) -> list[Any]:
    return [True] * closed + list(answers)


def train(device: Any, *interlocks: Any, **options: Any) -> tuple[mgdhw.Result, list[Event]]:
    heard: list[Event] = []
    options = {"runs": None, "listeners": [heard.append], **options}
    return mgdhw.train(EXPERIMENT, device=device, interlocks=interlocks, **options), heard


def changes(heard: list[Event]) -> list[Event]:
    return [event for event in heard if isinstance(event, InterlockOpened | InterlockClosed)]
