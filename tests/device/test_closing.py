"""Whatever happens, a device is closed, and closed to the end."""

import asyncio

import numpy as np
import pytest

from mgdhw.datasets import load
from mgdhw.errors import DeviceFault, DeviceUnavailable, LinkLost, LinkTimeout
from mgdhw.experiment.load import parse_experiment
from mgdhw.training.events import Event, Faulted, Finished
from mgdhw.training.trainer import Trainer
from mgdhw_sim.device import SimDevice
from mgdhw_sim.uri import parse

CHIP = "sim:analog-8bit?layers=2-2-1"


class SlowToClose(SimDevice):
    """Takes its time to close, and can fail to open."""

    def __init__(self, fails: BaseException | None = None) -> None:
        super().__init__(CHIP, parse(CHIP))
        self.fails = fails
        self.opened, self.closing, self.may_close = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.log: list[str] = []

    async def connect(self) -> None:
        self.log.append("open")
        if self.fails is not None:
            raise self.fails
        await super().connect()
        self.opened.set()

    async def disconnect(self) -> None:
        self.log.append("close begins")
        self.closing.set()
        await self.may_close.wait()
        await super().disconnect()
        self.log.append("close ends")


@pytest.mark.parametrize("error", [DeviceUnavailable("somebody else's"), asyncio.CancelledError()])
async def test_a_device_that_failed_to_open_is_closed(error: BaseException) -> None:
    bench = SlowToClose(error)
    bench.may_close.set()
    with pytest.raises(type(error)):
        async with bench:
            pass
    assert bench.log == ["open", "close begins", "close ends"]


async def test_cancelling_while_it_closes_waits_for_the_safe_state() -> None:
    bench = SlowToClose()

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


class Stuck(SimDevice):
    """Which cannot be closed, and perhaps not be opened either."""

    def __init__(self, problem: Exception, fails: Exception | None = None) -> None:
        super().__init__(CHIP, parse(CHIP))
        self.problem, self.fails = problem, fails

    async def connect(self) -> None:
        await super().connect()
        if self.fails is not None:
            raise self.fails

    async def disconnect(self) -> None:
        raise self.problem


async def test_an_operating_systems_error_while_closing_is_the_devices_fault() -> None:
    with pytest.raises(DeviceFault, match=r"closing failed; check that the hardware is safe: .*Input/output") as caught:
        async with Stuck(OSError(5, "Input/output error")):
            pass
    assert caught.value.uri == CHIP
    assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.parametrize("problem", [LinkTimeout("no answer", uri=CHIP), ZeroDivisionError("a mistake")])
async def test_any_other_error_while_closing_is_raised_as_it_is(problem: Exception) -> None:
    with pytest.raises(type(problem)) as caught:
        async with Stuck(problem):
            pass
    assert caught.value is problem


@pytest.mark.parametrize("problem", [OSError(5, "Input/output error"), LinkTimeout("no answer", uri=CHIP)])
async def test_an_error_under_way_comes_before_that_of_closing(problem: Exception) -> None:
    under_way = LinkLost("unplugged", uri=CHIP)
    with pytest.raises(LinkLost) as caught:
        async with Stuck(problem):
            raise under_way
    assert caught.value is under_way
    note = f"{CHIP}: closing failed, too; check that the hardware is safe: {problem}"
    assert under_way.__notes__ == [note]
    not_there = DeviceUnavailable("somebody else's", uri=CHIP)
    with pytest.raises(DeviceUnavailable) as caught_too:
        async with Stuck(problem, not_there):
            pass
    assert caught_too.value is not_there
    assert not_there.__notes__ == [note]


async def test_a_cancellation_under_way_comes_before_the_error_of_closing(caplog: pytest.LogCaptureFixture) -> None:
    opened = asyncio.Event()

    async def use() -> None:
        async with Stuck(OSError(5, "Input/output error")):
            opened.set()
            await asyncio.Event().wait()

    task = asyncio.ensure_future(use())
    await opened.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert f"{CHIP}: closing failed; check that the hardware is safe: [Errno 5]" in caplog.text


async def test_what_goes_wrong_in_a_closing_that_is_cancelled_is_told(caplog: pytest.LogCaptureFixture) -> None:
    closing, go_on = asyncio.Event(), asyncio.Event()

    class Slow(Stuck):
        async def disconnect(self) -> None:
            closing.set()
            await go_on.wait()
            await super().disconnect()

    async def use() -> None:
        async with Slow(OSError(5, "Input/output error")):
            pass

    task = asyncio.ensure_future(use())
    await closing.wait()
    task.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert caplog.text.count("closing failed; check that the hardware is safe") == 1


class Unplugged(SimDevice):
    """Whose port is gone after three writes, as the operating system says it."""

    writes = 0

    async def apply(self, theta: np.ndarray, step: int) -> np.ndarray:  # type: ignore[type-arg]
        self.writes += 1
        if self.writes > 3:
            raise OSError(5, "Input/output error")
        return await super().apply(theta, step)


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
