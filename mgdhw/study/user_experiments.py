"""Chips and experiments of the user in studies, and the record of what a folder's trainings are of."""

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
    """The chip of an address, closed. Raises ConfigError if it is not simulated: studies vary the chip."""
    if not address.startswith(SIMULATED):
        raise ConfigError(
            f"device {address}: studies need a simulated chip, whose non-idealities they vary; expected"
            " sim:PRESET?option=value or sim:FILE.toml"
        )
    return open_device(address)


def user_experiment(file: Path | str, device: str | None) -> Experiment:
    """A user's experiment, on another chip if one is given, with absolute paths.

    Raises:
        ConfigError: it is invalid, or its device is not a simulated chip.
    """
    given, _, base = resolve(file, ())
    return resolved(given, simulated(given.device.uri if device is None else device), base)


def on_device(experiment: Experiment, address: str) -> Experiment:
    """An experiment on another chip. Raises ConfigError if it is not simulated."""
    return experiment.model_copy(
        update={"device": experiment.device.model_copy(update={"uri": simulated(address).uri})}
    )


def user_task(experiment: Experiment) -> Task:
    """The task of a study, from a user's experiment.

    Raises:
        ConfigError: it has no target, so that it would never be solved.
    """
    if not experiment.evaluation.has_target:
        raise ConfigError(
            "evaluation.stop_at_accuracy: studies measure the time to reach a target; set stop_at_accuracy or"
            " stop_at_cost"
        )
    return checked(Task(experiment.name, experiment.device.uri, experiment.model_dump(mode="json", exclude_none=True)))


def on_chip(task: Task, address: str) -> Task:
    """A task on another chip. Raises ConfigError if its inputs and outputs do not fit the data."""
    return checked(replace(task, uri=simulated(address).uri))


def checked(task: Task) -> Task:
    """A task whose chip fits its data. Raises ConfigError."""
    info, dataset = simulated(task.uri).info, task_dataset(task)
    sizes, wanted = (info.n_inputs, info.n_outputs), (dataset.n_inputs, dataset.n_outputs)
    if sizes != wanted:
        raise ConfigError(
            f"task {task.name}: dataset {dataset.name!r} has {wanted[0]} inputs and {wanted[1]} outputs, {task.uri} has"
            f" {sizes[0]} and {sizes[1]}; use layers={wanted[0]}-16-{wanted[1]}, or choose another task"
        )
    return task


def task_dataset(task: Task) -> Dataset:
    """The dataset of a task, unscaled. Raises ConfigError, DatasetError."""
    return load_dataset(check_experiment(task.experiment, source=task.name), Path())


def record_tasks(file: Path, tasks: Iterable[Task], trained: Collection[str], before: Iterable[Task]) -> None:
    """Record the tasks of a folder's trainings, and check them against those recorded before.

    Args:
        file: the record.
        tasks: tasks of the study now.
        trained: names of the tasks with trainings in the folder.
        before: their tasks if there is no record, as in older studies.

    Raises:
        ConfigError: earlier trainings of a task of the same name had a different chip (or its file has changed),
            experiment or dataset.
    """
    if not file.exists():
        known = {task.name: _described(task) for task in before if task.name in trained}
    else:
        try:
            known = dict(parse_json(file.read_bytes()))
        except (ValueError, TypeError):
            raise ConfigError(f"{file}: was not written by a study; choose another folder with --output") from None
        known = {name: what for name, what in known.items() if name in trained}
    for task in tasks:
        now = _described(task)
        if known.setdefault(task.name, now) != now:
            raise ConfigError(
                f"{file}: its trainings of task {task.name} are of a different chip or experiment; choose another"
                " folder with --output"
            )
    write_atomically(file, json.dumps(known, indent=1).encode())


def _described(task: Task) -> object:
    """What determines a task's trainings, in JSON-compatible form."""
    chip, data = simulated(task.uri).info.identity, task_dataset(task).digest
    return json.loads(
        json.dumps({"device": task.uri, "chip": chip, "data": data, "experiment": task.experiment}),
    )
