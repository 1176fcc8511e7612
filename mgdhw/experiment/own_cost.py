"""A cost of the user's own, as a function in Python, on devices whose cost the host computes from their outputs.

A function cannot be kept with a run. What is kept instead is its name and its fingerprint: a hash of what it answers to
a few outputs and targets that are the same every time. So it is known again wherever it is written down, and is
another one as soon as a constant that it uses has changed.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.costs import CostFunction
from mgdhw.datasets import Dataset
from mgdhw.device import Capability, Device, HostCodes
from mgdhw.errors import ConfigError
from mgdhw.experiment.schema import Experiment, missing_cost
from mgdhw.random.philox import Stream, words

SEED = 0x636F7374
ROWS = 64
"""Pairs of outputs and targets that a cost is known by: half of the outputs are in 0 ... 1, half within +-REACH."""
REACH = 4.0
DIGITS = 16
"""Of a fingerprint, in hexadecimal."""


def with_cost(experiment: Experiment, cost: CostFunction | None, dataset: Dataset) -> Experiment:
    """The experiment with an own cost's name and fingerprint in it; as it is where there is none.

    Raises:
        ConfigError: the function is no cost, or the experiment was made with another one.
    """
    if cost is None:
        if experiment.cost is not None:
            raise ConfigError(missing_cost(experiment.cost))
        return experiment
    known = f"{name_of(cost)}@{fingerprint(cost, dataset)}"
    if experiment.cost is not None and _print_of(experiment.cost) != _print_of(known):
        raise ConfigError(
            f"cost {name_of(cost)!r} is not the one that the experiment was made with, {experiment.cost}: it answers"
            " something else to the same outputs; give that one, or begin anew without the experiment's key `cost`"
        )
    return experiment.model_copy(update={"cost": experiment.cost or known})


def same_cost(kept: Experiment, experiment: Experiment, cost: CostFunction | None, dataset: Dataset) -> None:
    """Raise ConfigError unless a run goes on with the cost that it began with."""
    if kept.cost is None and cost is not None:
        raise ConfigError(
            f"cost {name_of(cost)!r}: the run began with the cost of its device; begin a new one with another"
        )
    with_cost(experiment, cost, dataset)


@contextlib.contextmanager
def lent(device: Device, cost: CostFunction | None) -> Iterator[None]:
    """While this lasts, an open device has the user's cost, if there is one.

    Raises:
        ConfigError: the device measures its cost by itself.
    """
    if cost is None:
        yield
        return
    if not computed_by_host(device):
        raise ConfigError(
            f"{device.uri}: measures its cost ({device.info.cost_kind}) by itself, so no other can be given; a cost in"
            " Python is for devices whose outputs are read and whose cost the host computes. A simulated chip takes a"
            " table of costs from its file: [tables] in sim:FILE.toml"
        )
    before, device.own_cost = device.own_cost, functools.partial(costs, cost)
    try:
        yield
    finally:
        device.own_cost = before


def computed_by_host(device: Device) -> bool:
    """Whether the host computes an open device's cost from its outputs, and so may compute another."""
    delegated = device.info.capabilities & (Capability.PROBE | Capability.LEARN)
    return isinstance(device, HostCodes) and type(device).measure is HostCodes.measure and not delegated


def costs(cost: CostFunction, outputs: FloatArray, targets: FloatArray) -> FloatArray:
    """(B,) what a cost answers to (B, n_out) outputs and targets, which it may do with as it likes.

    Raises:
        ConfigError: it answers no number for each sample.
    """
    answer: Any = cost(outputs.copy(), targets.copy())
    try:
        found = np.asarray(answer, dtype=np.float64)
    except (TypeError, ValueError):
        raise ConfigError(_wrong(cost, f"a {type(answer).__name__}", outputs)) from None
    if found.shape != (len(outputs),):
        raise ConfigError(_wrong(cost, f"an array of shape {found.shape}", outputs))
    return found


def name_of(cost: CostFunction) -> str:
    """What it is called, for people: its module and name."""
    named = cost
    while isinstance(named, functools.partial):
        named = named.func
    kind = named if hasattr(named, "__qualname__") else type(named)
    return f"{kind.__module__}.{kind.__qualname__}"


def described(cost: CostFunction) -> dict[str, str | None]:
    """What a run's record says of it: its name, and its text where that can be had."""
    try:
        source = inspect.getsource(cost)
    except (OSError, TypeError):
        source = None
    return {"name": name_of(cost), "source": source}


def fingerprint(cost: CostFunction, dataset: Dataset) -> str:
    """A hash of what a cost answers to some outputs and the dataset's own targets.

    Answers are taken as float32: no two mathematics libraries differ by so much.

    Raises:
        ConfigError: it answers no number for each sample, or something else when it is asked again.
    """
    targets = dataset.targets[np.arange(ROWS) % len(dataset.targets)]
    drawn = words(SEED, Stream.DATA, np.arange(ROWS), targets.shape[1]) / 2.0**32
    drawn[ROWS // 2 :] = REACH * (2 * drawn[ROWS // 2 :] - 1)
    try:
        with np.errstate(all="ignore"):  # not every cost is defined everywhere
            answers = [costs(cost, drawn, targets).astype("<f4") + np.float32(0) for _ in range(2)]
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(
            f"cost {name_of(cost)!r}: raises {type(error).__name__} for outputs of -{REACH:g} ... {REACH:g}: {error}"
        ) from error
    first, again = (np.where(np.isnan(answer), np.float32(np.nan), answer).tobytes() for answer in answers)
    if first != again:
        raise ConfigError(
            f"cost {name_of(cost)!r}: answers something else when asked for the same again; expected a function of"
            " outputs and targets alone"
        )
    return hashlib.sha256(first).hexdigest()[:DIGITS]


def _print_of(known: str) -> str:
    return known.rpartition("@")[2]


def _wrong(cost: CostFunction, what: str, outputs: FloatArray) -> str:
    return (
        f"cost {name_of(cost)!r}: answered {what} to {len(outputs)} samples of {outputs.shape[1]} outputs; expected one"
        f" number for each sample, shape ({len(outputs)},): of an array like the outputs, .mean(axis=1)"
    )
