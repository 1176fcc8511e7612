"""An instrument that goes away comes back into the same training, to the same bits."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mgdhw.arrays import FloatArray
from mgdhw.block import Part
from mgdhw.datasets import load
from mgdhw.device import Capability, DeviceInfo, HostCodes, Motion
from mgdhw.device.recovery import back_off
from mgdhw.errors import DeviceFault, DeviceUnavailable, LinkLost, LinkTimeout
from mgdhw.experiment.load import parse_experiment
from mgdhw.topology import Topology
from mgdhw.training.events import Event, Faulted, Finished
from mgdhw.training.trainer import Trainer
from mgdhw_sim.device import SimDevice
from mgdhw_sim.uri import parse


class Vanishing(HostCodes):
    """Four knobs behind a cable that is pulled in the middle of a measurement.

    Args:
        away: seconds until it is plugged in again.
        at: measurements after which it is pulled.
        back_as: the serial number of what comes back.
    """

    def __init__(self, away: float, at: int = 30, back_as: str = "7", motion: Motion | None = None) -> None:
        super().__init__("vanishing:1")
        self.away, self.at, self.back_as, self.declared = away, at, back_as, motion
        self.serial, self.back = "7", 0.0
        self.connected = False
        self.knobs = np.zeros(4)
        self.measured = 0
        self.attempts: list[float] = []
        self.largest = 0.0

    async def connect(self) -> None:
        self.attempts.append(time.monotonic())
        if time.monotonic() < self.back:
            raise DeviceUnavailable("no such port", uri=self.uri)
        self.connected = True
        self.info = DeviceInfo(
            "knobs", self.serial, Topology(4), -1.0, 1.0, 2.0**-10, 2, 1, "mse", 1.0, Capability.MEASURE,
            motion=self.declared,
        )  # fmt: skip

    async def disconnect(self) -> None:
        if not self.connected:
            raise OSError(5, "Input/output error")
        self.connected = False

    async def apply(self, theta: FloatArray, step: int) -> FloatArray:
        self._use()
        self.largest = max(self.largest, float(np.abs(theta - self.knobs).max()))
        self.knobs = np.rint(theta * 2**10) / 2**10
        return self.knobs.copy()

    async def read(self) -> FloatArray:
        self._use()
        return self.knobs.copy()

    async def infer(self, samples: Any, step: int = 0) -> FloatArray:
        self._use()
        return np.tanh(self.dataset.values(samples) @ self.knobs[:2] + self.knobs[2])[:, None]

    async def measure(self, samples: Any, step: int, part: Part) -> float:
        self.measured += 1
        if self.measured == self.at:
            self.connected, self.serial, self.back = False, self.back_as, time.monotonic() + self.away
            self.knobs = np.zeros(4)  # without its supply
        return float(np.square(await self.infer(samples, step) - self.dataset.targets[samples]).sum())

    def _use(self) -> None:
        if not self.connected:
            raise OSError(5, "Input/output error")


EXPERIMENT = parse_experiment(
    "[training]\nprobes = 60\ntau_theta = 5\nbatch = 2\ninit = 'uniform'\n[codes]\ndelta = 0.02", source="test"
)


async def train(device: Vanishing) -> list[Event]:
    async with device:
        return [event async for event in Trainer(EXPERIMENT, device, load("xor"))]


def digest(events: list[Event]) -> str:
    assert isinstance(events[-1], Finished)
    return events[-1].digest


async def undisturbed() -> str:
    return digest(await train(Vanishing(0.0, at=-1)))


@pytest.mark.long
async def test_an_instrument_that_is_away_for_two_seconds_comes_back_to_the_same_digest(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "mgdhw.device")
    device = Vanishing(2.0)
    events = await train(device)
    assert digest(events) == await undisturbed()
    assert [event.attempt for event in events if isinstance(event, Faulted)] == [1]
    assert len(device.attempts) < 12  # patiently: 0.05 s, and twice as long each time
    said = [record.getMessage() for record in caplog.records]
    assert any("disconnecting failed, too: " in text for text in said)
    assert any(text.startswith("waiting for vanishing:1 to reconnect (1 s of 30 s)") for text in said)


@pytest.mark.parametrize("at", [1, 2, 13, 14, 57])
async def test_wherever_it_goes_it_comes_back(at: int) -> None:
    assert digest(await train(Vanishing(0.1, at))) == await undisturbed()


async def test_it_is_moved_slowly_to_where_it_was() -> None:
    device = Vanishing(0.1, motion=Motion(0.05))
    assert digest(await train(device)) == await undisturbed()
    assert device.largest <= 0.05


async def test_another_instrument_is_refused() -> None:
    device = Vanishing(0.1, back_as="8")
    with pytest.raises(
        DeviceUnavailable, match=r"^vanishing:1: a different device is connected \(8\) than before \(7\);"
    ):
        await train(device)
    assert not device.connected


async def test_what_does_not_come_back_is_given_up_in_time() -> None:
    device = Vanishing(3600.0)
    device.reconnect_seconds = 0.3
    began = time.monotonic()
    with pytest.raises(LinkLost, match=r"^vanishing:1: it did not reconnect within 0\.3 s; .*no such port"):
        await train(device)
    assert time.monotonic() - began < 20
    assert len(device.attempts) < 8


async def test_waiting_can_be_cancelled() -> None:
    device = Vanishing(3600.0)
    training = asyncio.ensure_future(train(device))
    while len(device.attempts) < 3:  # noqa: ASYNC110 (an instrument sets no events)
        await asyncio.sleep(0.01)
    training.cancel()
    with pytest.raises(asyncio.CancelledError):
        await training


def test_pauses_double_up_to_two_seconds() -> None:
    assert [back_off(attempt) for attempt in range(1, 9)] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]


class Forgets(SimDevice):
    """A chip whose cells remember what they went through, behind a link that loses one request."""

    lost = False

    async def probe(self, block: Any) -> Any:
        if block.first_step > 20 and not self.lost:
            self.lost = True
            raise LinkTimeout("no answer", uri=self.uri)
        return await super().probe(block)


async def test_cells_that_have_forgotten_are_no_continuation() -> None:
    uri = "sim:rram?layers=2-3-1&engine=reference"
    experiment = parse_experiment("[training]\nprobes = 60\n[run]\nlevel = 'device-codes'\nblock = 5", source="test")
    async with Forgets(uri, parse(uri)) as device:
        with pytest.raises(DeviceFault, match="its cells have forgotten what they went through; resume from the last"):
            async for _ in Trainer(experiment, device, load("xor")):
                pass


async def test_an_open_that_failed_half_way_is_let_go() -> None:
    device = Vanishing(0.0, at=-1)
    opened = 0

    async def half() -> None:
        nonlocal opened
        opened += 1
        await Vanishing.connect(device)
        device.info = replace(device.info, motion=Motion(1.0, -1.0))

    async with device:
        device.connect = half  # type: ignore[method-assign]
        with pytest.raises(Exception, match="step_seconds is negative"):
            await device.recover()
        assert (opened, device.connected, device.is_open) == (1, False, False)
        del device.connect
        await device.recover()
