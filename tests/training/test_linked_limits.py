"""Training near limits on several parameters together: it goes on, and nothing ever leaves them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import mgdhw
from mgdhw.characterize import check
from mgdhw.datasets import load
from mgdhw.device import Capability, DifferenceLimit, LinkedLimit, Motion, PowerLimit
from mgdhw.device.linked_limits import first_violation
from mgdhw.errors import ConfigError
from mgdhw.training.prepare import choose_level
from mgdhw_sim.device import SimDevice
from mgdhw_sim.uri import parse
from tests.helpers.limited import LSB, Limited

POWER = PowerLimit("supply", 2.0)
APART = DifferenceLimit.of_neighbors("gradient", 1.0, (0, 1, 2))


def experiment(**training: Any) -> dict[str, Any]:
    return {
        "data": {"name": "xor"},
        "training": {"probes": 400, "tau_theta": 5, "init": "uniform", **training},
        "codes": {"delta": 0.05},
        "optimizer": {"name": "sgd", "eta": 0.05},
        "run": {"level": "host-codes"},
    }


@pytest.mark.parametrize("rounding", ["nearest", "stochastic"])
@pytest.mark.parametrize("limits", [[POWER], [APART], [POWER, APART]])
def test_training_goes_on_along_a_limit_and_never_crosses_it(limits: list[LinkedLimit], rounding: str) -> None:
    """The optimum is far outside; the nearest allowed point is found."""
    device = Limited(limits, Motion(0.05, 0.0, 0.0))
    result = mgdhw.train(experiment(rounding=rounding), device=device, runs=None)
    assert result.reason == "done"
    for point in device.at:
        assert first_violation(limits, point) is None
    if limits == [POWER]:  # θ points to the optimum, at full power less one perturbation
        assert np.square(result.theta).sum() > 1.5
        assert (result.theta * [1, -1, 1] > 0.55).all()
    elif limits == [APART]:  # (1.5, -1.5, 1.5) can be approached to (θ, θ - 1, θ)
        apart = 1.0 - 2 * (0.05 + LSB * (1.5 if rounding == "stochastic" else 1.0))
        assert abs((result.theta[0] - result.theta[1]) - apart) < 0.15
        assert result.theta[0] > 0.4


def test_the_same_experiment_has_the_same_digest() -> None:
    digests = {
        mgdhw.train(experiment(), device=Limited([POWER, APART]), runs=None, overrides=[f"run.block={block}"]).digest
        for block in (1, 5, 64)
    }
    assert len(digests) == 1


def test_initial_parameters_beyond_a_limit_are_moved_within_it() -> None:
    device = Limited([PowerLimit("supply", 0.2)])
    mgdhw.train(experiment(probes=5, init_scale=1.9), device=device, runs=None)
    assert all(first_violation(device.info.linked_limits, point) is None for point in device.at)


def test_a_limit_that_leaves_no_room_is_named_before_anything_is_sent() -> None:
    device = Limited([PowerLimit("supply", 0.004)])
    with pytest.raises(ConfigError, match=r"codes\.delta: a perturbation of 0\.05 leaves no room .* \('supply'\)"):
        mgdhw.train(experiment(), device=device, runs=None)
    assert device.at == []


async def test_a_device_does_not_learn_by_itself_since_its_own_updates_would_not_keep_them() -> None:
    uri = "sim:analog-8bit?layers=2-3-1"
    async with SimDevice(uri, parse(uri)) as device:
        assert choose_level("auto", device) == "learn"
        device.info = replace(device.info, linked_limits=(POWER,))
        assert Capability.LEARN in device.info.capabilities
        assert choose_level("auto", device) == "device-codes"
        with pytest.raises(ConfigError, match=r"run\.level: sim:.* limits on several parameters together \('supply'\)"):
            choose_level("learn", device)


async def test_a_check_keeps_them() -> None:
    device = Limited([POWER, APART], target=(0.9, -0.2, 0.4))
    async with device:
        await check(device, load("xor"), budget=10_000)
    assert len(device.at) > 1000
    for point in device.at:
        assert first_violation(device.info.linked_limits, point) is None
