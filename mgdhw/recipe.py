"""From an experiment, a device and a dataset to the recipe and the state that training begins with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mgdhw import digest
from mgdhw.amplitude import default_amplitude
from mgdhw.block import CodeSpec
from mgdhw.config import Experiment
from mgdhw.datasets import Dataset
from mgdhw.device import DeviceInfo
from mgdhw.errors import ConfigError
from mgdhw.gradient import Analog, Window
from mgdhw.loop import Grid, Recipe
from mgdhw.order import SampleOrder
from mgdhw.parameters import guard, initial
from mgdhw.state import TrainState


def recipe_of(experiment: Experiment, info: DeviceInfo, n_train: int) -> tuple[Recipe, list[str]]:
    """All that decides how costs become parameters, and what the user should know about it.

    Args:
        experiment: what to do.
        info: of the open device.
        n_train: number of training samples.

    Raises:
        ConfigError: the perturbation is smaller than a step of the device's parameters, or leaves no room.
    """
    training = experiment.training
    amplitude, notes = _amplitude(experiment, info)
    low, high = guard(info, amplitude)
    codes = experiment.codes
    recipe = Recipe(
        codes=CodeSpec(codes.family, experiment.seed, amplitude, codes.groups, codes.density),
        order=SampleOrder(experiment.seed, n_train, training.batch, training.tau_x),
        baseline=training.block_baseline,
        continuous=training.mode == "continuous",
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
    )
    return recipe, notes


def first_state(
    experiment: Experiment, info: DeviceInfo, recipe: Recipe, dataset: Dataset, held: NDArray[np.float64] | None = None
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
        analog=Analog.empty(info.n_parameters),
        held=None,
        evaluations=0,
        chain=digest.begin(experiment.decisive(), dataset.digest),
    )


def _amplitude(experiment: Experiment, info: DeviceInfo) -> tuple[int, list[str]]:
    """Δ in steps of a parameter."""
    codes, lsb = experiment.codes, float(np.max(info.theta_lsb))
    if codes.delta is None:
        return default_amplitude(codes.family, info), []
    amplitude = int(np.floor(codes.delta / lsb + 0.5))
    if amplitude < 1:
        raise ConfigError(
            f"codes.delta: {codes.delta:g} is less than half of the smallest step of a parameter of"
            f" {info.model}, {lsb:g}; expected at least {lsb:g}"
        )
    if amplitude * lsb == codes.delta:
        return amplitude, []
    return amplitude, [f"codes.delta {codes.delta:g} is taken as {amplitude * lsb:g}: {amplitude} steps of a parameter"]
