"""Training and evaluating in one call: what the command line, scripts and notebooks all go through."""

from __future__ import annotations

import contextlib
import math
import shlex
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw import digest
from mgdhw.checkpoint import Saved
from mgdhw.config import DataSection, Experiment, check_experiment, load_experiment, parse_experiment, to_toml
from mgdhw.datasets import Dataset
from mgdhw.datasets import load as load_dataset
from mgdhw.device import Device, DeviceInfo, open_device
from mgdhw.errors import CheckpointError, ConfigError, DeviceUnavailable, RunError
from mgdhw.events import Event, Finished, Started
from mgdhw.runs import Evaluation, Recorder, Run, RunLock, create_run, evaluate_run, find_run
from mgdhw.runs.provenance import provenance
from mgdhw.session import Session, blocking
from mgdhw.trainer import Trainer

Source = str | Path | Mapping[str, Any] | Experiment
Listener = Callable[[Event], None]


@dataclass(frozen=True)
class Result:
    """What came of a training.

    Args:
        reason: "done", "target" (the accuracy or cost aimed at), or "stopped" (asked to).
        accuracy: at the end, on `split`, 0 ... 1.
        cost: at the end, on `split`, in the device's kind of cost.
        split: "test", or "train" where the dataset has no test samples.
        evaluations: applications of a batch to the hardware, probes and baselines.
        probes: probes done.
        updates: updates of θ.
        seconds: spent, in all sessions of the run.
        digest: of the trajectory, in hexadecimal: same digest, same bits.
        run: folder of the run, None if nothing was kept.
        theta: (P,) the optimizer's θ at the end.
        notes: what the user should know (that the run was finished already).
    """

    reason: str
    accuracy: float
    cost: float
    split: str
    evaluations: int
    probes: int
    updates: int
    seconds: float
    digest: str
    run: Path | None
    theta: NDArray[np.float64] = field(repr=False)
    notes: tuple[str, ...] = ()

    def summary(self) -> dict[str, Any]:
        """Everything but θ and the notes, as JSON can hold it."""
        return {
            "reason": self.reason,
            "accuracy": self.accuracy,
            "cost": self.cost if math.isfinite(self.cost) else None,
            "split": self.split,
            "evaluations": self.evaluations,
            "probes": self.probes,
            "updates": self.updates,
            "seconds": round(self.seconds, 3),
            "digest": self.digest,
            "run": None if self.run is None else str(self.run),
        }


def default_experiment() -> str:
    """The experiment that `mgdhw train` runs when given none, as TOML with comments: handwritten digits."""
    return files("mgdhw").joinpath("experiments", "digits.toml").read_text(encoding="utf-8")


async def train_async(
    experiment: Source | None = None,
    *,
    device: str | Device | None = None,
    resume: str | Path | None = None,
    runs: str | Path | None = "runs",
    overrides: Iterable[str] = (),
    listeners: Iterable[Listener] = (),
    session: Session | None = None,
) -> Result:
    """Train, and keep the run.

    Args:
        experiment: a TOML file, a mapping of the same form, or an Experiment; None trains the packaged digits.
        device: an address or a device (open or not: a device that is open stays open) instead of the experiment's.
        resume: a run to go on with (a folder, or an id within `runs`), instead of an experiment.
        runs: folder to keep runs in; None keeps nothing on disk.
        overrides: changes to the experiment such as "optimizer.eta=0.1".
        listeners: called with every event, in order.
        session: a handle to stop it by.

    Raises:
        ConfigError: experiment, device and dataset are not usable or do not fit each other.
        DatasetError: the dataset cannot be had.
        DeviceError: the device failed.
        RunError: the run cannot be kept, found, or is in other hands.
        CheckpointError: no checkpoint can be read, or it belongs to something else.
    """
    session = session or Session()
    folder = None if runs is None else Path(runs)
    if resume is not None:
        if experiment is not None:
            raise ConfigError("give an experiment to begin with or a run to resume, not both")
        return await _resume(find_run(resume, folder), device, tuple(overrides), tuple(listeners), session)
    given, source, base = _resolve(experiment, tuple(overrides))
    dataset = _load_dataset(given, base)
    async with _opened(given.device.uri if device is None else device) as opened:
        # The experiment that is kept says what was really done, so that the run can be repeated from it.
        address = given.device.model_copy(update={"uri": opened.uri})
        given = given.model_copy(update={"device": address, "data": _anchored(given.data, base)})
        trainer = Trainer(given, opened, dataset)

        @contextlib.contextmanager
        def keep(runs: Path) -> Iterator[Recorder]:
            origin = provenance(source=source, base=base, uri=opened.uri, info=opened.info, dataset=dataset)
            run = create_run(runs, given, origin)
            with RunLock(run), Recorder(run, _began(given, dataset)) as recorder:
                yield recorder

        return await _follow(trainer, None if folder is None else keep(folder), tuple(listeners), session)


def train(
    experiment: Source | None = None,
    *,
    device: str | Device | None = None,
    resume: str | Path | None = None,
    runs: str | Path | None = "runs",
    overrides: Iterable[str] = (),
    listeners: Iterable[Listener] = (),
    session: Session | None = None,
) -> Result:
    """Train and wait for the result: `train_async` for those who don't want async. Works in notebooks, too.

    Ctrl-C ends it cleanly and is then raised as KeyboardInterrupt; the run can be resumed.
    """
    session = session or Session()
    work = train_async(
        experiment,
        device=device,
        resume=resume,
        runs=runs,
        overrides=overrides,
        listeners=listeners,
        session=session,
    )
    return blocking(work, session)


async def evaluate_async(
    run: str | Path, *, device: str | Device | None = None, runs: str | Path = "runs"
) -> Evaluation:
    """Try the network of a run on all of its data.

    Args:
        run: a folder, or an id within `runs`.
        device: an address or a device instead of the run's.
        runs: folder of runs.

    Raises:
        RunError: there is no such run.
        CheckpointError: it has no checkpoint that can be read, or one of another network, experiment or dataset.
        DatasetError: the dataset cannot be had.
        DeviceError: the device failed.
    """
    found = find_run(run, Path(runs))
    experiment = found.experiment()
    saved, notes = found.latest()
    if saved is None:
        raise CheckpointError(f"run {found.folder} has no checkpoint yet; go on with: {found.resume_command()}")
    dataset = _load_dataset(experiment, _base(found))
    _check_began(found, saved, experiment, dataset)
    async with _opened(experiment.device.uri if device is None else device) as opened:
        began_on = _identity(found)
        if began_on not in (None, opened.info.identity):
            notes.append(f"{opened.uri} is {opened.info.identity}, the run began on {began_on}")
        evaluation = await evaluate_run(experiment, opened, dataset, saved.state)
    return replace(evaluation, run=found.folder, notes=tuple(notes))


def evaluate(run: str | Path, *, device: str | Device | None = None, runs: str | Path = "runs") -> Evaluation:
    """Try the network of a run on all of its data, and wait for the result. See `evaluate_async`."""
    return blocking(evaluate_async(run, device=device, runs=runs), Session())


async def _resume(
    run: Run,
    device: str | Device | None,
    overrides: tuple[str, ...],
    listeners: tuple[Listener, ...],
    session: Session,
) -> Result:
    kept = run.experiment()
    experiment = _changed(kept, overrides)
    if experiment.decisive() != kept.decisive() or experiment.data != kept.data:
        raise ConfigError(
            f"run {run.folder}: a run is resumed as it began; only the sections device, evaluation and run can be"
            f" changed. To begin a new one: mgdhw train {shlex.quote(str(run.experiment_file))} --set ..."
        )
    dataset = _load_dataset(experiment, _base(run))
    with RunLock(run):
        saved, notes = run.latest()
        if saved is not None:
            _check_began(run, saved, experiment, dataset)
            finished = _finished(run, saved, experiment, same_target=experiment.evaluation == kept.evaluation)
            if finished is not None:
                return finished
        async with _opened(experiment.device.uri if device is None else device) as opened:
            if device is None:
                _check_identity(run, opened.info, opened.uri)
            state = None if saved is None else saved.state
            trainer = Trainer(experiment, opened, dataset, resume=state)
            recorder = Recorder(
                run, _began(experiment, dataset), saved, {"device": opened.uri, "overrides": list(overrides)}
            )
            return await _follow(trainer, recorder, listeners, session, notes)


async def _follow(
    trainer: Trainer,
    keeping: contextlib.AbstractContextManager[Recorder] | None,
    listeners: tuple[Listener, ...],
    session: Session,
    notes: Iterable[str] = (),
) -> Result:
    """Run a trainer to its end, with everybody listening."""
    start = time.monotonic()
    recorder: Recorder | None = None
    finished: Finished | None = None
    with contextlib.ExitStack() as stack:
        stack.enter_context(session.training(trainer))
        async with contextlib.aclosing(trainer.__aiter__()) as events:
            async for event in events:
                if isinstance(event, Started):
                    # Not before: an experiment that doesn't fit its device leaves no empty run behind.
                    if keeping is not None:
                        recorder = stack.enter_context(keeping)
                        session.run = recorder.run
                        notes = [*notes, *recorder.notes]
                    event = replace(event, notes=(*notes, *event.notes))
                if recorder is not None:
                    recorder(event)
                for listener in listeners:
                    listener(event)
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
            seconds=time.monotonic() - start if recorder is None else recorder.seconds,
            digest=finished.digest,
            run=None if recorder is None else recorder.run.folder,
            theta=finished.state.theta,
        )
        if recorder is not None:
            recorder.finish(result.summary())
        return result


@contextlib.asynccontextmanager
async def _opened(device: str | Device) -> AsyncIterator[Device]:
    """A device, open. One that is inside an `async with` of the caller's is used and left open."""
    if isinstance(device, str):
        device = open_device(device)
    if device.entered:
        yield device
        return
    async with contextlib.AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(device)
        except OSError as error:
            raise DeviceUnavailable(f"cannot be opened: {error}", uri=device.uri) from error
        yield device


def _resolve(experiment: object, overrides: tuple[str, ...]) -> tuple[Experiment, str | None, Path]:
    """The experiment, the file it came from, and the folder that relative paths in it count from."""
    here = Path.cwd()
    if experiment is None:
        return (
            parse_experiment(default_experiment(), source="the packaged digits.toml", overrides=overrides),
            None,
            here,
        )
    if isinstance(experiment, str | Path):
        path = Path(experiment)
        return load_experiment(path, overrides), str(path.resolve()), path.resolve().parent
    if isinstance(experiment, Mapping):
        experiment = check_experiment(experiment, source="experiment")
    if not isinstance(experiment, Experiment):
        raise ConfigError(f"experiment: expected a TOML file, a mapping or an Experiment (got {experiment!r})")
    return _changed(experiment, overrides), None, here


def _anchored(data: DataSection, base: Path) -> DataSection:
    """A dataset that was found, with the path in its name absolute: the same one from wherever it is asked for."""
    kind, colon, path = data.name.partition(":")  # only those of files have a colon
    return data.model_copy(update={"name": f"{kind}:{(base / Path(path).expanduser()).resolve()}"}) if colon else data


def _changed(experiment: Experiment, overrides: tuple[str, ...]) -> Experiment:
    if not overrides:
        return experiment
    return parse_experiment(to_toml(experiment), source="experiment", overrides=overrides)


def _load_dataset(experiment: Experiment, base: Path) -> Dataset:
    options = experiment.data.options
    if "base" in options:
        raise ConfigError("data.base: no such key; relative paths count from the experiment file's folder")
    return load_dataset(experiment.data.name, base=base, **options)


def _base(run: Run) -> Path:
    base = run.provenance().get("base")
    if not isinstance(base, str):
        raise RunError(f"{run.provenance_file}: does not say where the run's relative paths count from")
    return Path(base)


def _began(experiment: Experiment, dataset: Dataset) -> str:
    return digest.begin(experiment.decisive(), dataset.digest).hex()


def _check_began(run: Run, saved: Saved, experiment: Experiment, dataset: Dataset) -> None:
    """A checkpoint is of use only for what it was made with."""
    if saved.extra.get("began") != _began(experiment, dataset):
        raise CheckpointError(
            f"run {run.folder}: its checkpoint belongs to another experiment or other data; dataset"
            f" {dataset.name!r} is not what it was, or experiment.toml was edited"
        )


def _finished(run: Run, saved: Saved, experiment: Experiment, *, same_target: bool) -> Result | None:
    """The result of a run that has nothing left to do; None if it has, or its end is not on record."""
    kept = run.summary() or {}
    wanted = experiment.evaluation
    aimed = same_target and wanted.has_target
    on_target = kept.get("reason") == "target" and aimed
    at_end = kept.get("reason") in ("done", "target") and saved.state.step >= experiment.training.probes
    if kept.get("probes") != saved.state.step or not (on_target or at_end):
        return None
    cost = math.nan if kept.get("cost") is None else kept["cost"]
    note = f"run {run.folder} is finished; try its network with: {run.evaluate_command()}"
    try:
        return Result(**{**kept, "cost": cost, "run": run.folder, "theta": saved.state.theta, "notes": (note,)})
    except TypeError:  # a damaged record: it is written anew
        return None


def _identity(run: Run) -> str | None:
    """What distinguishes the device that a run began on from its like; None if that isn't on record."""
    identity = run.provenance().get("device", {}).get("identity")
    return identity if isinstance(identity, str) else None


def _check_identity(run: Run, info: DeviceInfo, uri: str) -> None:
    """A run goes on with the very device that it began on, unless the user names another."""
    expected = _identity(run) or "a device that its provenance.json does not name"
    if expected != info.identity:
        raise DeviceUnavailable(
            f"is {info.model} {info.identity}, the run began on {expected}; connect that one, or say that this one"
            f" will do: {run.resume_command()} --device {shlex.quote(uri)}",
            uri=uri,
        )
