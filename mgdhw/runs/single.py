"""One training: begun or resumed, followed to its end, and kept."""

from __future__ import annotations

import contextlib
import functools
import math
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.costs import CostFunction
from mgdhw.device import Device
from mgdhw.device.control import take_control
from mgdhw.experiment.own_cost import same_cost
from mgdhw.experiment.resolve import OwnData, Source, changed, load_as_kept, opening, task_of
from mgdhw.experiment.schema import Experiment
from mgdhw.report import markup
from mgdhw.runs import Recorder, Run, RunLock, begin_run
from mgdhw.runs.checkpoint import Saved
from mgdhw.runs.compatibility import (
    base_of,
    began_with,
    check_began,
    check_delta,
    check_identity,
    check_resumable,
    record_of,
)
from mgdhw.runs.handle import Session
from mgdhw.timing import TimeAndEnergy
from mgdhw.training.events import Checkpoint, Event, Finished, Started
from mgdhw.training.trainer import Trainer
from mgdhw.training.watching import watching

Listener = Callable[[Event], None]


@dataclass(frozen=True)
class Result:
    """What came of a training.

    Args:
        reason: "done", "target" (the accuracy or cost aimed at), or "stopped" (asked to).
        accuracy: at the end, on `split`, 0 ... 1; None where the outputs are no classes (regression).
        cost: at the end, on `split`, in the device's kind of cost.
        split: "test", or "train" where the dataset has no test samples.
        evaluations: applications of a batch to the hardware, probes and baselines.
        probes: probes done.
        updates: updates of θ.
        parameter_writes: single parameters written: by updates, and by codes that the host makes.
        seconds: spent, in all sessions of the run.
        digest: of the trajectory, in hexadecimal: same digest, same bits.
        run: folder of the run, None if nothing was kept.
        theta: (P,) the optimizer's θ at the end.
        hardware: the time and energy that this takes on the device's hardware, where its timing is known.
        r2: of regression, at the end, on `split`: 1 is perfect, 0 as good as the targets' mean; else None.
        notes: what the user should know (that the run was finished already).
    """

    reason: str
    accuracy: float | None
    cost: float
    split: str
    evaluations: int
    probes: int
    updates: int
    parameter_writes: int
    seconds: float
    digest: str
    run: Path | None
    theta: NDArray[np.float64] = field(repr=False)
    hardware: TimeAndEnergy | None = None
    r2: float | None = None
    notes: tuple[str, ...] = ()

    def summary(self) -> dict[str, Any]:
        """Everything but θ and the notes, as JSON can hold it."""
        return {
            "reason": self.reason,
            "accuracy": self.accuracy,
            "r2": self.r2,
            "cost": self.cost if math.isfinite(self.cost) else None,
            "split": self.split,
            "evaluations": self.evaluations,
            "probes": self.probes,
            "updates": self.updates,
            "parameter_writes": self.parameter_writes,
            "hardware": None if self.hardware is None else self.hardware.summary(),
            "seconds": round(self.seconds, 3),
            "digest": self.digest,
            "run": None if self.run is None else str(self.run),
        }

    def _repr_html_(self) -> str:
        """For notebooks."""
        return markup.summary(self.summary(), "training")


async def begin(
    experiment: Source | None,
    device: str | Device | None,
    folder: Path | None,
    overrides: tuple[str, ...],
    listeners: tuple[Listener, ...],
    session: Session,
    own: OwnData | None = None,
    cost: CostFunction | None = None,
) -> Result:
    """A new training, kept in the folder of runs if there is one. See `mgdhw.api.train_async`."""
    task = task_of(experiment, own, overrides).with_cost(cost)
    # What is kept is waited for when the device is safe.
    async with (
        contextlib.AsyncExitStack() as stack,
        opening(task.experiment.device.uri if device is None else device, cost) as opened,
    ):
        given, dataset, notes = task.on(opened)

        async def recorder(runs: Path) -> Recorder:
            def origin() -> dict[str, Any]:
                return record_of(given, dataset, opened, source=task.source, base=task.base, cost=cost)

            return Recorder(await begin_run(stack, runs, given, origin, task.files), began_with(given, dataset))

        keep = None if folder is None else functools.partial(recorder, folder)
        trainer = Trainer(given, opened, dataset, controlled=True)
        return await _follow(trainer, keep, stack, listeners, session, notes)


async def resume(
    run: Run,
    device: str | Device | None,
    overrides: tuple[str, ...],
    listeners: tuple[Listener, ...],
    session: Session,
    cost: CostFunction | None = None,
) -> Result:
    """Go on with a run. See `mgdhw.api.train_async`."""
    kept = run.experiment()
    experiment = changed(kept, overrides)
    check_resumable(run, kept, experiment, ("device", "evaluation", "run"))
    dataset = load_as_kept(experiment, base_of(run))
    same_cost(kept, experiment, cost, dataset)
    with RunLock(run):
        notes = run.check()
        saved, unreadable = run.latest()
        notes += unreadable
        if saved is not None:
            check_began(run, saved.extra.get("began"), experiment, dataset)
            finished = _finished(run, saved, experiment, same_target=experiment.evaluation == kept.evaluation)
            if finished is not None:
                return replace(finished, notes=(*notes, *finished.notes))
        else:
            notes.append(f"run {run.folder} has no checkpoint; training begins anew")
            if "began" in run.provenance():
                check_began(run, run.provenance()["began"], experiment, dataset, "provenance.json")
        # What is kept is waited for when the device is safe.
        async with (
            contextlib.AsyncExitStack() as stack,
            opening(experiment.device.uri if device is None else device, cost) as opened,
        ):
            if device is None:
                check_identity(run, opened.info, opened.uri)
            check_delta(run, experiment, opened)
            state = None if saved is None else saved.state
            trainer = Trainer(experiment, opened, dataset, resume=state, controlled=True)

            async def recorder() -> Recorder:
                began, how = began_with(experiment, dataset), {"device": opened.uri, "overrides": list(overrides)}
                return Recorder(run, began, saved, how)

            return await _follow(trainer, recorder, stack, listeners, session, notes)


async def _follow(
    trainer: Trainer,
    keep: Callable[[], Awaitable[Recorder]] | None,
    stack: contextlib.AsyncExitStack,
    listeners: tuple[Listener, ...],
    session: Session,
    notes: Iterable[str] = (),
) -> Result:
    """Run a trainer to its end, with everybody listening. What is kept goes on the stack."""
    start = time.monotonic()
    recorder: Recorder | None = None
    finished: Finished | None = None

    def hear(event: Event) -> None:
        for listener in listeners:
            listener(event)

    with (
        await take_control(trainer.device, "a training"),
        session.training(trainer),
        watching(trainer.device, hear) as done,
    ):
        async with contextlib.aclosing(trainer.__aiter__()) as events:
            async for event in events:
                if isinstance(event, Started):
                    # Not before: an experiment that doesn't fit its device leaves no empty run behind.
                    if keep is not None:
                        recorder = await keep()
                        await stack.enter_async_context(session.keeping(recorder))
                        notes = [*notes, *recorder.notes]
                    event = replace(event, notes=(*notes, *event.notes))
                if recorder is not None:
                    recorder(event)
                    if isinstance(event, Checkpoint) and event.state.step == 0:
                        await recorder.kept()  # what it begins with cannot be asked for once the hardware has moved
                hear(event)
                done()
                if isinstance(event, Finished):
                    finished = event
    assert finished is not None, "a trainer that raises nothing ends with Finished"
    result = Result(
        reason=finished.reason,
        accuracy=finished.last.accuracy,
        cost=finished.last.cost,
        split=finished.last.split,
        evaluations=finished.state.evaluations,
        probes=finished.state.step,
        updates=finished.state.update,
        parameter_writes=finished.count.parameter_writes,
        seconds=time.monotonic() - start if recorder is None else recorder.seconds,
        digest=finished.digest,
        run=None if recorder is None else recorder.run.folder,
        theta=finished.state.theta,
        hardware=finished.hardware,
        r2=finished.last.r2,
    )
    if recorder is not None:
        recorder.finish(result.summary())
    session.result = result
    return result


def _finished(run: Run, saved: Saved, experiment: Experiment, *, same_target: bool) -> Result | None:
    """The result of a run that has nothing left to do; None if it has, or its end is not on record."""
    kept = run.summary() or {}
    wanted = experiment.evaluation
    aimed = same_target and wanted.has_target
    target_reached = kept.get("reason") == "target" and aimed
    at_end = kept.get("reason") in ("done", "target") and saved.state.step >= experiment.training.probes
    if kept.get("probes") != saved.state.step or not (target_reached or at_end):
        return None
    cost = math.nan if kept.get("cost") is None else kept["cost"]
    notes = [f"run {run.folder} is finished; try its network with: {run.evaluate_command()}"]
    if not run.metrics.is_file():
        notes.insert(0, f"{run.metrics}: is missing; the curves of this run are lost")
    try:
        hardware = None if kept.get("hardware") is None else TimeAndEnergy.from_summary(kept["hardware"])
        here = {"cost": cost, "run": run.folder, "theta": saved.state.theta, "hardware": hardware}
        return Result(**{**kept, **here, "notes": tuple(notes)})
    except (TypeError, KeyError, AttributeError):  # a damaged record: it is written anew
        return None
