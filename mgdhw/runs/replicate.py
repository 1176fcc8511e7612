"""A set of replicas: begun or resumed, followed to its end, and kept."""

from __future__ import annotations

import contextlib
import functools
import shlex
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mgdhw.costs import CostFunction
from mgdhw.datasets import Dataset
from mgdhw.device import Device
from mgdhw.device.control import take_control
from mgdhw.errors import RunError
from mgdhw.experiment.own_cost import same_cost
from mgdhw.experiment.resolve import OwnData, Source, changed, load_as_kept, opening, task_of
from mgdhw.experiment.schema import Experiment
from mgdhw.runs import ReplicasRecorder, Run, RunLock, begin_run, read_replicas
from mgdhw.runs.compatibility import base_of, check_began, check_delta, check_identity, check_resumable, record_of
from mgdhw.runs.handle import Session
from mgdhw.timing import TimeAndEnergy, total
from mgdhw.training.events import ReplicaFinished, ReplicasEvent, ReplicasStarted
from mgdhw.training.replicas import Replicas, check_count
from mgdhw.training.results import ReplicaResult, ReplicasResult
from mgdhw.training.watching import watching

ReplicasListener = Callable[[ReplicasEvent], None]


async def begin(
    experiment: Source | None,
    replicas: int,
    device: str | Device | None,
    folder: Path | None,
    overrides: tuple[str, ...],
    listeners: tuple[ReplicasListener, ...],
    session: Session,
    own: OwnData | None = None,
    cost: CostFunction | None = None,
) -> ReplicasResult:
    """A new set of replicas, kept in the folder of runs if there is one. See `mgdhw.api.train_async`."""
    task = task_of(experiment, own, overrides).with_cost(cost)
    check_count(task.experiment, replicas)
    # What is kept is waited for when the device is safe.
    async with (
        contextlib.AsyncExitStack() as stack,
        opening(task.experiment.device.uri if device is None else device, cost) as opened,
    ):
        given, dataset, notes = task.on(opened)

        async def recorder(runs: Path) -> ReplicasRecorder:
            def origin() -> dict[str, Any]:
                record = record_of(given, dataset, opened, source=task.source, base=task.base, cost=cost)
                return {**record, "replicas": replicas}

            return ReplicasRecorder(await begin_run(stack, runs, given, origin, task.files))

        keep = None if folder is None else functools.partial(recorder, folder)
        going = Replicas(given, opened, dataset, replicas, controlled=True)
        return await _follow(going, keep, stack, listeners, session, notes=notes)


async def resume(
    run: Run,
    replicas: int,
    device: str | Device | None,
    overrides: tuple[str, ...],
    listeners: tuple[ReplicasListener, ...],
    session: Session,
    cost: CostFunction | None = None,
) -> ReplicasResult:
    """Train those replicas of a set that are not finished. See `mgdhw.api.train_async`."""
    kept = run.experiment()
    experiment = changed(kept, overrides)
    check_resumable(run, kept, experiment, ("device", "run"))
    dataset = load_as_kept(experiment, base_of(run))
    same_cost(kept, experiment, cost, dataset)
    with RunLock(run):
        notes = run.check()
        check_began(run, run.provenance().get("began"), experiment, dataset, "replicas.csv")
        finished = read_replicas(run)
        ended = run.summary() or {}
        before = float(ended.get("seconds", 0.0))
        if len(finished) == replicas and ended:
            result = _result(experiment, dataset, replicas, finished, before, run)
            return replace(result, **_kept(ended), notes=(*notes, f"run {run.folder} is finished"))
        if experiment.training.init == "read":
            raise RunError(
                f"run {run.folder}: its replicas begin with what the hardware held at first, which it doesn't any more;"
                f" begin again with: mgdhw train {shlex.quote(str(run.experiment_file))} --replicas {replicas}"
            )
        # What is kept is waited for when the device is safe.
        async with (
            contextlib.AsyncExitStack() as stack,
            opening(experiment.device.uri if device is None else device, cost) as opened,
        ):
            if device is None:
                check_identity(run, opened.info, opened.uri)
            check_delta(run, experiment, opened)
            going = Replicas(experiment, opened, dataset, replicas, finished=finished, controlled=True)

            async def recorder() -> ReplicasRecorder:
                how = {"device": opened.uri, "overrides": list(overrides)}
                return ReplicasRecorder(run, finished, before, how)

            return await _follow(going, recorder, stack, listeners, session, before, notes)


async def _follow(
    replicas: Replicas,
    keep: Callable[[], Awaitable[ReplicasRecorder]] | None,
    stack: contextlib.AsyncExitStack,
    listeners: tuple[ReplicasListener, ...],
    session: Session,
    seconds_before: float = 0.0,
    notes: Iterable[str] = (),
) -> ReplicasResult:
    """Run replicas to their end, with everybody listening. What is kept goes on the stack."""
    start = time.monotonic()
    recorder: ReplicasRecorder | None = None
    results: list[ReplicaResult] = []

    def hear(event: ReplicasEvent) -> None:
        for listener in listeners:
            listener(event)

    with (
        await take_control(replicas.device, "a set of replicas"),
        session.training(replicas),
        watching(replicas.device, hear) as done,
    ):
        async with contextlib.aclosing(replicas.__aiter__()) as events:
            async for event in events:
                if isinstance(event, ReplicasStarted):
                    results.extend(event.finished)
                    # Not before: an experiment that doesn't fit its device leaves no empty run behind.
                    if keep is not None:
                        recorder = await keep()
                        await stack.enter_async_context(session.keeping(recorder))
                    event = replace(event, notes=(*notes, *event.notes))
                if recorder is not None:
                    recorder(event)
                hear(event)
                done()
                if isinstance(event, ReplicaFinished):
                    results.append(event.result)
    run = None if recorder is None else recorder.run
    seconds = seconds_before + time.monotonic() - start
    result = _result(replicas.experiment, replicas.dataset, replicas.replicas, results, seconds, run)
    taken = [replicas.taken(one) for one in result.replicas]
    result = replace(
        result,
        parameter_writes=sum(counted.parameter_writes for counted, _ in taken),
        hardware=total(usage for _, usage in taken if usage is not None),
    )
    if recorder is not None:
        recorder.finish(result.summary())
    return result


def _kept(summary: Mapping[str, Any]) -> dict[str, Any]:
    """What only the device could tell, as it was kept when a set of replicas ended."""
    try:
        hardware = None if summary.get("hardware") is None else TimeAndEnergy.from_summary(summary["hardware"])
        return {"parameter_writes": int(summary.get("parameter_writes", 0)), "hardware": hardware}
    except (TypeError, KeyError, AttributeError, ValueError):  # a damaged record
        return {}


def _result(
    experiment: Experiment,
    dataset: Dataset,
    asked: int,
    results: Iterable[ReplicaResult],
    seconds: float,
    run: Run | None,
) -> ReplicasResult:
    replicas = tuple(sorted(results, key=lambda one: one.replica))
    return ReplicasResult(
        reason="done" if len(replicas) == asked else "stopped",
        asked=asked,
        has_target=experiment.evaluation.has_target,
        evaluated_every=experiment.evaluate_every(),
        replicas=replicas,
        split="test" if dataset.n_test else "train",
        seconds=seconds,
        run=None if run is None else run.folder,
    )
