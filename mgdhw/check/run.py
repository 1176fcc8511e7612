"""The check itself: what is measured, in which order, and what follows."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.block import Baseline
from mgdhw.check.batches import measure_batches
from mgdhw.check.bench import MAX_EVALUATIONS, Bench, Watcher
from mgdhw.check.findings import Findings, Recommendation
from mgdhw.check.model import Window, best_delta, best_window, powers
from mgdhw.check.noise import measure_noise
from mgdhw.check.pilots import Pilots
from mgdhw.check.problems import why_unusable
from mgdhw.check.reasons import LEAST_BATCH, reasons
from mgdhw.check.response import measure_response
from mgdhw.check.slope import measure_slope
from mgdhw.check.timing import measure_timing
from mgdhw.check.writes import measure_writes
from mgdhw.config import Experiment, check_experiment
from mgdhw.control import take_control
from mgdhw.datasets import Dataset
from mgdhw.device import Device
from mgdhw.inputs import input_notes
from mgdhw.parameters import guard, initial

FloatArray = NDArray[np.float64]

LARGE_BATCH = 128
"""Samples of measurements that samples should not disturb."""
COST_BATCH = 512
"""Samples on which pilots are compared."""
COARSE = 0.35
"""Share of what is left after the first measurements for the first ladder of η, at most."""
MARGIN = 2.0**0.5
"""By how much η is less than the best pilot's: too little takes longer, too much may learn nothing."""
RUN = 20
"""How many times longer than the longest pilot the recommended training is."""


def _nobody(doing: str, used: int) -> None:
    return


async def check(
    device: Device, dataset: Dataset, *, data: str | None = None, seed: int = 0, watch: Watcher = _nobody
) -> Findings:
    """Measure an open device and say how to train it, in at most 20,000 evaluations.

    Args:
        device: open.
        dataset: what it is to learn.
        data: the dataset's name in an experiment file, if it is not its own.
        seed: of codes, of the order of samples, of the parameters that training begins with.
        watch: told what is being measured and the evaluations so far.

    Returns:
        What was found. `problem` says why there is no recommendation where there is none.

    Raises:
        ConfigError: the dataset does not fit the device.
        DeviceUnavailable: somebody else controls the device.
        DeviceError: the device failed.
    """
    with await take_control(device, "a check"):
        await device.load(dataset)
        name = dataset.name if data is None else data
        bench = Bench(device, dataset, seed, MAX_EVALUATIONS, watch)
        findings = Findings(device.uri, device.info, name, dataset.n_train, MAX_EVALUATIONS)
        findings.notes = input_notes(device.info, dataset)
        try:
            await _measure(bench, findings, start_of(device, name, seed))
        finally:
            findings.evaluations = bench.used
    return findings


def start_of(device: Device, data: str, seed: int) -> Experiment:
    """The experiment before anything is known: where it starts, on what."""
    info = device.info
    span = float(np.min(np.asarray(info.theta_max) - info.theta_min))
    training: dict[str, Any] = {"init": "glorot"}
    if not info.topology.layers:
        training = {"init": "uniform", "init_scale": min(1.0, span / 4)}
    return check_experiment(
        {
            "name": re.sub(r"[^A-Za-z0-9_.-]", "-", f"check-{data}")[:60],
            "seed": seed,
            "device": {"uri": device.uri},
            "data": {"name": data},
            "training": training,
            "optimizer": {"name": "sgd", "eta": 1.0},
        },
        source="check",
    )


async def _measure(bench: Bench, findings: Findings, start: Experiment) -> None:
    info, n_train = bench.info, bench.dataset.n_train
    large = min(n_train, LARGE_BATCH)
    theta = np.clip(initial(start, info, None), *guard(info, 2))
    fresh = await bench.snapshot()
    findings.writes = await measure_writes(bench, theta)
    await bench.restore(fresh)
    await bench.write(theta)
    findings.timing = await measure_timing(bench, large)
    noise = findings.noise = await measure_noise(bench, large)
    response, around = await measure_response(bench, theta, noise)
    findings.responses = (response,)
    findings.problem = why_unusable(bench, findings)
    if findings.problem is not None:
        return
    amplitude = best_delta([response])
    batches = await measure_batches(bench, amplitude, noise)
    findings.batches = (batches,)
    slope = findings.slope = await measure_slope(bench, around, amplitude, large)
    batch = max(batches.best, min(n_train, LEAST_BATCH))
    numbers = findings.numbers = powers(response, amplitude, batches, batch, noise, slope, info.n_parameters)
    window = best_window(numbers, batch)
    experiment = _with(start, bench, amplitude, window, batch, window.eta)
    compared = min(n_train, COST_BATCH)
    sigma = float(np.sqrt(noise.variance(compared)))
    coarse = Pilots(bench, experiment, compared, sigma, int(COARSE * bench.left), fresh, noise.drifts)
    best = await coarse.coarse(window.eta)
    findings.coarse = coarse.all
    # Gradients are smaller here than at the start, the spread of samples is not: Δ and B are to suit both.
    response, around = await measure_response(bench, best.state.theta, noise)
    findings.responses += (response,)
    if response.seen.any():
        await bench.write(around)
        findings.batches += (await measure_batches(bench, amplitude, noise),)
    amplitude = best_delta([one for one in findings.responses if one.seen.any()])
    batch = max(batch, *(one.best for one in findings.batches))
    experiment = _with(start, bench, amplitude, window, batch, best.eta)
    fine = Pilots(bench, experiment, compared, sigma, bench.left, fresh, noise.drifts)
    best = await fine.fine(best.eta)
    findings.pilots = fine.all
    probes = max(pilot.state.step for pilot in fine.all) * RUN
    experiment = _with(start, bench, amplitude, window, batch, best.eta / MARGIN)
    training = experiment.training.model_copy(update={"probes": probes // window.tau * window.tau})
    findings.recommendation = Recommendation(
        delta=amplitude * float(np.max(info.theta_lsb)),
        tau=window.tau,
        batch=batch,
        eta=experiment.optimizer.eta,
        baseline=window.baseline,
        guess=window.eta,
        reasons=reasons(findings, window, best, amplitude, batch, experiment.optimizer.eta),
        experiment=experiment.model_copy(update={"training": training}),
    )


def _with(start: Experiment, bench: Bench, amplitude: int, window: Window, batch: int, eta: float) -> Experiment:
    """The experiment with what is known by now."""
    held = window.baseline is Baseline.HELD
    training = start.training.model_copy(
        update={
            "batch": batch,
            "tau_theta": window.tau,
            "tau_x": window.tau if held else 1,  # a pair needs no baseline, so its samples need not be held
            "baseline": str(window.baseline),
        }
    )
    delta = amplitude * float(np.max(bench.info.theta_lsb))
    return start.model_copy(
        update={
            "training": training,
            "codes": start.codes.model_copy(update={"delta": delta}),
            "optimizer": start.optimizer.model_copy(update={"eta": float(f"{eta:.3g}")}),
        }
    )
