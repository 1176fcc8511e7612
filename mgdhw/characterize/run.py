"""The check itself: what is measured, in which order, and what follows."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mgdhw.block import Baseline
from mgdhw.characterize.batches import measure_batches
from mgdhw.characterize.bench import MAX_EVALUATIONS, Bench, Watcher, check_budget
from mgdhw.characterize.findings import Characterization, Recommendation
from mgdhw.characterize.model import Window, best_delta, best_window, powers
from mgdhw.characterize.noise import measure_noise
from mgdhw.characterize.pilots import Pilot, Pilots
from mgdhw.characterize.problems import nothing_learnt, why_unusable
from mgdhw.characterize.reasons import LEAST_BATCH, reasons
from mgdhw.characterize.response import measure_response
from mgdhw.characterize.slope import measure_slope
from mgdhw.characterize.timing import measure_timing
from mgdhw.characterize.writes import measure_writes
from mgdhw.datasets import Dataset
from mgdhw.device import Device
from mgdhw.device.control import take_control
from mgdhw.experiment.inputs import input_notes
from mgdhw.experiment.load import check_experiment
from mgdhw.experiment.schema import Experiment
from mgdhw.training.amplitude import default_amplitude
from mgdhw.training.initial import guard_band, initial

LARGE_BATCH = 128
"""Samples of measurements that samples should not disturb."""
COST_BATCH = 256
"""Samples on which pilots are compared."""
COARSE = 0.3
"""Share of what is left after the first measurements for the first ladder of η, at most."""
FIRST_ETA = 1 / 160
"""η that pilots begin with, as a share of the parameters' range: about what an update of Adam moves a parameter by."""
RESERVE = 16
"""Evaluations that are kept for the last looks."""
FINE = 0.55
"""Share of what is left after those for pilots with η close to each other; the rest is for when none has learnt."""
LONGER = 0.7
"""Share of that rest for the best of them to go on; what else is tried gets the other half."""
MOST_ETA = 4.0
"""Times the usual η that a pilot has, at most, which is to show in the end whether anything is learnt."""
LARGER = 4
"""How many times larger perturbations are tried where nothing has been learnt."""
MEASURED = 1 / 4
"""How far to go, on a logarithmic scale, from the usual η to what pilots say."""
FAR = 2.0
"""Octaves below the usual η: what lies beyond is no chance, and counts in full."""
RUN = 20
"""Evaluations of the recommended training, as a multiple of those that the check may take."""
UPDATES = 3_000
"""Of the recommended training, about, unless windows are to be longer. An update of Adam is about η, however little is
known of the gradient: so many of the usual η go through the range nine times, and more of them only wear cells."""
FINAL = 0.02
"""η at its end, as a share of η at the beginning."""


def _nobody(doing: str, used: int) -> None:
    return


async def check(
    device: Device,
    dataset: Dataset,
    *,
    data: str | None = None,
    seed: int = 0,
    budget: int = MAX_EVALUATIONS,
    watch: Watcher = _nobody,
) -> Characterization:
    """Measure an open device and say how to train it, within a budget of evaluations.

    Args:
        device: open.
        dataset: what it is to learn.
        data: the dataset's name in an experiment file, if it is not its own.
        seed: of codes, of the order of samples, of the parameters that training begins with.
        budget: evaluations that it may take.
        watch: told what is being measured and the evaluations so far.

    Returns:
        What was found. `problem` says why there is no recommendation where there is none.

    Raises:
        ConfigError: the dataset does not fit the device, or the budget is too small.
        DeviceUnavailable: somebody else controls the device.
        DeviceError: the device failed.
    """
    check_budget(budget)
    with await take_control(device, "a check"):
        await device.load(dataset)
        name = dataset.name if data is None else data
        bench = Bench(device, dataset, seed, budget, watch)
        findings = Characterization(device.uri, device.info, name, dataset.n_train, budget)
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
            "optimizer": {"name": "adam", "eta": 1.0},
        },
        source="check",
    )


async def _measure(bench: Bench, findings: Characterization, start: Experiment) -> None:
    info, n_train = bench.info, bench.dataset.n_train
    large = min(n_train, LARGE_BATCH)
    theta = np.clip(initial(start, info, None), *guard_band(info, max(2, default_amplitude("random", info))))
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
    compared = min(n_train, COST_BATCH)
    sigma = float(np.sqrt(noise.variance(compared)))
    first_eta = FIRST_ETA * float(np.min(np.asarray(info.theta_max) - info.theta_min))
    experiment = _with(start, bench, amplitude, window, batch, first_eta)
    coarse = Pilots(bench, experiment, compared, sigma, int(COARSE * bench.left), fresh, noise.drifts)
    best = await coarse.coarse(first_eta)
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
    plan = Attempt(experiment, window, amplitude)
    budget = int(FINE * (bench.left - RESERVE))
    fine = Pilots(bench, experiment, compared, sigma, budget, fresh, noise.drifts)
    best = await fine.fine(best.eta)
    eta = towards_usual(fine.mean_eta(), first_eta)
    findings.learning = await fine.learning(best)
    if not findings.learning.seen:
        plan, best = await _try_more(bench, findings, plan, fine, first_eta)
        if plan.experiment.optimizer.name == "sgd":  # whose η is another thing
            eta = best.eta
    findings.pilots = fine.all
    assert findings.learning is not None, "measured above"
    if not findings.learning.seen:
        findings.problem = nothing_learnt(bench, findings)
        return
    findings.recommendation = _recommend(bench, findings, plan, best, eta)


def towards_usual(eta: float, usual: float) -> float:
    """An η between what pilots say and the usual one.

    Pilots are a hundredth of the training: they prefer what is quick at first, and which of several η that is differs
    from start to start by more than it matters in the end. More than the usual η is never better there.
    """
    octaves = math.log2(eta / usual)
    kept = MEASURED * max(octaves, -FAR) + min(0.0, octaves + FAR)
    return float(usual * 2.0 ** min(kept, 0.0))


@dataclass(frozen=True)
class Attempt:
    """What pilots are made of, but for their η."""

    experiment: Experiment
    window: Window
    amplitude: int


async def _try_more(
    bench: Bench, findings: Characterization, first: Attempt, fine: Pilots, first_eta: float
) -> tuple[Attempt, Pilot]:
    """Where no pilot has learnt anything: longer, with larger perturbations, and with another optimizer."""
    best = fine.steady(MOST_ETA * first_eta)
    await fine.go_on(best, int(LONGER * (bench.left - RESERVE)))
    findings.learning = await fine.learning(best)
    if findings.learning.seen:
        return first, best
    tried, share = (first, best), (bench.left - RESERVE) // 2
    for attempt, eta in _others(bench, findings, first, best):
        pilots = fine.another(attempt.experiment, share)
        pilot = await pilots.single(eta)
        findings.others += (pilot,)
        learning = await pilots.learning(pilot)
        if learning.seen or learning.cost < findings.learning.cost:
            findings.learning, tried = learning, (attempt, pilot)
        if learning.seen:
            break
    return tried


def _others(bench: Bench, findings: Characterization, first: Attempt, best: Pilot) -> list[tuple[Attempt, float]]:
    """What else is tried, with the η that it is tried with."""
    amplitudes = findings.responses[0].amplitudes
    amplitude = int(amplitudes[amplitudes <= LARGER * first.amplitude][-1])
    window = replace(first.window, baseline=Baseline.ANTITHETIC)
    experiment = first.experiment
    larger = _with(experiment, bench, amplitude, window, experiment.training.batch, best.eta)
    sgd = experiment.model_copy(update={"optimizer": type(experiment.optimizer)(name="sgd", eta=first.window.eta)})
    return [
        (Attempt(larger, window, amplitude), best.eta),
        (Attempt(sgd, first.window, first.amplitude), sgd.optimizer.eta),
    ]


def _recommend(bench: Bench, findings: Characterization, plan: Attempt, best: Pilot, eta: float) -> Recommendation:
    batch, probes = plan.experiment.training.batch, RUN * findings.limit // 2
    # The gradient shrinks in a training, the spread of samples' gradients does not: samples are not held for a window.
    window = replace(
        plan.window, baseline=Baseline.ANTITHETIC, tau=max(plan.window.tau, _power_of_two(probes / UPDATES))
    )
    # What an evaluation is worth in pilots asks for a larger Δ than the end of training, where curvature biases.
    usual = default_amplitude("random", bench.info)
    amplitude = min(plan.amplitude, -(-(plan.amplitude + usual) // 2))
    experiment = _with(plan.experiment, bench, amplitude, window, batch, eta)
    training = experiment.training.model_copy(update={"probes": probes // window.tau * window.tau})
    schedule = experiment.schedule.model_copy(update={"name": "cosine", "final": FINAL})
    return Recommendation(
        delta=amplitude * float(np.max(bench.info.theta_lsb)),
        tau=window.tau,
        batch=batch,
        eta=experiment.optimizer.eta,
        baseline=window.baseline,
        reasons=reasons(findings, window, best, amplitude, batch, experiment.optimizer),
        experiment=experiment.model_copy(update={"training": training, "schedule": schedule}),
    )


def _power_of_two(number: float) -> int:
    """The nearest one, on a logarithmic scale."""
    return 1 << max(0, round(math.log2(number)))


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
