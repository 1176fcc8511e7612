"""Training and evaluation in one call, for the command line, scripts and notebooks."""

from __future__ import annotations

import asyncio
import logging
import shlex
import warnings
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from numpy.typing import ArrayLike

from mgdhw.costs import CostFunction
from mgdhw.device import Device
from mgdhw.device.interlock import Interlocks, as_interlocks
from mgdhw.errors import CheckpointError, ConfigError, RunError
from mgdhw.experiment.inputs import input_notes
from mgdhw.experiment.overrides import checked_overrides
from mgdhw.experiment.own_cost import same_cost
from mgdhw.experiment.resolve import OwnData, Source, load_as_kept, opening
from mgdhw.runs import Evaluation, Run, evaluate_run, find_run, runner
from mgdhw.runs.compatibility import base_of, check_began, identity_of
from mgdhw.runs.handle import TrainingHandle, blocking
from mgdhw.runs.kinds import ReplicaSet, SingleTraining
from mgdhw.runs.start import Which, start_from
from mgdhw.training.events import Event, Measured, ReplicasEvent
from mgdhw.training.readings import report_readings
from mgdhw.training.results import ReplicasResult, Result

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
    "train_replicas",
    "train_replicas_async",
]

Listener = Callable[[Event], None]
ReplicasListener = Callable[[ReplicasEvent], None]
Outcome = TypeVar("Outcome", bound=Result | ReplicasResult)


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
    start: str | Path | ArrayLike | None = None,
    start_at: Which = "last",
    interlocks: Interlocks = (),
    listeners: Iterable[Listener] = (),
    session: TrainingHandle | None = None,
) -> Result:
    """Train, and save the run.

    Args:
        experiment: a TOML file, a mapping of the same form, or an Experiment; None trains the packaged digits.
        dataset: your own data instead of the experiment's: (X, y), which is split, (X, y, X_test, y_test), or a
            `Dataset`. Arrays of numpy, tensors, frames; y are labels, one-hot rows, or numbers in 0 ... 1 (see
            `mgdhw.datasets.from_arrays`). They are saved with the run. "data.test_fraction" and "data.seed" control
            the split, "data.scale" the scaling ("auto"); without a device, a matching simulated chip is trained.
        device: an address or a device instead of the experiment's; an open device stays open.
        resume: a run to resume (a folder, or an id within `runs`), instead of an experiment.
        replicas: deprecated; see `train_replicas_async`.
        runs: folder for runs; None saves nothing.
        overrides: changes to the experiment such as "optimizer.eta=0.1".
        cost: a function of (B, n_out) outputs and targets that returns (B,) costs, instead of the device's own cost,
            for devices whose cost is computed by the host. A run with one has to be resumed with the same.
        start: begin with the θ of another run (a folder, or an id within `runs`; without `experiment`, that run's is
            repeated), or with (P,) numbers, instead of what `training.init` says.
        start_at: which θ of the run: that of its last checkpoint, or that of its best evaluation.
        interlocks: conditions that must hold before each block and evaluation, besides those of the device: functions
            that return True, or `mgdhw.Interlock(name, function, when_open)`.
        listeners: called with every event, in order.
        session: a handle to stop training; each training needs a new one.

    Raises:
        ConfigError: experiment, device and dataset are invalid or do not fit each other, or the session was used.
        DatasetError: the dataset is not available.
        DeviceUnavailable: the device is not connected, not the run's, or in use.
        DeviceError: the device failed.
        InterlockOpen: an interlock is open before training begins, or where it says so.
        RunError: the run cannot be saved or found, is in use, or was edited or damaged.
        CheckpointError: no checkpoint can be read, or it belongs to another run.
    """
    kind, experiment = _single(experiment, replicas, start, start_at, interlocks, resume, runs)
    result: Result = await _run(
        kind, replicas, experiment, dataset, device, resume, runs, overrides, cost, listeners, session
    )
    return result


async def train_replicas_async(
    experiment: Source | None = None,
    *,
    replicas: int,
    dataset: OwnData | None = None,
    device: str | Device | None = None,
    resume: str | Path | None = None,
    runs: str | Path | None = "runs",
    overrides: Iterable[str] = (),
    cost: CostFunction | None = None,
    listeners: Iterable[ReplicasListener] = (),
    session: TrainingHandle | None = None,
) -> ReplicasResult:
    """Train many times, independently, and save the result of each.

    Args:
        replicas: number of trainings; replica r has the experiment's seed + r. The result is the distribution of their
            time to solution. To resume a set, give its original number.
        experiment, dataset, device, resume, runs, overrides, cost, listeners, session: see `train_async`; listeners
            are called with `mgdhw.training.events.ReplicasEvent`.

    Raises:
        ConfigError: there cannot be so many replicas, or one of the reasons of `train_async`, whose other errors are
            raised, too.
    """
    return await _run(
        ReplicaSet(replicas), replicas, experiment, dataset, device, resume, runs, overrides, cost, listeners, session
    )


async def _run(
    kind: runner.RunKind[Outcome],
    replicas: int | None,
    experiment: Source | None,
    dataset: OwnData | None,
    device: str | Device | None,
    resume: str | Path | None,
    runs: str | Path | None,
    overrides: Iterable[str],
    cost: CostFunction | None,
    listeners: Iterable[Callable[[Any], None]],
    session: TrainingHandle | None,
) -> Outcome:
    session = session or TrainingHandle()
    options = runner.Options(device, checked_overrides(overrides), tuple(listeners), session, cost)
    folder = None if runs is None else Path(runs)
    try:
        with session.used():
            if resume is None:
                return await runner.begin(kind, experiment, dataset, folder, options)
            if experiment is not None:
                raise ConfigError("give either an experiment or a run to resume, not both")
            if dataset is not None:
                raise ConfigError("dataset: not allowed with resume; the run has its own dataset")
            run = find_run(resume, folder)
            if run.replicas() != replicas:
                raise ConfigError(_how_many(run))
            return await runner.resume(kind, run, options)
    except asyncio.CancelledError:
        if not session.was_asked and session.run is not None:  # a cell of a notebook, or a program under asyncio.run
            log.warning("training was interrupted%s", session.resume_hint())
        raise


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
    start: str | Path | ArrayLike | None = None,
    start_at: Which = "last",
    interlocks: Interlocks = (),
    listeners: Iterable[Listener] = (),
    session: TrainingHandle | None = None,
) -> Result:
    """Train and wait for the result: blocking version of `train_async`. Also works in notebooks.

    Ctrl-C stops cleanly and is then raised as KeyboardInterrupt; the run can be resumed.
    """
    session = session or TrainingHandle()
    kind, experiment = _single(experiment, replicas, start, start_at, interlocks, resume, runs)
    work: Coroutine[Any, Any, Result] = _run(
        kind, replicas, experiment, dataset, device, resume, runs, overrides, cost, listeners, session
    )
    return blocking(work, session)


def train_replicas(
    experiment: Source | None = None,
    *,
    replicas: int,
    dataset: OwnData | None = None,
    device: str | Device | None = None,
    resume: str | Path | None = None,
    runs: str | Path | None = "runs",
    overrides: Iterable[str] = (),
    cost: CostFunction | None = None,
    listeners: Iterable[ReplicasListener] = (),
    session: TrainingHandle | None = None,
) -> ReplicasResult:
    """Train replicas and wait for the result: blocking version of `train_replicas_async`.

    Ctrl-C stops cleanly and is then raised as KeyboardInterrupt; finished replicas are saved.
    """
    session = session or TrainingHandle()
    work = train_replicas_async(
        experiment,
        replicas=replicas,
        dataset=dataset,
        device=device,
        resume=resume,
        runs=runs,
        overrides=overrides,
        cost=cost,
        listeners=listeners,
        session=session,
    )
    return blocking(work, session)


def _single(
    experiment: Source | None,
    replicas: int | None,
    start: str | Path | ArrayLike | None,
    start_at: Which,
    interlocks: Interlocks,
    resume: str | Path | None,
    runs: str | Path | None,
) -> tuple[Any, Source | None]:
    """What `train` runs, and the experiment: without one, that of the run whose θ it begins with."""
    if start is None and start_at != "last":
        raise ConfigError("start_at: says which θ of a run training begins with; give the run, too: start=RUN")
    if replicas is not None:  # the way before there was `train_replicas`
        if start is not None or interlocks:
            raise ConfigError("start, interlocks: not allowed with replicas; train a single training")
        warnings.warn(
            "train(..., replicas=N) is deprecated; use mgdhw.train_replicas(..., replicas=N)", DeprecationWarning, 3
        )
        return ReplicaSet(replicas), experiment
    conditions = as_interlocks(interlocks)
    if start is None:
        return SingleTraining(None, conditions), experiment
    if resume is not None:
        raise ConfigError("start: not allowed with resume; a run goes on from its own checkpoint")
    begin = start_from(start, start_at, None if runs is None else Path(runs))
    if experiment is None and begin.run is not None:
        experiment = begin.run.experiment_file
    return SingleTraining(begin, conditions), experiment


async def evaluate_async(
    run: str | Path,
    *,
    device: str | Device | None = None,
    runs: str | Path = "runs",
    cost: CostFunction | None = None,
    best: bool = False,
    listeners: Iterable[Callable[[Measured], None]] = (),
) -> Evaluation:
    """Evaluate the network of a run on all of its data.

    Args:
        run: a folder, or an id within `runs`.
        device: an address or a device instead of the run's.
        runs: folder of runs.
        cost: the cost function that the run was trained with, if any.
        best: evaluate the θ of the best evaluation of its learning curve, instead of that of its last checkpoint.
        listeners: called while a device makes readings that take their time, with their number so far.

    Raises:
        ConfigError: the cost function of the run is missing, or a different one is given.
        RunError: there is no such run, or it is a set of replicas.
        CheckpointError: it has no readable checkpoint or best θ, or one of a different network, experiment or dataset.
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
    saved, unreadable = (found.best(), []) if best else found.latest()
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

        def notify(event: Measured) -> None:
            for listener in listeners:
                listener(event)

        with report_readings(opened, notify):
            evaluation = await evaluate_run(experiment, opened, dataset, saved.state)
    return replace(evaluation, run=found.folder, notes=tuple(notes))


def evaluate(
    run: str | Path,
    *,
    device: str | Device | None = None,
    runs: str | Path = "runs",
    cost: CostFunction | None = None,
    best: bool = False,
    listeners: Iterable[Callable[[Measured], None]] = (),
) -> Evaluation:
    """Evaluate the network of a run on all of its data, and wait for the result. See `evaluate_async`."""
    work = evaluate_async(run, device=device, runs=runs, cost=cost, best=best, listeners=listeners)
    return blocking(work, TrainingHandle())


def _how_many(run: Run) -> str:
    replicas = run.replicas()
    if replicas is None:
        return f"run {run.folder} is a single training; resume it with train"
    return f"run {run.folder} is a set of {replicas} replicas; resume it with train_replicas, replicas={replicas}"
