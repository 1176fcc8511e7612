"""The baseline: the ordinary training, but by true gradients."""

import numpy as np
import pytest

from mgdhw import api
from mgdhw.datasets import load
from mgdhw.device import open_device
from mgdhw.errors import ConfigError
from mgdhw.experiment.load import check_experiment
from mgdhw.random.sample_order import SampleOrder
from mgdhw.study.true_gradients import TrueGradientDevice
from mgdhw_sim.ideal import address, reference

URI = "sim:ideal?layers=64-3-10&cost=xent&activation=tanh"


def trained(**run: int) -> api.Result:
    experiment = check_experiment(
        {
            "seed": 4,
            "device": {"uri": URI},
            "training": {"probes": 24, "batch": 5, "tau_x": 2, "tau_theta": 4},
            "optimizer": {"name": "sgd", "eta": 0.5},
            "run": {"level": "learn", **run},
        },
        source="test",
    )
    return api.train(experiment, device=TrueGradientDevice(open_device(URI)), runs=None)


def test_updates_are_steps_along_the_mean_gradient_of_the_experiments_own_batches() -> None:
    data, network = load("digits"), address.parse(URI).network
    order = SampleOrder(4, data.n_train, 5, 2)
    theta = trained(block=24).theta
    start = api.train(
        {"seed": 4, "device": {"uri": URI}, "training": {"probes": 1}, "optimizer": {"name": "sgd"}}, runs=None
    ).theta
    for update in range(6):
        batches = order.samples(2 * update, 2)
        start = start - 0.5 * np.mean(
            [reference.gradient(network, start, data.values(b), data.targets[b], "xent") for b in batches], axis=0
        )
    np.testing.assert_allclose(theta, start, atol=1e-6)


def test_blocks_change_no_bit() -> None:
    whole, cut = trained(block=24), trained(block=3)
    assert np.array_equal(whole.theta, cut.theta)
    assert (whole.evaluations, whole.updates, whole.probes) == (12, 6, 24)
    assert (cut.evaluations, cut.digest) == (whole.evaluations, whole.digest)


def test_a_device_that_does_not_know_its_gradient_is_refused_in_one_sentence() -> None:
    with pytest.raises(ConfigError, match=r"does not know its true gradient.*expected an ideal network") as refused:
        TrueGradientDevice(open_device("sim:analog-8bit"))
    assert "\n" not in str(refused.value)
