"""Where parameters start, how far they may go, how they are rounded."""

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from mgdhw.device import Capability, DeviceInfo
from mgdhw.errors import ConfigError
from mgdhw.experiment.load import parse_experiment
from mgdhw.learning.rounding import round_stochastically
from mgdhw.learning.rule import ParameterGrid
from mgdhw.topology import Topology
from mgdhw.training.initial import guard_band, initial

NETWORK = Topology.dense((40, 30, 20))
P = NETWORK.n_parameters


def info(topology: Topology = NETWORK, lsb: float = 2.0**-6, limit: float = 2.0) -> DeviceInfo:
    return DeviceInfo("some", "1", topology, -limit, limit - lsb, lsb, 1, 1, "mse", 1.0, Capability.MEASURE)


def started(*overrides: str, topology: Topology = NETWORK) -> NDArray[np.float64]:
    return initial(parse_experiment("", source="x", overrides=overrides), info(topology), None)


# --- where they start -------------------------------------------------------------------------------------------------


def test_glorot_spreads_weights_over_its_range_and_leaves_biases_at_zero() -> None:
    theta = started()
    for layer in NETWORK.layers:
        weights, limit = theta[layer.weights], sqrt(6 / (layer.n_in + layer.n_out))
        assert not theta[layer.biases].any()
        assert np.abs(weights).max() < limit
        # Uniform: mean and mean square within five standard errors of 0 and limit² / 3; false-alarm rate below 1e-5.
        n = weights.size
        assert abs(weights.mean()) < 5 * limit / sqrt(3 * n)
        assert abs(np.square(weights).mean() - limit**2 / 3) < 5 * limit**2 * sqrt(4 / 45 / n)


def test_uniform_spreads_everything_over_one() -> None:
    theta = started("training.init=uniform", topology=Topology(P))
    assert np.abs(theta).max() < 1
    assert abs(theta.mean()) < 5 / sqrt(3 * P)
    assert np.count_nonzero(theta) == P


@pytest.mark.parametrize("init", ["glorot", "uniform"])
def test_scale_scales_and_the_seed_decides(init: str) -> None:
    base = started(f"training.init={init}")
    assert_array_equal(started(f"training.init={init}", "training.init_scale=0.5"), base * 0.5)
    assert not started(f"training.init={init}", "training.init_scale=0").any()
    assert_array_equal(started(f"training.init={init}"), base)
    other = started(f"training.init={init}", "seed=1")
    assert abs(float(base @ other)) < 0.2 * float(base @ base)


def test_read_takes_what_the_hardware_holds() -> None:
    held = np.arange(3.0)
    experiment = parse_experiment("", source="x", overrides=["training.init=read"])
    assert_array_equal(initial(experiment, info(Topology(3)), held), held)


def test_glorot_without_layers_is_a_config_error_with_a_way_out() -> None:
    with pytest.raises(ConfigError, match='use "uniform" or "read"'):
        started(topology=Topology(5))


# --- how far they may go ----------------------------------------------------------------------------------------------


def test_the_guard_band_is_one_perturbation_and_half_a_step_wide() -> None:
    low, high = guard_band(info(), 5)
    assert (float(low), float(high)) == (-2.0 + 5.5 / 64, 2.0 - 6.5 / 64)
    each = replace(info(Topology(2)), theta_lsb=np.array([0.25, 0.5]), theta_min=-1.0, theta_max=np.array([1.0, 2.0]))
    low, high = guard_band(each, 1)
    assert_array_equal(low, [-0.625, -0.25])
    assert_array_equal(high, [0.625, 1.25])


@pytest.mark.parametrize("amplitude", [128, 1000])
def test_a_perturbation_as_wide_as_the_range_is_a_config_error(amplitude: int) -> None:
    with pytest.raises(ConfigError, match=r"codes\.delta: a perturbation of .* leaves no room .* -2 \.\.\. 1\.98438"):
        guard_band(info(), amplitude)


# --- how they are rounded ---------------------------------------------------------------------------------------------


def grid(info: DeviceInfo) -> ParameterGrid:
    return ParameterGrid(info.theta_min, info.theta_max, info.theta_lsb)


UPDATES = 3000


def bias_of_rounding(round_down: bool = False) -> float:
    """Largest |mean of many roundings - θ|, in standard errors, over 200 parameters spread over a step."""
    device = info(Topology(200))
    theta = device.theta_lsb * (np.arange(200) / 200 - 50)
    if round_down:
        drawn = np.broadcast_to(np.floor(theta / device.theta_lsb) * device.theta_lsb, (UPDATES, 200))
    else:
        drawn = np.array([round_stochastically(theta, grid(device), 7, update) for update in range(UPDATES)])
    share = np.arange(200) / 200
    error = device.theta_lsb * np.sqrt(np.maximum(share * (1 - share), 1e-9) / UPDATES)
    return float((np.abs(drawn.mean(axis=0) - theta) / error).max())


def test_stochastic_rounding_is_unbiased() -> None:
    """Within 5.5 standard errors for each of 200 parameters; false-alarm rate below 1e-5."""
    assert bias_of_rounding() < 5.5


def test_rounding_down_is_seen_to_be_biased() -> None:
    assert bias_of_rounding(round_down=True) > 50


def test_stochastic_rounding_goes_to_a_neighbour_on_the_grid() -> None:
    device = info(Topology(P))
    theta = np.linspace(device.theta_min, device.theta_max, P)
    for update in range(20):
        steps = round_stochastically(theta, grid(device), 7, update) / device.theta_lsb
        assert_array_equal(steps, np.rint(steps))
        assert np.abs(steps - theta / device.theta_lsb).max() < 1
        assert np.all((steps * device.theta_lsb >= device.theta_min) & (steps * device.theta_lsb <= device.theta_max))


def test_what_is_on_the_grid_stays_and_writing_again_writes_the_same() -> None:
    device = info(Topology(P))
    theta = np.linspace(device.theta_min, device.theta_max, P)
    once = round_stochastically(theta, grid(device), 7, 3)
    assert_array_equal(round_stochastically(once, grid(device), 7, 3), once)
    assert_array_equal(round_stochastically(once, grid(device), 8, 4), once)
    assert_array_equal(round_stochastically(theta, grid(device), 7, 3), once)
    assert np.any(round_stochastically(theta, grid(device), 7, 4) != once)
    assert np.any(round_stochastically(theta, grid(device), 8, 3) != once)
