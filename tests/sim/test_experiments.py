"""One digest however the work is cut, and evaluations whose noise is each its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mgdhw
from mgdhw.training.events import Evaluated, Event

from .experiments import compare

AGEING = "sim:analog-8bit?layers=2-3-1&retention=1000&drift_every=10&engine=reference"


def experiment(uri: str, **sections: dict[str, Any]) -> dict[str, Any]:
    return {"device": {"uri": uri}, "data": {"name": "xor"}, **sections}


@pytest.mark.parametrize("number", [42, 51])
async def test_random_experiments(number: int) -> None:
    """Two that had several digests while the end was marked with what the last update had left in ageing cells."""
    await compare(number, compiled=False)


@pytest.mark.long
async def test_more_random_experiments() -> None:
    for number in range(1000, 1020):
        await compare(number, compiled=number < 1004)  # what is compiled is compiled for each kind of update


def test_a_training_that_ends_between_updates() -> None:
    given = experiment(AGEING, training={"probes": 150, "batch": 4, "tau_theta": 100})
    found = {
        mgdhw.train(given, runs=None, overrides=[f"run.block={block}", f"run.level={level}"]).digest
        for block, level in ((7, "learn"), (1000, "learn"), (30, "device-codes"))
    }
    found |= {one.digest for one in mgdhw.train_replicas(given, runs=None, replicas=1).replicas}
    assert len(found) == 1


def evaluations(uri: str) -> list[float]:
    """Costs of a network that does not change, at the steps of a training."""
    costs: list[float] = []

    def listen(event: Event) -> None:
        if isinstance(event, Evaluated):
            costs.append(event.cost)

    given = experiment(uri, training={"probes": 50, "tau_theta": 10}, optimizer={"name": "sgd", "eta": 0.0})
    mgdhw.train(given, runs=None, listeners=[listen])
    return costs


def test_noise_of_evaluations_goes_by_the_step() -> None:
    quiet = "sim:analog-8bit?layers=2-3-1&engine=reference"
    noisy = f"{quiet}&read_noise=0.1"
    assert len(set(evaluations(quiet))) == 1
    found = evaluations(noisy)
    assert len(set(found)) == len(found) > 4
    assert evaluations(noisy) == found


async def test_an_ageing_chip_is_evaluated_at_the_step_that_is_asked_for() -> None:
    async with mgdhw.open_device(AGEING) as device:
        await device.load(mgdhw.load_dataset("xor"))
        await device.write(np.linspace(-1, 1, 13), 0)
        samples = np.arange(4)
        now, later = await device.infer(samples, 0), await device.infer(samples, 900)
        assert not np.array_equal(now, later)
        assert np.array_equal(await device.infer(samples), now)
