"""The characterization procedure: what is measured, in which order, and what is recommended."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mgdhw.block import Baseline
from mgdhw.characterize.budgeted_device import MAX_EVALUATIONS, BudgetedDevice, ProgressCallback, check_budget
from mgdhw.characterize.characterization import Characterization, Recommendation
from mgdhw.characterize.diagnosis import no_learning_message, unusable_reason
from mgdhw.characterize.gradient_noise import measure_gradient_noise
from mgdhw.characterize.latency import measure_latency
from mgdhw.characterize.line_search import measure_line_search
from mgdhw.characterize.noise import measure_noise
from mgdhw.characterize.pilots import Pilot, PilotRuns
from mgdhw.characterize.rationale import LEAST_BATCH, reasons, usual_eta
from mgdhw.characterize.response import measure_response
from mgdhw.characterize.sgd_model import UpdatePlan, best_delta, best_update_plan, fit_sgd_model
from mgdhw.characterize.write_accuracy import measure_write_accuracy
from mgdhw.datasets import Dataset
from mgdhw.device import Device
from mgdhw.device.control import take_control
from mgdhw.experiment.inputs import input_notes
from mgdhw.experiment.load import check_experiment
from mgdhw.experiment.schema import Experiment
from mgdhw.training.amplitude import default_amplitude
from mgdhw.training.initial import allowed, initial, linked_constraint

LARGE_BATCH = 128
"""Samples in measurements in which sample noise should be small."""
COST_BATCH = 256
"""Samples on which pilot runs are compared."""
COARSE = 0.3
"""Largest share of the remaining budget for the coarse search for η."""
RESERVE = 16
"""Evaluations reserved for the final cost measurements."""
FINE = 0.55
"""Share of what then remains for pilot runs with neighboring η; the rest is kept in case none has learned."""
LONGER = 0.7
"""Share of that rest for continuing the best of them; further attempts get what is left."""
MOST_ETA = 4.0
"""Largest η, relative to the usual one, of the pilot run that is continued to see whether anything is learned."""
LARGER = 4
"""Factor by which perturbations are enlarged if nothing was learned."""
MEASURED = 1 / 4
"""Weight of the pilot runs' η against the usual one, on a logarithmic scale."""
FAR = 2.0
"""Octaves below the usual η beyond which a lower η is significant and counts in full."""
RUN = 20
"""Evaluations of the recommended training, as a multiple of the budget of the check."""
UPDATES = 3_000
"""Of the recommended training, unless windows have to be longer. An update of Adam is about η, however noisy the
gradient: this many updates of the usual η cross the range nine times, and more of them only wear the cells."""
FINAL = 0.02
"""Final η as a share of the initial η."""


def _no_progress(stage: str, used: int) -> None:
    return


async def check(
    device: Device,
    dataset: Dataset,
    *,
    data: str | None = None,
    seed: int = 0,
    budget: int = MAX_EVALUATIONS,
    watch: ProgressCallback = _no_progress,
) -> Characterization:
    """Measure an open device and recommend how to train it, within a budget of evaluations.

    Args:
        device: open.
        dataset: training data.
        data: the dataset's name in an experiment file, if different from its own.
        seed: of the codes, the sample order and the initial parameters.
        budget: maximum number of evaluations.
        watch: called with what is being measured and the number of evaluations so far.

    Returns:
        The characteristics; if there is no recommendation, `problem` says why.

    Raises:
        ConfigError: the dataset does not fit the device, or the budget is too small.
        DeviceUnavailable: the device is in use by another task.
        DeviceError: the device failed.
    """
    check_budget(budget)
    with await take_control(device, "a check"):
        await device.load(dataset)
        name = dataset.name if data is None else data
        budgeted = BudgetedDevice(device, dataset, seed, budget, watch)
        result = Characterization(device.uri, device.info, name, dataset.n_train, budget)
        result.notes = input_notes(device.info, dataset)
        try:
            await _measure(budgeted, result, start_of(device, name, seed))
        finally:
            result.evaluations = budgeted.used
    return result


def start_of(device: Device, data: str, seed: int) -> Experiment:
    """The experiment to start from: initial parameters, device and data."""
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


async def _measure(device: BudgetedDevice, result: Characterization, start: Experiment) -> None:
    info, n_train = device.info, device.dataset.n_train
    large = min(n_train, LARGE_BATCH)
    amplitude = max(2, default_amplitude("random", info))
    theta = allowed(info, amplitude, initial(start, info, None), linked_constraint(info, amplitude))
    fresh = await device.snapshot()
    result.write_accuracy = await measure_write_accuracy(device, theta)
    await device.restore(fresh)
    await device.write(theta)
    result.latency = await measure_latency(device, large)
    noise = result.noise = await measure_noise(device, large)
    response, around = await measure_response(device, theta, noise)
    result.responses = (response,)
    result.problem = unusable_reason(device, result)
    if result.problem is not None:
        return
    amplitude = best_delta([response])
    gradient_noise = await measure_gradient_noise(device, amplitude, noise)
    result.gradient_noise = (gradient_noise,)
    line_search = result.line_search = await measure_line_search(device, around, amplitude, large)
    batch = max(gradient_noise.best, min(n_train, LEAST_BATCH))
    model = result.sgd_model = fit_sgd_model(
        response, amplitude, gradient_noise, batch, noise, line_search, info.n_parameters
    )
    plan = best_update_plan(model, batch)
    compared = min(n_train, COST_BATCH)
    sigma = float(np.sqrt(noise.variance(compared)))
    first_eta = usual_eta(result)
    experiment = _with(start, device, amplitude, plan, batch, first_eta)
    coarse = PilotRuns(device, experiment, compared, sigma, int(COARSE * device.remaining), fresh, noise.drifts)
    best = await coarse.coarse(first_eta)
    result.coarse = coarse.all
    # Gradients are smaller here than at the start, the spread of samples is not: Δ and B are to suit both.
    response, around = await measure_response(device, best.state.theta, noise)
    result.responses += (response,)
    if response.seen.any():
        await device.write(around)
        result.gradient_noise += (await measure_gradient_noise(device, amplitude, noise),)
    amplitude = best_delta([one for one in result.responses if one.seen.any()])
    batch = max(batch, *(one.best for one in result.gradient_noise))
    experiment = _with(start, device, amplitude, plan, batch, best.eta)
    attempt = Attempt(experiment, plan, amplitude)
    budget = int(FINE * (device.remaining - RESERVE))
    fine = PilotRuns(device, experiment, compared, sigma, budget, fresh, noise.drifts)
    best = await fine.fine(best.eta)
    eta = towards_usual(fine.mean_eta(), first_eta)
    result.learning = await fine.learning(best)
    if not result.learning.seen:
        attempt, best = await _try_alternatives(device, result, attempt, fine, first_eta)
        if attempt.experiment.optimizer.name == "sgd":  # whose η is another thing
            eta = best.eta
    result.pilots = fine.all
    assert result.learning is not None, "measured above"
    if not result.learning.seen:
        result.problem = no_learning_message(device, result)
        return
    result.recommendation = _recommend(device, result, attempt, best, eta)


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
    plan: UpdatePlan
    amplitude: int


async def _try_alternatives(
    device: BudgetedDevice, result: Characterization, first: Attempt, fine: PilotRuns, first_eta: float
) -> tuple[Attempt, Pilot]:
    """Where no pilot has learnt anything: longer, with larger perturbations, and with another optimizer."""
    best = fine.steady(MOST_ETA * first_eta)
    await fine.continue_run(best, int(LONGER * (device.remaining - RESERVE)))
    result.learning = await fine.learning(best)
    if result.learning.seen:
        return first, best
    tried, share = (first, best), (device.remaining - RESERVE) // 2
    for attempt, eta in _alternatives(device, result, first, best):
        pilots = fine.for_experiment(attempt.experiment, share)
        pilot = await pilots.single(eta)
        result.others += (pilot,)
        learning = await pilots.learning(pilot)
        if learning.seen or learning.cost < result.learning.cost:
            result.learning, tried = learning, (attempt, pilot)
        if learning.seen:
            break
    return tried


def _alternatives(
    device: BudgetedDevice, result: Characterization, first: Attempt, best: Pilot
) -> list[tuple[Attempt, float]]:
    """What else is tried, with the η that it is tried with."""
    amplitudes = result.responses[0].amplitudes
    amplitude = int(amplitudes[amplitudes <= LARGER * first.amplitude][-1])
    plan = replace(first.plan, baseline=Baseline.ANTITHETIC)
    experiment = first.experiment
    larger = _with(experiment, device, amplitude, plan, experiment.training.batch, best.eta)
    sgd = experiment.model_copy(update={"optimizer": type(experiment.optimizer)(name="sgd", eta=first.plan.eta)})
    return [
        (Attempt(larger, plan, amplitude), best.eta),
        (Attempt(sgd, first.plan, first.amplitude), sgd.optimizer.eta),
    ]


def _recommend(
    device: BudgetedDevice, result: Characterization, attempt: Attempt, best: Pilot, eta: float
) -> Recommendation:
    batch, probes = attempt.experiment.training.batch, RUN * result.limit // 2
    # The gradient shrinks in a training, the spread of samples' gradients does not: samples are not held for a window.
    plan = replace(
        attempt.plan, baseline=Baseline.ANTITHETIC, tau=max(attempt.plan.tau, _power_of_two(probes / UPDATES))
    )
    # What an evaluation is worth in pilots asks for a larger Δ than the end of training, where curvature biases.
    usual = default_amplitude("random", device.info)
    amplitude = min(attempt.amplitude, -(-(attempt.amplitude + usual) // 2))
    experiment = _with(attempt.experiment, device, amplitude, plan, batch, eta)
    training = experiment.training.model_copy(update={"probes": probes // plan.tau * plan.tau})
    schedule = experiment.schedule.model_copy(update={"name": "cosine", "final": FINAL})
    readings = experiment.readings
    if result.noise is not None and result.noise.has_outliers:
        readings = readings.model_copy(update={"outliers": "repeat"})
    return Recommendation(
        delta=amplitude * float(np.max(device.info.theta_lsb)),
        tau=plan.tau,
        batch=batch,
        eta=experiment.optimizer.eta,
        baseline=plan.baseline,
        reasons=reasons(result, plan, best, amplitude, batch, experiment.optimizer),
        experiment=experiment.model_copy(update={"training": training, "schedule": schedule, "readings": readings}),
    )


def _power_of_two(number: float) -> int:
    """The nearest one, on a logarithmic scale."""
    return 1 << max(0, round(math.log2(number)))


def _with(
    start: Experiment, device: BudgetedDevice, amplitude: int, plan: UpdatePlan, batch: int, eta: float
) -> Experiment:
    """The experiment with what is known by now."""
    held = plan.baseline is Baseline.HELD
    training = start.training.model_copy(
        update={
            "batch": batch,
            "tau_theta": plan.tau,
            "tau_x": plan.tau if held else 1,  # a pair needs no baseline, so its samples need not be held
            "baseline": str(plan.baseline),
        }
    )
    delta = amplitude * float(np.max(device.info.theta_lsb))
    return start.model_copy(
        update={
            "training": training,
            "codes": start.codes.model_copy(update={"delta": delta}),
            "optimizer": start.optimizer.model_copy(update={"eta": float(f"{eta:.3g}")}),
        }
    )
