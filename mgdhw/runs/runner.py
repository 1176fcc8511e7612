"""Trainings and sets of replicas: begun or resumed, followed to their end, and kept."""

from __future__ import annotations

import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from mgdhw.costs import CostFunction
from mgdhw.datasets import Dataset
from mgdhw.device import Device
from mgdhw.device.control import take_control
from mgdhw.experiment.load import with_overrides
from mgdhw.experiment.own_cost import same_cost
from mgdhw.experiment.resolve import OwnData, Source, load_as_kept, opening, task_of
from mgdhw.experiment.schema import Experiment
from mgdhw.runs import Recorder, ReplicasRecorder, Run, RunLock, begin_run
from mgdhw.runs.compatibility import base_of, check_delta, check_identity, check_resumable, record_of
from mgdhw.runs.handle import TrainingHandle
from mgdhw.training.events import Checkpoint, ReplicasStarted, Started
from mgdhw.training.readings import report_readings
from mgdhw.training.replicas import Replicas
from mgdhw.training.results import ReplicasResult, Result
from mgdhw.training.trainer import Trainer

Outcome = TypeVar("Outcome", bound=Result | ReplicasResult)


@dataclass(frozen=True)
class Options:
    """What a user wants of a training, or of a set of replicas, besides the experiment.

    Args:
        device: an address or a device instead of the experiment's.
        overrides: changes to the experiment.
        listeners: called with every event, in order.
        session: a handle to stop it by.
        cost: the user's, instead of the device's.
    """

    device: str | Device | None
    overrides: tuple[str, ...]
    listeners: tuple[Callable[[Any], None], ...]
    session: TrainingHandle
    cost: CostFunction | None


class RunKind(ABC, Generic[Outcome]):
    """What is run: one training, or a set of replicas (`mgdhw.runs.kinds`). Each object is run once."""

    purpose: ClassVar[str]
    """What the device is controlled for."""
    changeable: ClassVar[tuple[str, ...]]
    """Sections of the experiment that may be changed when it is resumed."""

    def provenance(self) -> dict[str, Any]:
        """What `provenance.json` says of it, besides what it says of every run."""
        return {}

    def started(self, experiment: Experiment) -> Experiment:
        """A new experiment, which says what it begins with."""
        return experiment

    @abstractmethod
    def check(self, experiment: Experiment) -> None:
        """Raise ConfigError if an experiment cannot be run like this."""

    @abstractmethod
    def resume_from(
        self, run: Run, kept: Experiment, experiment: Experiment, dataset: Dataset
    ) -> tuple[Outcome | None, list[str]]:
        """Restore what is kept of a run.

        Args:
            run: locked.
            kept, experiment: as the run began, and as it goes on.
            dataset: the run's.

        Returns:
            The result, where the run is finished, else None; and what the user should know.

        Raises:
            RunError, CheckpointError: nobody can go on from that.
        """

    @abstractmethod
    def trainer(self, experiment: Experiment, device: Device, dataset: Dataset) -> Trainer | Replicas:
        """What iterates over it, on a device that somebody controls."""

    @abstractmethod
    def recorder(
        self, run: Run, experiment: Experiment, dataset: Dataset, session: Mapping[str, Any] | None = None
    ) -> Recorder | ReplicasRecorder:
        """What keeps it; `session`: what is different from the session before, if the run is resumed."""

    @abstractmethod
    def observe(self, event: Any) -> None:
        """Take in what the trainer says."""

    @abstractmethod
    def result(self, run: Run | None, seconds: float) -> Outcome:
        """What came of it, `seconds` after it began in this session."""


async def begin(
    kind: RunKind[Outcome], experiment: Source | None, own: OwnData | None, runs: Path | None, options: Options
) -> Outcome:
    """Run something new, and keep it in the folder of runs if there is one. See `mgdhw.api.train_async`."""
    task = task_of(experiment, own, options.overrides).with_cost(options.cost)
    task = replace(task, experiment=kind.started(task.experiment))
    kind.check(task.experiment)
    # What is kept is waited for when the device is safe.
    async with (
        contextlib.AsyncExitStack() as stack,
        opening(task.experiment.device.uri if options.device is None else options.device, options.cost) as device,
    ):
        given, dataset, notes = task.on(device)

        def provenance() -> dict[str, Any]:
            record = record_of(given, dataset, device, source=task.source, base=task.base, cost=options.cost)
            return {**record, **kind.provenance()}

        async def recorder(folder: Path) -> Recorder | ReplicasRecorder:
            return kind.recorder(await begin_run(stack, folder, given, provenance, task.files), given, dataset)

        make_recorder = None if runs is None else lambda: recorder(runs)
        return await _follow(kind, kind.trainer(given, device, dataset), make_recorder, stack, options, notes)


async def resume(kind: RunKind[Outcome], run: Run, options: Options) -> Outcome:
    """Go on with a run. See `mgdhw.api.train_async`."""
    kept = run.experiment()
    experiment = with_overrides(kept, options.overrides)
    check_resumable(run, kept, experiment, kind.changeable)
    dataset = load_as_kept(experiment, base_of(run))
    same_cost(kept, experiment, options.cost, dataset)
    with RunLock(run):
        notes = run.check()
        result, about = kind.resume_from(run, kept, experiment, dataset)
        notes += about
        if result is not None:
            return replace(result, notes=(*notes, *result.notes))
        # What is kept is waited for when the device is safe.
        async with (
            contextlib.AsyncExitStack() as stack,
            opening(experiment.device.uri if options.device is None else options.device, options.cost) as device,
        ):
            if options.device is None:
                check_identity(run, device.info, device.uri)
            check_delta(run, experiment, device)

            async def recorder() -> Recorder | ReplicasRecorder:
                session = {"device": device.uri, "overrides": list(options.overrides)}
                return kind.recorder(run, experiment, dataset, session)

            return await _follow(kind, kind.trainer(experiment, device, dataset), recorder, stack, options, notes)


async def _follow(
    kind: RunKind[Outcome],
    trainer: Trainer | Replicas,
    make_recorder: Callable[[], Awaitable[Recorder | ReplicasRecorder]] | None,
    stack: contextlib.AsyncExitStack,
    options: Options,
    notes: Iterable[str],
) -> Outcome:
    """Run a trainer to its end, with everybody listening. What is kept goes on the stack."""
    start = time.monotonic()
    recorder: Recorder | ReplicasRecorder | None = None

    def notify(event: Any) -> None:
        for listener in options.listeners:
            listener(event)

    with (
        await take_control(trainer.device, kind.purpose),
        options.session.training(trainer),
        report_readings(trainer.device, notify) as done,
    ):
        async with contextlib.aclosing(trainer.__aiter__()) as events:
            event: Any
            async for event in events:
                if isinstance(event, Started | ReplicasStarted):
                    # Not before: an experiment that doesn't fit its device leaves no empty run behind.
                    if make_recorder is not None:
                        made = recorder = await make_recorder()
                        await stack.enter_async_context(options.session.keeping(made))
                        notes = [*notes, *made.notes]
                    event = replace(event, notes=(*notes, *event.notes))
                if recorder is not None:
                    recorder(event)
                    if isinstance(event, Checkpoint) and event.state.step == 0:
                        await recorder.kept()  # what it begins with cannot be asked for once the hardware has moved
                kind.observe(event)
                notify(event)
                done()
    result = kind.result(None if recorder is None else recorder.run, time.monotonic() - start)
    if recorder is not None:
        recorder.finish(result.summary())
    options.session.result = result
    return result
