"""The public fake device: it keeps the contract, and computes what its function says."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import mgdhw
from mgdhw.arrays import FloatArray, IntArray
from mgdhw.block import Part
from mgdhw.device import Capability
from mgdhw.errors import ConfigError, DeviceUnavailable, LimitExceeded, LinkTimeout
from mgdhw.testing import DeviceConformance, Opener
from mgdhw.testing.function_device import FunctionDevice
from mgdhw.training.events import Event, Faulted
from tests.helpers.documents import python_block

SAMPLES = np.array([0, 3, 1])
EXPERIMENT: dict[str, Any] = {
    "data": {"name": "xor"},
    "training": {"probes": 2000, "batch": 4, "tau_theta": 5, "init": "uniform"},
    "codes": {"delta": 0.01},
    "optimizer": {"name": "sgd", "eta": 0.1},
    "run": {"block": 5},
}


def bowl(theta: FloatArray) -> float:
    return float(np.square(theta - 0.3).sum())


def line(theta: FloatArray, inputs: FloatArray) -> FloatArray:
    return np.asarray(inputs @ theta[:2, None] + theta[2])


KINDS: dict[str, Callable[[], FunctionDevice]] = {
    "cost": lambda: FunctionDevice(bowl, 4),
    "outputs": lambda: FunctionDevice(None, 3, outputs=line),
    "both": lambda: FunctionDevice(bowl, 3, outputs=line),
    "noise": lambda: FunctionDevice(bowl, 4, noise=0.1),
    "ranges": lambda: FunctionDevice(bowl, 2, low=np.array([0.5, -1.0]), high=np.array([2.0, 1.0]), lsb=2.0**-6),
    "sizes": lambda: FunctionDevice(bowl, 5, n_inputs=3, n_outputs=2, uri="function:wide"),
}


class TestContract(DeviceConformance):
    """The project's own suite, on every kind."""

    @pytest.fixture(autouse=True, params=KINDS)
    def _kind(self, request: pytest.FixtureRequest) -> None:
        self.kind = KINDS[request.param]

    @contextlib.asynccontextmanager
    async def opener(self) -> AsyncIterator[Opener]:
        yield self.kind


async def test_a_cost_is_that_of_each_sample_and_outputs_are_made_up_to_fit() -> None:
    async with FunctionDevice(bowl, 4, lsb=0.25) as device:
        await device.load(data := mgdhw.load_dataset("xor"))
        assert_array_equal(await device.write(np.array([0.3, 0.1, -0.4, 1.0])), [0.25, 0.0, -0.5, 1.0])
        cost = bowl(device.theta)
        assert await device.measure(SAMPLES, 0, Part.PLUS) == 3 * cost
        outputs = await device.infer(SAMPLES)
        np.testing.assert_allclose(device.cost_of(outputs, data.targets[SAMPLES]), cost)
        assert device.measurements == 1
    assert_array_equal(device.theta, np.zeros(4))


async def test_outputs_have_their_mean_squared_error() -> None:
    async with FunctionDevice(None, 3, outputs=line) as device:
        await device.load(data := mgdhw.load_dataset("xor"))
        await device.write(np.array([0.5, -0.25, 0.125]))
        outputs = line(device.theta, data.values(SAMPLES))
        assert_array_equal(await device.infer(SAMPLES), outputs)
        expected = float(np.square(outputs - data.targets[SAMPLES]).sum())
        assert await device.measure(SAMPLES, 0, Part.PLUS) == expected


async def test_noise_is_of_the_seed_and_says_that_it_is_there() -> None:
    async def measured(seed: int) -> list[float]:
        async with FunctionDevice(bowl, 2, noise=0.5, seed=seed) as device:
            assert Capability.DETERMINISTIC not in device.info.capabilities
            return [await device.measure(SAMPLES, 0, Part.PLUS) for _ in range(400)]

    costs = np.array(await measured(1)) / 3
    assert_array_equal(costs, np.array(await measured(1)) / 3)
    assert not np.array_equal(costs, np.array(await measured(2)) / 3)
    assert abs(costs.mean() - bowl(np.zeros(2))) < 4 * 0.5 / 20
    assert abs(costs.std() - 0.5) < 4 * 0.5 / np.sqrt(800)


async def test_limits_hold_and_rest_is_within_them() -> None:
    device = FunctionDevice(bowl, 2, low=np.array([0.5, -1.0]), high=np.array([2.0, 1.0]))
    assert_array_equal(device.theta, [0.5, 0.0])
    with pytest.raises(DeviceUnavailable, match="function:1"):
        await device.read()
    async with device:
        with pytest.raises(LimitExceeded, match=r"function:1"):
            await device.write(np.array([0.0, 0.0]))


def test_without_a_function_it_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^function:1: neither a cost nor outputs are given; give a function of θ"):
        FunctionDevice(None, 3)


def test_it_trains_and_a_derived_one_can_fail() -> None:
    class Flaky(FunctionDevice):
        async def measure(self, samples: IntArray, step: int, part: Part) -> int | float:
            if self.measurements == 20:
                self.measurements += 1
                raise LinkTimeout("no answer in 1 s", uri=self.uri)
            return await super().measure(samples, step, part)

    heard: list[Event] = []
    whole = mgdhw.train(EXPERIMENT, device=FunctionDevice(bowl, 4), runs=None)
    np.testing.assert_allclose(whole.theta, 0.3, atol=0.01)
    assert mgdhw.train(EXPERIMENT, device=Flaky(bowl, 4), runs=None, listeners=[heard.append]).digest == whole.digest
    assert sum(isinstance(event, Faulted) for event in heard) == 1


def test_the_example_in_the_documents_trains() -> None:
    names: dict[str, Any] = {}
    exec(python_block("drivers.md", "FunctionDevice("), names)
    np.testing.assert_allclose(names["result"].theta, names["TARGET"], atol=0.02)
