"""Short trainings through `mgdhw.train`, and a device that goes wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mgdhw
from mgdhw.block import Part
from mgdhw.errors import LinkTimeout
from mgdhw.testing.function_device import FunctionDevice
from mgdhw.training.events import BlockDone, Event
from tests.helpers.experiments import xor_experiment

XOR = xor_experiment(2000, run={"checkpoint_seconds": 0.05, "block": 10})


def stop_at(session: mgdhw.TrainingHandle, step: int) -> Any:
    """A listener that asks for a clean end at a step."""

    def listen(event: Event) -> None:
        if isinstance(event, BlockDone) and event.step >= step:
            session.stop()

    return listen


def stopped_run(runs: Path, experiment: dict[str, Any] = XOR, step: int = 700) -> mgdhw.Result:
    session = mgdhw.TrainingHandle()
    return mgdhw.train(experiment, runs=runs, session=session, listeners=[stop_at(session, step)])


class FaultyDevice(FunctionDevice):
    """Thirteen knobs and a meter; now and then something goes wrong."""

    def __init__(self, *, fail_at: int = -1, nan_at: int = -1) -> None:
        super().__init__(lambda theta: float(np.square(theta - 0.3).sum()), 13, uri="bench:test", low=-4.0, high=4.0)
        self.closed = 0
        self._fail_at, self._nan_at = fail_at, nan_at

    async def disconnect(self) -> None:
        self.closed += 1

    async def measure(self, samples: NDArray[np.int64], step: int, part: Part) -> int | float:
        if step == self._nan_at:
            return float("nan")
        if step == self._fail_at:
            self._fail_at = -1
            raise LinkTimeout("no answer in 1 s", uri=self.uri)
        return await super().measure(samples, step, part)


READ_INIT: dict[str, Any] = {**XOR, "training": {"probes": 1000, "tau_theta": 30, "init": "read"}}
