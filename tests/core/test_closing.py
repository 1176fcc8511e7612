"""Whatever happens, a device is closed, and closed to the end."""

import asyncio

import numpy as np
import pytest

from mgdhw.config import parse_experiment
from mgdhw.datasets import load
from mgdhw.errors import DeviceUnavailable, LinkLost
from mgdhw.events import Event, Faulted, Finished
from mgdhw.trainer import Trainer
from mgdhw_sim.address import parse
from mgdhw_sim.device import SimDevice

CHIP = "sim:analog-8bit?layers=2-2-1"


class Bench(SimDevice):
    """Takes its time to close, and can fail to open."""

    def __init__(self, fails: BaseException | None = None) -> None:
        super().__init__(CHIP, parse(CHIP))
        self.fails = fails
        self.opened, self.closing, self.may_close = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.log: list[str] = []

    async def open(self) -> None:
        self.log.append("open")
        if self.fails is not None:
            raise self.fails
        await super().open()
        self.opened.set()

    async def close(self) -> None:
        self.log.append("close begins")
        self.closing.set()
        await self.may_close.wait()
        await super().close()
        self.log.append("close ends")


@pytest.mark.parametrize("error", [DeviceUnavailable("somebody else's"), asyncio.CancelledError()])
async def test_a_device_that_failed_to_open_is_closed(error: BaseException) -> None:
    bench = Bench(error)
    bench.may_close.set()
    with pytest.raises(type(error)):
        async with bench:
            pass
    assert bench.log == ["open", "close begins", "close ends"]


async def test_cancelling_while_it_closes_waits_for_the_safe_state() -> None:
    bench = Bench()

    async def use() -> None:
        async with bench:
            await asyncio.Event().wait()

    task = asyncio.ensure_future(use())
    await bench.opened.wait()
    for _ in range(3):
        task.cancel()
        await bench.closing.wait()
        assert not task.done()
    bench.may_close.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bench.log == ["open", "close begins", "close ends"]


class Unplugged(SimDevice):
    """Whose port is gone after three writes, as the operating system says it."""

    writes = 0

    async def write(self, theta: np.ndarray, step: int = 0) -> np.ndarray:  # type: ignore[type-arg]
        self.writes += 1
        if self.writes > 3:
            raise OSError(5, "Input/output error")
        return await super().write(theta, step)


async def test_an_operating_systems_error_is_a_lost_link_and_every_attempt_is_told() -> None:
    overrides = ("training.probes=500", "training.tau_theta=10", "run.level=device-codes", "run.retries=2")
    experiment = parse_experiment("", source="test", overrides=overrides)
    events: list[Event] = []

    async def train() -> None:
        async with Unplugged(CHIP, parse(CHIP)) as device:
            async for event in Trainer(experiment, device, load("xor")):
                events.append(event)

    with pytest.raises(LinkLost, match=r"^sim:.*Input/output error"):
        await train()
    assert [event.attempt for event in events if isinstance(event, Faulted)] == [1, 2]
    assert not [event for event in events if isinstance(event, Finished)]
