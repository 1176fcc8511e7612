"""What the runner runs: one training, or a set of replicas."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from mgdhw.datasets import Dataset
from mgdhw.device import Device, Interlock
from mgdhw.device.readings import GuardCounts
from mgdhw.errors import CheckpointError, RunError
from mgdhw.experiment.schema import Experiment
from mgdhw.runs import Recorder, ReplicasRecorder, Run, read_replicas
from mgdhw.runs.checkpoint import Saved
from mgdhw.runs.compatibility import began_with, check_began
from mgdhw.runs.runner import RunKind
from mgdhw.runs.start import Start
from mgdhw.timing import TimeAndEnergy, total
from mgdhw.training.events import Best, Evaluated, Finished, Guarded, ReplicaFinished
from mgdhw.training.replicas import Replicas, check_count, check_single_only
from mgdhw.training.results import ReplicaResult, ReplicasResult, Result
from mgdhw.training.trainer import Trainer


class SingleTraining(RunKind[Result]):
    """One training.

    Args:
        start: θ that it begins with, if that is given.
        interlocks: conditions that must hold, besides those of the device.
    """

    purpose = "a training"
    changeable = ("device", "evaluation", "run")

    def __init__(self, start: Start | None = None, interlocks: tuple[Interlock, ...] = ()) -> None:
        self._interlocks = interlocks
        self._start = start
        self._saved: Saved | None = None
        self._best: Best | None = None
        self._recorder: Recorder | None = None
        self._finished: Finished | None = None
        self._guarded = GuardCounts()
        """In this session."""

    def provenance(self) -> dict[str, Any]:
        return {} if self._start is None else {"start": self._start.origin}

    def started(self, experiment: Experiment) -> Experiment:
        if self._start is None:
            return experiment
        return experiment.model_copy(update={"start": self._start.fingerprint})

    def check(self, experiment: Experiment) -> None:
        """Any will do."""

    def resume_from(
        self, run: Run, kept: Experiment, experiment: Experiment, dataset: Dataset
    ) -> tuple[Result | None, list[str]]:
        self._saved, notes = run.latest()
        if self._saved is not None:
            check_began(run, self._saved.extra.get("began"), experiment, dataset)
            notes += self._restore_best(run, experiment, dataset)
            same_target = experiment.evaluation == kept.evaluation
            return _finished(run, self._saved, experiment, same_target=same_target), notes
        if "began" in run.provenance():
            check_began(run, run.provenance()["began"], experiment, dataset, "provenance.json")
        if experiment.start is not None:
            raise RunError(
                f"run {run.folder}: has no checkpoint, and began with the θ of another run; begin again from that:"
                f" mgdhw train {shlex.quote(str(run.experiment_file))} --from RUN"
            )
        return None, [*notes, f"run {run.folder} has no checkpoint; training begins anew"]

    def _restore_best(self, run: Run, experiment: Experiment, dataset: Dataset) -> list[str]:
        """Take in the best evaluation so far; returns what is wrong with it."""
        try:
            saved = run.best()
            check_began(run, saved.extra.get("began"), experiment, dataset, "best.npz")
            self._best = Best(saved.state, Evaluated(**saved.extra["evaluated"]))
        except (CheckpointError, KeyError, TypeError) as error:
            if not run.best_file.exists():
                return []
            what = str(error) if isinstance(error, CheckpointError) else f"{run.best_file}: is damaged"
            return [f"{what.partition(';')[0]}; the best θ is kept from here on"]
        return []

    def trainer(self, experiment: Experiment, device: Device, dataset: Dataset) -> Trainer:
        state = None if self._saved is None else self._saved.state
        start = None if self._start is None else self._start.theta
        return Trainer(
            experiment,
            device,
            dataset,
            resume=state,
            best=self._best,
            start=start,
            interlocks=self._interlocks,
            controlled=True,
        )

    def recorder(
        self, run: Run, experiment: Experiment, dataset: Dataset, session: Mapping[str, Any] | None = None
    ) -> Recorder:
        self._recorder = Recorder(run, began_with(experiment, dataset), self._saved, session)
        return self._recorder

    def observe(self, event: object) -> None:
        if isinstance(event, Finished):
            self._finished = event
        elif isinstance(event, Guarded):
            self._guarded += event.counts

    def result(self, run: Run | None, seconds: float) -> Result:
        finished = self._finished
        assert finished is not None, "a trainer that raises nothing ends with Finished"
        return Result(
            reason=finished.reason,
            accuracy=finished.last.accuracy,
            cost=finished.last.cost,
            split=finished.last.split,
            evaluations=finished.state.evaluations,
            probes=finished.state.step,
            updates=finished.state.update,
            parameter_writes=finished.count.parameter_writes,
            seconds=seconds if self._recorder is None else self._recorder.seconds,
            digest=finished.digest,
            run=None if run is None else run.folder,
            theta=finished.state.theta,
            hardware=finished.hardware,
            r2=finished.last.r2,
            guarded=self._guarded if self._recorder is None else self._recorder.guarded,
            best=finished.best,
            notes=(finished.problem,) if finished.problem else (),
        )


class ReplicaSet(RunKind[ReplicasResult]):
    """A set of replicas.

    Args:
        replicas: how many.
    """

    purpose = "a set of replicas"
    changeable = ("device", "run")

    def __init__(self, replicas: int) -> None:
        self._count = replicas
        self._results: list[ReplicaResult] = []
        self._seconds = 0.0
        """Spent in sessions before."""
        self._replicas: Replicas | None = None
        self._guarded = GuardCounts()

    def provenance(self) -> dict[str, Any]:
        return {"replicas": self._count}

    def check(self, experiment: Experiment) -> None:
        check_count(experiment, self._count)
        check_single_only(experiment)

    def resume_from(
        self, run: Run, kept: Experiment, experiment: Experiment, dataset: Dataset
    ) -> tuple[ReplicasResult | None, list[str]]:
        check_began(run, run.provenance().get("began"), experiment, dataset, "replicas.csv")
        self._results = list(read_replicas(run))
        ended = run.summary() or {}
        self._seconds = float(ended.get("seconds", 0.0))
        if len(self._results) == self._count and ended:
            result = _replicas_result(experiment, dataset, self._count, self._results, self._seconds, run)
            return replace(result, **_usage_on_record(ended)), [f"run {run.folder} is finished"]
        if experiment.training.init == "read":
            raise RunError(
                f"run {run.folder}: its replicas begin with what the hardware held at first, which it doesn't any more;"
                f" begin again with: mgdhw train {shlex.quote(str(run.experiment_file))} --replicas {self._count}"
            )
        return None, []

    def trainer(self, experiment: Experiment, device: Device, dataset: Dataset) -> Replicas:
        self._replicas = Replicas(
            experiment, device, dataset, self._count, finished=tuple(self._results), controlled=True
        )
        return self._replicas

    def recorder(
        self, run: Run, experiment: Experiment, dataset: Dataset, session: Mapping[str, Any] | None = None
    ) -> ReplicasRecorder:
        return ReplicasRecorder(run, self._results, self._seconds, session)

    def observe(self, event: object) -> None:
        if isinstance(event, ReplicaFinished):
            self._results.append(event.result)
        elif isinstance(event, Guarded):
            self._guarded += event.counts

    def result(self, run: Run | None, seconds: float) -> ReplicasResult:
        replicas = self._replicas
        assert replicas is not None, "it has run"
        result = _replicas_result(
            replicas.experiment, replicas.dataset, self._count, self._results, self._seconds + seconds, run
        )
        usage = [replicas.hardware_usage(one) for one in result.replicas]
        return replace(
            result,
            parameter_writes=sum(counted.parameter_writes for counted, _ in usage),
            hardware=total(used for _, used in usage if used is not None),
            guarded=self._guarded,
        )


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
        guarded = GuardCounts(**kept.get("guarded", {}))
        best = kept.get("best")
        if best is not None:
            best = Evaluated(**{**best, "cost": math.nan if best["cost"] is None else best["cost"]})
        here = {"cost": cost, "run": run.folder, "theta": saved.state.theta, "hardware": hardware}
        here |= {"guarded": guarded, "best": best}
        return Result(**{**kept, **here, "notes": tuple(notes)})
    except (TypeError, KeyError, AttributeError):  # a damaged record: it is written anew
        return None


def _usage_on_record(summary: Mapping[str, Any]) -> dict[str, Any]:
    """What only the device could tell, as it was kept when a set of replicas ended."""
    try:
        hardware = None if summary.get("hardware") is None else TimeAndEnergy.from_summary(summary["hardware"])
        guarded = GuardCounts(**summary.get("guarded", {}))
        return {"parameter_writes": int(summary.get("parameter_writes", 0)), "hardware": hardware, "guarded": guarded}
    except (TypeError, KeyError, AttributeError, ValueError):  # a damaged record
        return {}


def _replicas_result(
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
