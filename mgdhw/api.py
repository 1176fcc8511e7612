"""Training and evaluation in one call, for the command line, scripts and notebooks."""

from __future__ import annotations

import asyncio
import logging
import shlex
from collections.abc import Coroutine, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, overload

from mgdhw.costs import CostFunction
from mgdhw.device import Device
from mgdhw.errors import CheckpointError, ConfigError, RunError
from mgdhw.experiment.inputs import input_notes
from mgdhw.experiment.overrides import checked_overrides
from mgdhw.experiment.own_cost import same_cost
from mgdhw.experiment.resolve import OwnData, Source, load_as_kept, opening
from mgdhw.runs import Evaluation, Run, evaluate_run, find_run, replicate, single
from mgdhw.runs.compatibility import base_of, check_began, identity_of
from mgdhw.runs.handle import Session, blocking
from mgdhw.runs.replicate import ReplicasListener
from mgdhw.runs.single import Listener, Result
from mgdhw.training.results import ReplicasResult

log = logging.getLogger("mgdhw.training")

__all__ = [
    "Listener",
    "ReplicasListener",
    "ReplicasResult",
    "Result",
    "Source",
    "evaluate",
    "evaluate_async",
    "train",
    "train_async",
]


@overload
async def train_async(
    experiment: Source | None = None,
    *,
    dataset: OwnData | None = None,
    device: str | Device | None = None,
    resume: str | Path | None = None,
    replicas: None = None,
    runs: str | Path | None = "runs",
    overrides: Iterable[str] = (),
    cost: CostFunction | None = None,
    listeners: Iterable[Listener] = (),
    session: Session | None = None,
) -> Result: ...
@overload
async def train_async(
    experiment: Source | None = None,
    *,
    dataset: OwnData | None = None,
    device: str | Device | None = None,
    resume: str | Path | None = None,
    replicas: int,
    runs: str | Path | None = "runs",
    overrides: Iterable[str] = (),
    cost: CostFunction | None = None,
    listeners: Iterable[ReplicasListener] = (),
    session: Session | None = None,
) -> ReplicasResult: ...
async def train_async(
    experiment: Source | None = None,
    *,
    dataset: OwnData | None = None,
    device: str | Device | None = None,
    resume: str | Path | None = None,
    replicas: int | None = None,
    runs: str | Path | None = "runs",
    overrides: Iterable[str] = (),
    cost: CostFunction | None = None,
    listeners: Iterable[Any] = (),
    session: Session | None = None,
) -> Result | ReplicasResult:
    """Train, and save the run.

    Args:
        experiment: a TOML file, a mapping of the same form, or an Experiment; None trains the packaged digits.
        dataset: your own data instead of the experiment's: (X, y), which is split, (X, y, X_test, y_test), or a
            `Dataset`. Arrays of numpy, tensors, frames; y are labels, one-hot rows, or numbers in 0 ... 1 (see
            `mgdhw.datasets.from_arrays`). They are saved with the run. "data.test_fraction" and "data.seed" control
            the split, "data.scale" the scaling ("auto"); without a device, a matching simulated chip is trained.
        device: an address or a device instead of the experiment's; an open device stays open.
        resume: a run to resume (a folder, or an id within `runs`), instead of an experiment.
        replicas: number of independent trainings; replica r has the experiment's seed + r. The result is the
            distribution of their time to solution. To resume a set, give its original number.
        runs: folder for runs; None saves nothing.
        overrides: changes to the experiment such as "optimizer.eta=0.1".
        cost: a function of (B, n_out) outputs and targets that returns (B,) costs, instead of the device's own cost,
            for devices whose cost is computed by the host. A run with one has to be resumed with the same.
        listeners: called with every event, in order (`mgdhw.training.events.ReplicasEvent` for replicas).
        session: a handle to stop training; each training needs a new one.

    Raises:
        ConfigError: experiment, device and dataset are invalid or do not fit each other, or the session was used.
        DatasetError: the dataset is not available.
        DeviceUnavailable: the device is not connected, not the run's, or in use.
        DeviceError: the device failed.
        RunError: the run cannot be saved or found, is in use, or was edited or damaged.
        CheckpointError: no checkpoint can be read, or it belongs to another run.
    """
    session = session or Session()
    changes, called = checked_overrides(overrides), tuple(listeners)
    work = _work(experiment, device, resume, replicas, runs, changes, called, session, dataset, cost)
    try:
        return await work
    except asyncio.CancelledError:
        if not session.was_asked and session.run is not None:  # a notebook cell, or a program under asyncio.run
            log.warning("training was interrupted%s", session.resume_hint())
        raise


async def _work(
    experiment: Source | None,
    device: str | Device | None,
    resume: str | Path | None,
    replicas: int | None,
    runs: str | Path | None,
    overrides: tuple[str, ...],
    listeners: tuple[Any, ...],
    session: Session,
    dataset: OwnData | None,
    cost: CostFunction | None,
) -> Result | ReplicasResult:
    folder = None if runs is None else Path(runs)
    with session.used():
        if resume is not None:
            if experiment is not None:
                raise ConfigError("give either an experiment or a run to resume, not both")
            if dataset is not None:
                raise ConfigError("dataset: not allowed with resume; the run has its own dataset")
            run = find_run(resume, folder)
            if run.replicas() != replicas:
                raise ConfigError(_how_many(run))
            if replicas is not None:
                return await replicate.resume(run, replicas, device, overrides, listeners, session, cost)
            return await single.resume(run, device, overrides, listeners, session, cost)
        how: Any = (device, folder, overrides, listeners, session, dataset, cost)
        if replicas is not None:
            return await replicate.begin(experiment, replicas, *how)
        return await single.begin(experiment, *how)


@overload
def train(
    experiment: Source | None = None,
    *,
    dataset: OwnData | None = None,
    device: str | Device | None = None,
    resume: str | Path | None = None,
    replicas: None = None,
    runs: str | Path | None = "runs",
    overrides: Iterable[str] = (),
    cost: CostFunction | None = None,
    listeners: Iterable[Listener] = (),
    session: Session | None = None,
) -> Result: ...
@overload
def train(
    experiment: Source | None = None,
    *,
    dataset: OwnData | None = None,
    device: str | Device | None = None,
    resume: str | Path | None = None,
    replicas: int,
    runs: str | Path | None = "runs",
    overrides: Iterable[str] = (),
    cost: CostFunction | None = None,
    listeners: Iterable[ReplicasListener] = (),
    session: Session | None = None,
) -> ReplicasResult: ...
def train(
    experiment: Source | None = None,
    *,
    dataset: OwnData | None = None,
    device: str | Device | None = None,
    resume: str | Path | None = None,
    replicas: int | None = None,
    runs: str | Path | None = "runs",
    overrides: Iterable[str] = (),
    cost: CostFunction | None = None,
    listeners: Iterable[Any] = (),
    session: Session | None = None,
) -> Result | ReplicasResult:
    """Train and wait for the result: blocking version of `train_async`. Also works in notebooks.

    Ctrl-C stops cleanly and is then raised as KeyboardInterrupt; the run can be resumed. Finished replicas are saved.
    """
    session = session or Session()
    options: dict[str, Any] = {"resume": resume, "replicas": replicas}  # the overload is determined by the caller
    work: Coroutine[Any, Any, Result | ReplicasResult] = train_async(
        experiment,
        dataset=dataset,
        device=device,
        runs=runs,
        overrides=overrides,
        cost=cost,
        listeners=listeners,
        session=session,
        **options,
    )
    return blocking(work, session)


async def evaluate_async(
    run: str | Path,
    *,
    device: str | Device | None = None,
    runs: str | Path = "runs",
    cost: CostFunction | None = None,
) -> Evaluation:
    """Evaluate the network of a run on all of its data.

    Args:
        run: a folder, or an id within `runs`.
        device: an address or a device instead of the run's.
        runs: folder of runs.
        cost: the cost function that the run was trained with, if any.

    Raises:
        ConfigError: the cost function of the run is missing, or a different one is given.
        RunError: there is no such run, or it is a set of replicas.
        CheckpointError: it has no readable checkpoint, or one of a different network, experiment or dataset.
        DatasetError: the dataset is not available.
        DeviceError: the device failed.
    """
    found = find_run(run, Path(runs))
    notes = found.check()
    if found.replicas() is not None:
        raise RunError(
            f"run {found.folder} is a set of replicas, which does not save networks; train the one to evaluate with:"
            f" mgdhw train {shlex.quote(str(found.experiment_file))} --seed SEED"
        )
    experiment = found.experiment()
    saved, unreadable = found.latest()
    notes += unreadable
    if saved is None:
        raise CheckpointError(f"run {found.folder} has no checkpoint yet; continue with: {found.resume_command()}")
    dataset = load_as_kept(experiment, base_of(found))
    same_cost(experiment, experiment, cost, dataset)
    check_began(found, saved.extra.get("began"), experiment, dataset)
    async with opening(experiment.device.uri if device is None else device, cost) as opened:
        began_on = identity_of(found)
        if began_on not in (None, opened.info.identity):
            notes.append(f"{opened.uri} is {opened.info.identity}; the run was started on {began_on}")
        notes += input_notes(opened.info, dataset)
        evaluation = await evaluate_run(experiment, opened, dataset, saved.state)
    return replace(evaluation, run=found.folder, notes=tuple(notes))


def evaluate(
    run: str | Path,
    *,
    device: str | Device | None = None,
    runs: str | Path = "runs",
    cost: CostFunction | None = None,
) -> Evaluation:
    """Evaluate the network of a run on all of its data, and wait for the result. See `evaluate_async`."""
    return blocking(evaluate_async(run, device=device, runs=runs, cost=cost), Session())


def _how_many(run: Run) -> str:
    replicas = run.replicas()
    if replicas is None:
        return f"run {run.folder} is a single training; resume it without replicas"
    return f"run {run.folder} is a set of {replicas} replicas; resume it with replicas={replicas}"
