"""The runs of the figures: at frozen θ (figure 3), and trainings (figure 4)."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.codes import Codes
from mgdhw.costs import accuracy_or_r2
from mgdhw.datasets import Dataset
from mgdhw.device import Device, open_device
from mgdhw.experiment.schema import Experiment
from mgdhw.learning.state import TrainState
from mgdhw.learning.step import accumulate_costs, next_block, window_gradient
from mgdhw.study.reproduce.published import ACCURACIES, TARGET_COSINE
from mgdhw.study.reproduce.task import LISTED, URI, experiment_of
from mgdhw.study.true_gradients import HasTrueGradient, TrueGradientDevice
from mgdhw.training.events import Finished
from mgdhw.training.prepare import first_state, prepare
from mgdhw.training.trainer import Trainer

Rows = list[dict[str, Any]]
CHUNK = 50
"""Iterations asked of a device at once."""


class OutOfTime(Exception):
    """The time that a study may take is over."""


async def cosines(
    method: str, d: int, seed: int, last: int, data: Dataset, check: Callable[[], None], uri: str = URI
) -> Rows:
    """Figure 3: the running estimate's cosine with the true gradient of the same mini-batch, at frozen θ.

    Args:
        method, d, seed: which run.
        last: iterations; the run goes on to none beyond.
        data: with the study's targets.
        check: called now and then; may raise OutOfTime.
        uri: of the network.
    """
    experiment = experiment_of("fig3", method, d, seed, last, uri)
    rows: Rows = []
    async with open_device(experiment.device.uri) as device:
        await device.load(data)
        rule = prepare(experiment, device, data).rule
        state = first_state(experiment, device.info, rule, data)
        codes = Codes(rule.codes, device.info.topology)
        await device.write(state.theta)
        gradients = cast(HasTrueGradient, device)
        _, true = await gradients.true_gradient(state.theta, rule.order.samples(0)[0])
        turns, done, reached = len(codes.groups), 0, math.inf
        cross = np.zeros(true.size)
        while done < last:
            check()
            count = min(CHUNK if method == "weight" else 1, last - done)
            costs = await device.probe(next_block(state, rule, turns * count))
            if method == "weight":
                change = (costs.perturbed - costs.reference)[:, None] * codes.values(state.step, turns * count)
                sums = cross + change.reshape(count, turns, -1).sum(axis=1).cumsum(axis=0)
                cross = sums[-1]
                found = sums / _energy(codes, state.step)
                state = replace(state, step=state.step + turns * count, held=costs.held)
            else:
                state = accumulate_costs(state, costs, rule, codes)
                found = window_gradient(state.window, rule, codes)[None]
            values = _cosine(found, true)
            for at, value in enumerate(values, start=done + 1):
                if at in LISTED["fig3"]:
                    rows.append({"method": method, "d": d, "seed": seed, "iteration": at, "cosine": float(value)})
                if value >= TARGET_COSINE and math.isinf(reached):
                    reached = at
            done += count
    return [*rows, _time(method, d, seed, TARGET_COSINE, reached)]


def _energy(codes: Codes, step: int) -> FloatArray:
    """(P,) Σ θ̃² of a whole round through the layers: the same for each, as codes have two levels."""
    return codes.energy(step, len(codes.groups)).astype(np.float64)


def _cosine(found: FloatArray, true: FloatArray) -> FloatArray:
    norms = np.linalg.norm(found, axis=1) * np.linalg.norm(true)
    return np.asarray(found @ true / np.where(norms > 0, norms, 1.0))


def _time(method: str, d: int, seed: int, target: float, reached: float) -> dict[str, Any]:
    iterations = int(reached) if math.isfinite(reached) else None
    return {"method": method, "d": d, "seed": seed, "target": target, "iterations": iterations}


async def curves(
    method: str, d: int, seed: int, last: int, data: Dataset, check: Callable[[], None], uri: str = URI
) -> Rows:
    """Figure 4: a training, with its costs and its accuracy on the whole data sets. Arguments as for `cosines`.

    It is trained by the ordinary trainer, from one listed iteration to the next; times to an accuracy are those of the
    first listed iteration that shows it.
    """
    rows: Rows = []
    state: TrainState | None = None
    reached = dict.fromkeys(ACCURACIES, math.inf)
    experiment = experiment_of("fig4", method, d, seed, last, uri)
    network = open_device(experiment.device.uri)
    device = TrueGradientDevice(network) if method == "backprop" else network
    async with device:
        turns = len(device.info.topology.layers)
        for n in [listed for listed in LISTED["fig4"] if listed <= last]:
            training = experiment.training.model_copy(update={"probes": turns * n})
            state = await _train(experiment.model_copy(update={"training": training}), device, data, state, check)
            await device.write(state.theta, state.step)
            row: dict[str, Any] = {"method": method, "d": d, "seed": seed, "iteration": n}
            for part, samples in {
                "train": np.arange(data.n_train),
                "test": np.arange(data.n_train, data.n_samples),
            }.items():
                outputs = await device.infer(samples, state.step)
                row[f"cost_{part}"] = float(device.cost_of(outputs, data.targets[samples]).mean())
            row["accuracy"] = accuracy_or_r2(outputs, data.targets[samples], classes=True)[0]
            rows.append(row)
            for share in ACCURACIES:
                if row["accuracy"] >= share and math.isinf(reached[share]):
                    reached[share] = n
    return [*rows, *(_time(method, d, seed, share, at) for share, at in reached.items())]


async def _train(
    experiment: Experiment, device: Device, data: Dataset, state: TrainState | None, check: Callable[[], None]
) -> TrainState:
    """The state after an experiment's probes, from an earlier one on."""
    trainer = Trainer(experiment, device, data, resume=state)
    async with contextlib.aclosing(trainer.__aiter__()) as events:
        async for event in events:
            check()
            if isinstance(event, Finished):
                state = event.state
    assert state is not None, "a trainer ends with Finished"
    return state
