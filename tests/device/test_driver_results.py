"""What a driver answers is looked at before it is believed; the error names the method and what it answered."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mgdhw
from mgdhw.blocking import BlockingDevice
from mgdhw.device import Capability, Device, DeviceInfo, HostCodes
from mgdhw.device.motion import Motion
from mgdhw.errors import ConformanceError, DeviceFault
from mgdhw.topology import Topology

EXPERIMENT: dict[str, Any] = {
    "data": {"name": "xor"},
    "training": {"probes": 20, "tau_theta": 4, "init": "uniform"},
    "codes": {"delta": 0.01},
}


class Answering(HostCodes):
    """Three knobs; each of its methods answers what it is told to."""

    motion_limits: Motion | None = None

    def __init__(self, **answers: Any) -> None:
        super().__init__("answering:1")
        self.answers = answers
        self.theta = np.zeros(3)

    async def connect(self) -> None:
        if "info" in self.answers:
            if self.answers["info"] is not Ellipsis:
                self.info = self.answers["info"]
            return
        self.info = DeviceInfo(
            "answering", "1", Topology(3), -2.0, 2.0, 1e-3, 2, 1, "mse", 1.0, Capability.MEASURE,
            motion=self.motion_limits,
        )  # fmt: skip

    async def disconnect(self) -> None: ...

    async def apply(self, theta: Any, step: int) -> Any:
        self.theta = theta.copy()
        return self.answers.get("apply", self.theta)

    async def read(self) -> Any:
        return self.answers.get("read", self.theta)

    async def infer(self, samples: Any, step: int = 0) -> Any:
        return self.answers.get("infer", np.full((samples.size, 1), self.theta[0]))

    async def measure(self, samples: Any, step: int, part: Any) -> Any:
        if "measure" in self.answers:
            return self.answers["measure"]
        return await super().measure(samples, step, part)


def train(device: Device, **training: Any) -> mgdhw.Result:
    return mgdhw.train({**EXPERIMENT, "training": {**EXPERIMENT["training"], **training}}, device=device, runs=None)


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (None, "None"),
        (np.zeros(4), r"an array of shape \(4,\) of float64"),
        (np.zeros((1, 1)), r"an array of shape \(1, 1\) of float64"),
        ([0.5], "a list of 1"),
        ("0.5", "'0.5'"),
        (True, "True"),
        (np.bool_(True), "True"),
        (1 + 2j, r"\(1\+2j\)"),
        (10**400, "an integer of some 400 digits"),
    ],
)
def test_a_measurement_that_is_no_number(answer: object, shown: str) -> None:
    with pytest.raises(
        DeviceFault,
        match=rf"^answering:1: its driver's measure\(\) returned {shown}; expected one number, the cost summed over",
    ):
        train(Answering(measure=answer))


@pytest.mark.parametrize("answer", [1, 0.5, np.float32(0.5), np.int64(3), np.array(0.5), np.uint8(3)])
def test_a_measurement_that_is_one(answer: object) -> None:
    assert train(Answering(measure=answer)).probes == 20


@pytest.mark.parametrize("answer", [None, np.zeros(4), np.zeros((3, 1)), [0.0, [1.0], 2.0], ["a", "b", "c"], 0.0])
@pytest.mark.parametrize("method", ["apply", "read"])
@pytest.mark.parametrize("slowly", [False, True])
def test_parameters_that_are_none(method: str, answer: object, slowly: bool) -> None:
    device = Answering(**{method: answer})
    device.motion_limits = Motion(max_step=0.5) if slowly else None
    with pytest.raises(
        DeviceFault, match=rf"^answering:1: its driver's {method}\(\) returned .*; expected an array of shape \(3,\)"
    ):
        train(device, init="read")


def test_parameters_may_be_any_numbers() -> None:
    for answer in ([0, 1, 1], np.zeros(3, dtype=np.float32), (0.0, 0.0, 0.0)):
        assert train(Answering(apply=answer, read=answer), init="read").probes == 20


@pytest.mark.parametrize("answer", [None, np.zeros(4), np.zeros((1, 4)), 0.0, "out"])
def test_outputs_that_are_none(answer: object) -> None:
    for device in (Answering(infer=answer), Answering(infer=answer, measure=0.5)):
        with pytest.raises(
            DeviceFault, match=r"^answering:1: its driver's infer\(\) returned .*; expected an array of"
        ):
            train(device)


@pytest.mark.parametrize("info", [..., None, {"model": "x"}])
def test_a_driver_that_does_not_say_what_it_is(info: object) -> None:
    with pytest.raises(
        ConformanceError, match=r"^answering:1: driver .*\.Answering: connect\(\) has to set self\.info"
    ):
        train(Answering(info=info))


class Scope(BlockingDevice):
    """A blocking instrument that answers nothing."""

    def start_up(self) -> None:
        self.info = DeviceInfo("scope", "7", Topology(3), -2.0, 2.0, 0.001, 2, 1, "mse", 1.0, Capability.MEASURE)

    def shut_down(self) -> None: ...

    def set_parameters(self, theta: Any) -> None: ...

    def read_outputs(self, inputs: Any) -> Any:
        return None


def test_readings_that_are_none() -> None:
    with pytest.raises(
        DeviceFault, match=r"^scope:1: its driver's read_outputs\(\) returned None; expected an array of"
    ):
        train(Scope("scope:1"))
