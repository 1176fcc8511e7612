"""Studies of a chip and an experiment of the user's own."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path

from mgdhw.datasets import Dataset
from mgdhw.device import Device, open_device
from mgdhw.errors import ConfigError
from mgdhw.experiment.load import check_experiment
from mgdhw.experiment.resolve import load_dataset, resolve, resolved
from mgdhw.experiment.schema import Experiment
from mgdhw.parsing import parse_json
from mgdhw.runs.atomic import write_atomically
from mgdhw.study.robustness import Task

SIMULATED = "sim:"


def simulated(address: str) -> Device:
    """The chip of an address, closed. Raises ConfigError if it is no simulated one: a study changes what it is."""
    if not address.startswith(SIMULATED):
        raise ConfigError(
            f"device {address}: a study changes the imperfections of a simulated chip; expected sim:PRESET?option=value"
            " or sim:FILE.toml"
        )
    return open_device(address)


def own_experiment(file: Path | str, device: str | None) -> Experiment:
    """A user's experiment, on another chip if one is given, the same from wherever it is done.

    Raises:
        ConfigError: it is none, or its device is no simulated chip.
    """
    given, _, base = resolve(file, ())
    return resolved(given, simulated(given.device.uri if device is None else device), base)


def on_device(experiment: Experiment, address: str) -> Experiment:
    """An experiment on a chip of the user's. Raises ConfigError if that is no simulated one."""
    return experiment.model_copy(
        update={"device": experiment.device.model_copy(update={"uri": simulated(address).uri})}
    )


def own_task(experiment: Experiment) -> Task:
    """What the chips of a study have to learn, by a user's experiment.

    Raises:
        ConfigError: it aims at nothing, so that it would never be solved.
    """
    if not experiment.evaluation.has_target:
        raise ConfigError(
            "evaluation.stop_at_accuracy: a study measures the time until a target is met; give this one, or"
            " stop_at_cost"
        )
    return checked(Task(experiment.name, experiment.device.uri, experiment.model_dump(mode="json", exclude_none=True)))


def on_chip(task: Task, address: str) -> Task:
    """A task on a chip of the user's. Raises ConfigError if it has other inputs and outputs than the task's data."""
    return checked(replace(task, uri=simulated(address).uri))


def checked(task: Task) -> Task:
    """A task whose chip fits its data. Raises ConfigError."""
    info, dataset = simulated(task.uri).info, data_of(task)
    sizes, wanted = (info.n_inputs, info.n_outputs), (dataset.n_inputs, dataset.n_outputs)
    if sizes != wanted:
        raise ConfigError(
            f"task {task.name}: dataset {dataset.name!r} has {wanted[0]} inputs and {wanted[1]} outputs, {task.uri} has"
            f" {sizes[0]} and {sizes[1]}; give it layers={wanted[0]}-16-{wanted[1]}, or choose another task"
        )
    return task


def data_of(task: Task) -> Dataset:
    """What a task's chips learn, as it is. Raises ConfigError, DatasetError."""
    return load_dataset(check_experiment(task.experiment, source=task.name), Path())


def remember(file: Path, tasks: Iterable[Task], trained: Collection[str], before: Iterable[Task]) -> None:
    """Write down what a folder's trainings are of, and see that those of before are of the same.

    Args:
        file: where it is written down.
        tasks: what the study is of now.
        trained: names of the tasks that the folder has trainings of.
        before: what those are of where there is no such file: older studies wrote none.

    Raises:
        ConfigError: trainings of a task of the same name were of another chip (or its file has changed), experiment or
            data.
    """
    if not file.exists():
        known = {task.name: _described(task) for task in before if task.name in trained}
    else:
        try:
            known = dict(parse_json(file.read_bytes()))
        except (ValueError, TypeError):
            raise ConfigError(f"{file}: is not what a study has written; give another --output") from None
        known = {name: what for name, what in known.items() if name in trained}
    for task in tasks:
        now = _described(task)
        if known.setdefault(task.name, now) != now:
            raise ConfigError(
                f"{file}: the trainings of task {task.name} there are of another chip or experiment; give another"
                " --output"
            )
    write_atomically(file, json.dumps(known, indent=1).encode())


def _described(task: Task) -> object:
    """What decides the bits of a task's trainings, as JSON gives it back."""
    chip, data = simulated(task.uri).info.identity, data_of(task).digest
    return json.loads(
        json.dumps({"device": task.uri, "chip": chip, "data": data, "experiment": task.experiment}),
    )
