"""What the host's own work costs: the trainer's loop without the device, and a whole `mgdhw train`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import mgdhw
from mgdhw.experiment.load import check_experiment, parse_experiment
from mgdhw.experiment.resolve import default_experiment
from mgdhw.training.events import Evaluated, Event, Finished, Started, Updated
from mgdhw.training.trainer import Trainer

Answer = TypeVar("Answer")

URI = "sim:analog-8bit?layers=64-32-10&engine=numba"
PROBES = 100
"""In a block, and between updates."""
ACCURATE = 0.94


class Clock:
    """Adds up the time of the calls that it is wrapped around."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def around(self, call: Callable[..., Awaitable[Answer]]) -> Callable[..., Awaitable[Answer]]:
        """The same call, timed."""

        async def timed(*arguments: object) -> Answer:
            began = time.perf_counter()
            try:
                return await call(*arguments)
            finally:
                self.seconds += time.perf_counter() - began

        return timed


def overhead(blocks: int) -> float:
    """Seconds per block (a block, a gradient, an Adam step, a write) less those of the device's probe and write."""
    return asyncio.run(_overhead(blocks))


async def _overhead(blocks: int) -> float:
    experiment = check_experiment(
        {
            "device": {"uri": URI},
            "training": {"probes": PROBES * blocks, "tau_theta": PROBES},
            "optimizer": {"name": "adam"},
            "evaluation": {"every": PROBES * blocks},
            "run": {"level": "device-codes", "block": PROBES, "checkpoint_seconds": 3600.0},
        },
        source="benchmark",
    )
    clock = Clock()
    marks: list[float] = []  # the host's time so far, at each update
    async with mgdhw.open_device(URI) as device:
        device.probe, device.write = clock.around(device.probe), clock.around(device.write)
        async for event in Trainer(experiment, device, mgdhw.load_dataset("digits")):
            if isinstance(event, Updated):
                marks.append(time.perf_counter() - clock.seconds)
    return (marks[-1] - marks[0]) / (len(marks) - 1)


@dataclass(frozen=True)
class Digits:
    """Seconds of a training of the digits: until it was accurate (None: never), and in all."""

    accurate: float | None
    total: float


def digits(engine: str, probes: int | None = None) -> Digits:
    """What `mgdhw train` does, with an engine, and keeping nothing; for so many probes, or all.

    The clock runs from the open device to the last evaluation. Accuracy is known when an evaluation says so: at every
    twentieth of the run.
    """
    overrides = () if probes is None else (f"training.probes={probes}",)
    uri = parse_experiment(default_experiment(), source="digits").device.uri
    times: dict[type[Event], float] = {}
    accurate: list[float] = []

    def listen(event: Event) -> None:
        now = times[type(event)] = time.perf_counter()
        if isinstance(event, Evaluated) and event.accuracy >= ACCURATE:
            accurate.append(now)

    mgdhw.train(device=f"{uri}&engine={engine}", runs=None, overrides=overrides, listeners=[listen])
    began = times[Started]
    return Digits(accurate[0] - began if accurate else None, times[Finished] - began)
