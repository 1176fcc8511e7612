"""From an experiment, a device and a dataset to the recipe and the state that training begins with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mgdhw.block import CodeSpec
from mgdhw.codes import Codes
from mgdhw.datasets import Dataset
from mgdhw.device import DeviceInfo
from mgdhw.errors import ConfigError
from mgdhw.experiment.schema import Experiment
from mgdhw.learning import digest
from mgdhw.learning.gradient import FilterState, Window
from mgdhw.learning.high_pass import filter_weight
from mgdhw.learning.loop import Grid, Recipe
from mgdhw.learning.state import TrainState
from mgdhw.random.sample_order import SampleOrder
from mgdhw.training.amplitude import default_amplitude
from mgdhw.training.initial import guard, initial

MANY_STEPS = 1 << 31
"""More than any parameter has."""


def recipe_of(experiment: Experiment, info: DeviceInfo, n_train: int) -> tuple[Recipe, list[str]]:
    """All that decides how costs become parameters, and what the user should know about it.

    Args:
        experiment: what to do.
        info: of the open device.
        n_train: number of training samples.

    Raises:
        ConfigError: the perturbation is smaller than a step of the device's parameters, or leaves no room; there are
            not as many as layers; the high-pass of continuous mode leaves too little of it.
    """
    training, section = experiment.training, experiment.codes
    amplitudes, notes = _amplitudes(experiment, info)
    amplitude, uniform = max(amplitudes), len(set(amplitudes)) == 1
    low, high = guard(info, amplitude)
    spec = CodeSpec(
        section.family,
        experiment.seed,
        amplitude,
        section.groups,
        tuple(section.parameters.values()),
        () if uniform else amplitudes,
    )
    codes, continuous = Codes(spec, info.topology), training.mode == "continuous"
    if not continuous and training.normalise == "oripov":
        notes += _unequal_turns(training.tau_theta, len(codes.groups))
    recipe = Recipe(
        codes=spec,
        order=SampleOrder(experiment.seed, n_train, training.batch, training.tau_x),
        baseline=training.block_baseline,
        continuous=continuous,
        update_period=training.update_period,
        tau_theta=training.tau_theta,
        tau_hp=training.tau_hp,
        normalise=training.normalise,
        optimizer=experiment.optimizer.build(),
        eta=experiment.optimizer.eta,
        schedule=experiment.schedule.build(),
        updates=training.probes // training.update_period,
        stochastic=training.rounding == "stochastic",
        grid=Grid(info.theta_min, info.theta_max, info.theta_lsb),
        low=low,
        high=high,
        cost_lsb=info.cost_lsb,
        seed=experiment.seed,
        filter_weight=filter_weight(codes, training.tau_hp, info.theta_lsb) if continuous else None,
    )
    return recipe, notes


def deltas_of(experiment: Experiment, info: DeviceInfo) -> list[float]:
    """Δ in the parameters' units, as the device represents it: of all parameters, or of each layer's.

    Raises:
        ConfigError: like `recipe_of`.
    """
    amplitudes, _ = _amplitudes(experiment, info)
    if not isinstance(experiment.codes.delta, list):
        return [amplitudes[0] * float(np.max(info.theta_lsb))]
    return [amplitude * lsb for amplitude, lsb in zip(amplitudes, _steps(info), strict=True)]


def first_state(
    experiment: Experiment,
    info: DeviceInfo,
    recipe: Recipe,
    dataset: Dataset,
    held: NDArray[np.float64] | None = None,
) -> TrainState:
    """The state before the first probe.

    Args:
        experiment, info, recipe, dataset: what is trained, and how.
        held: (P,) what the hardware holds, where the experiment begins with that.
    """
    theta = np.clip(initial(experiment, info, held), recipe.low, recipe.high)
    return TrainState(
        step=0,
        update=0,
        theta=theta,
        optimizer=recipe.optimizer.init(info.n_parameters),
        window=Window.empty(info.n_parameters),
        analog=FilterState.empty(info.n_parameters),
        held=None,
        evaluations=0,
        chain=digest.begin(experiment.decisive(), dataset.digest),
    )


def _amplitudes(experiment: Experiment, info: DeviceInfo) -> tuple[tuple[int, ...], list[str]]:
    """Δ in steps of a parameter, one or one for each layer, and what the user should know about it."""
    codes, lsb = experiment.codes, float(np.max(info.theta_lsb))
    if codes.delta is None:
        return (default_amplitude(codes.family, info),), []
    if not isinstance(codes.delta, list):
        amplitude, notes = _amplitude(codes.delta, lsb, info)
        return (amplitude,), notes
    layers = info.topology.layers
    if len(codes.delta) != len(layers):
        has = f"{info.model} has {len(layers)} layers" if layers else f"nobody knows the layers of {info.model}"
        expected = f"one number or {len(layers)}" if layers else "one number"
        raise ConfigError(f"codes.delta: a list of {len(codes.delta)}, but {has}; expected {expected}")
    each = [_amplitude(delta, lsb, info) for delta, lsb in zip(codes.delta, _steps(info), strict=True)]
    return tuple(amplitude for amplitude, _ in each), [note for _, notes in each for note in notes]


def _steps(info: DeviceInfo) -> list[float]:
    """The largest step of a parameter in each layer."""
    steps = np.broadcast_to(np.asarray(info.theta_lsb, dtype=np.float64), info.n_parameters)
    return [float(np.max(steps[layer.parameters])) for layer in info.topology.layers]


def _amplitude(delta: float, lsb: float, info: DeviceInfo) -> tuple[int, list[str]]:
    """One Δ in steps of a parameter."""
    amplitude = int(min(np.floor(delta / lsb + 0.5), MANY_STEPS))
    if amplitude < 1:
        raise ConfigError(
            f"codes.delta: {delta:g} is less than half of the smallest step of a parameter of"
            f" {info.model}, {lsb:g}; expected at least {lsb:g}"
        )
    if amplitude * lsb == delta:
        return amplitude, []
    return amplitude, [f"codes.delta {delta:g} is taken as {amplitude * lsb:g}: {amplitude} steps of a parameter"]


def _unequal_turns(tau_theta: int, groups: int) -> list[str]:
    """What the user should know where layers take turns, and an update is not a whole number of rounds."""
    if tau_theta % groups == 0:
        return []
    below = tau_theta // groups * groups
    near = f"{below} and {below + groups} give" if below else f"{groups} gives"
    return [
        f"training.tau_theta = {tau_theta} is no multiple of the {groups} layers that take turns: for each update"
        " some are perturbed once more than others, and normalise = oripov divides all by the same number;"
        f" {near} them equal weight"
    ]
