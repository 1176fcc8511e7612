"""A set of replicas in one call, followed to its end, and kept."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from mgdhw.device import Device
from mgdhw.events import ReplicaFinished, ReplicasEvent, ReplicasFinished, ReplicasStarted
from mgdhw.outcome import ReplicaResult, ReplicasResult
from mgdhw.replicas import Replicas
from mgdhw.runs import ReplicasRecorder, RunLock, create_run
from mgdhw.runs.provenance import provenance
from mgdhw.session import Session
from mgdhw.sources import Source, as_done, load_dataset, opening, resolve

ReplicasListener = Callable[[ReplicasEvent], None]


async def replicate(
    experiment: Source | None,
    replicas: int,
    device: str | Device | None,
    folder: Path | None,
    overrides: tuple[str, ...],
    listeners: tuple[ReplicasListener, ...],
    session: Session,
) -> ReplicasResult:
    """Train replicas, kept in the folder of runs if there is one. See `mgdhw.api.train_async`."""
    given, source, base = resolve(experiment, overrides)
    dataset = load_dataset(given, base)
    async with opening(given.device.uri if device is None else device) as opened:
        given = as_done(given, opened, base)

        @contextlib.contextmanager
        def keep(runs: Path) -> Iterator[ReplicasRecorder]:
            origin = provenance(source=source, base=base, uri=opened.uri, info=opened.info, dataset=dataset)
            run = create_run(runs, given, {**origin, "replicas": replicas})
            with RunLock(run), ReplicasRecorder(run) as recorder:
                yield recorder

        keeping = None if folder is None else keep(folder)
        return await _follow(Replicas(given, opened, dataset, replicas), keeping, listeners, session)


async def _follow(
    replicas: Replicas,
    keeping: contextlib.AbstractContextManager[ReplicasRecorder] | None,
    listeners: tuple[ReplicasListener, ...],
    session: Session,
) -> ReplicasResult:
    """Run replicas to their end, with everybody listening."""
    start = time.monotonic()
    recorder: ReplicasRecorder | None = None
    results: list[ReplicaResult] = []
    reason = ""
    with contextlib.ExitStack() as stack:
        stack.enter_context(session.training(replicas))
        async with contextlib.aclosing(replicas.__aiter__()) as events:
            async for event in events:
                # Not before: an experiment that doesn't fit its device leaves no empty run behind.
                if isinstance(event, ReplicasStarted) and keeping is not None:
                    recorder = stack.enter_context(keeping)
                    session.run = recorder.run
                if recorder is not None:
                    recorder(event)
                for listener in listeners:
                    listener(event)
                if isinstance(event, ReplicaFinished):
                    results.append(event.result)
                elif isinstance(event, ReplicasFinished):
                    reason = event.reason
        result = ReplicasResult(
            reason=reason,
            asked=replicas.replicas,
            has_target=replicas.experiment.evaluation.has_target,
            evaluated_every=replicas.experiment.evaluate_every(),
            replicas=tuple(sorted(results, key=lambda one: one.replica)),
            split="test" if replicas.dataset.n_test else "train",
            seconds=time.monotonic() - start,
            run=None if recorder is None else recorder.run.folder,
        )
        if recorder is not None:
            recorder.finish(result.summary())
        return result
