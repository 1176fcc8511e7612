"""From what users give - a file, a mapping, an address - to an experiment, a dataset and an open device."""

from __future__ import annotations

import contextlib
import difflib
import shlex
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import IO, Any

from mgdhw.costs import CostFunction
from mgdhw.datasets import METHODS, Dataset, from_arrays, full_name, load, save, scaled
from mgdhw.device import Device, open_device
from mgdhw.device.drivers import known_address
from mgdhw.errors import ConfigError, DeviceUnavailable
from mgdhw.experiment.inputs import fitted
from mgdhw.experiment.load import check_experiment, load_experiment, parse_experiment, with_overrides
from mgdhw.experiment.own_cost import lent, with_cost
from mgdhw.experiment.schema import DataSection, DeviceSection, Experiment
from mgdhw.folders import expanded
from mgdhw.parsing import short_repr

Source = str | Path | Mapping[str, Any] | Experiment
OwnData = Dataset | Sequence[Any]
"""A dataset, or arrays: (X, y) or (X, y, X_test, y_test)."""

OWN_FILE = "dataset.npz"
"""Where a run keeps data that came from no file."""
_OWN_CHIP = "sim:analog-8bit?layers={0.n_inputs}-16-{0.n_outputs}"
_OWN_OPTIONS = ("seed", "test_fraction")
"""What an experiment may say about arrays that are split here."""


@dataclass(frozen=True)
class Task:
    """What is to be trained on what, before a device is open.

    Args:
        experiment: what to do.
        source: the file that it came from, if any.
        base: the folder that relative paths in it count from; None where the data came from no file, and are to be
            kept beside the experiment.
        dataset: as it is.
    """

    experiment: Experiment
    source: str | None
    base: Path | None
    dataset: Dataset

    def on(self, device: Device) -> tuple[Experiment, Dataset, tuple[str, ...]]:
        """The experiment as it is kept, its dataset scaled for an open device, and what the user should know.

        Raises:
            ConfigError: nobody says which range to scale to.
        """
        data, dataset, notes = fitted(self.experiment.data, self.dataset, device.info)
        return resolved(self.experiment.model_copy(update={"data": data}), device, self.base), dataset, notes

    def with_cost(self, cost: CostFunction | None) -> Task:
        """The task with the user's cost, if there is one. Raises ConfigError if it cannot be one."""
        return replace(self, experiment=with_cost(self.experiment, cost, self.dataset))

    @property
    def files(self) -> dict[str, Callable[[IO[bytes]], None]]:
        """What is kept beside the experiment: names, and what writes them."""
        return {} if self.base is not None else {OWN_FILE: partial(save, self.dataset)}


def task_of(experiment: object, own: OwnData | None, overrides: tuple[str, ...]) -> Task:
    """A task from what a user gives.

    Args:
        experiment: a file, a mapping, an Experiment; None for the packaged one.
        own: data that came from no file, if any. Where the experiment names no device it is a simulated chip of the
            data's sizes then, where it says nothing of scaling it is "auto".
        overrides: changes to the experiment.

    Raises:
        ConfigError, DatasetError: one of them cannot be used.
    """
    if own is None:
        given, source, base = resolve(experiment, overrides)
        return Task(given, source, base, load_dataset(given, base))
    if not isinstance(own, Dataset) and (not isinstance(own, list | tuple) or len(own) not in (2, 4)):
        raise ConfigError(
            f"dataset: expected (X, y), (X, y, X_test, y_test) or a mgdhw.Dataset (got {type(own).__name__});"
            " one in a file, or in the box, is named by the experiment: data.name"
        )
    if _changes(overrides, "data.name"):
        raise ConfigError("data.name: of no use beside dataset=, which is what is trained on")
    given, source, _ = resolve(experiment, overrides)
    dataset = _own_dataset(own, given.data)
    no_device = experiment is None or (isinstance(experiment, Mapping) and "device" not in experiment)
    if no_device and not _changes(overrides, "device.uri"):
        given = given.model_copy(update={"device": DeviceSection(uri=_OWN_CHIP.format(dataset))})
    if experiment is None and not _changes(overrides, "name"):
        given = given.model_copy(update={"name": "arrays"})
    data = DataSection(name=f"npz:{OWN_FILE}", scale=given.data.scale or "auto", scale_to=given.data.scale_to)
    return Task(given.model_copy(update={"data": data}), source, None, dataset)


def _changes(overrides: tuple[str, ...], key: str) -> bool:
    """Whether one of the changes is to a key."""
    return any(override.partition("=")[0].strip() == key for override in overrides)


def _own_dataset(own: OwnData, data: DataSection) -> Dataset:
    """Arrays as a dataset, split as the experiment says."""
    for name in data.options:
        if name not in _OWN_OPTIONS:
            raise ConfigError(
                f"data.{name}: no key of data that are given as arrays; expected {', '.join(_OWN_OPTIONS)}, scale or"
                " scale_to"
            )
    if not isinstance(own, Dataset):
        return from_arrays(*own, **data.options)
    if "test_fraction" in data.options:
        raise ConfigError("data.test_fraction: of no use, the dataset has its own split")
    return own


def default_experiment() -> str:
    """The experiment that `mgdhw train` runs when given none, as TOML with comments: handwritten digits."""
    found = _packaged("digits")
    assert found is not None, "it is part of the package"
    return found


def _packaged(name: str) -> str | None:
    """An experiment that comes with mgdhw, by its name, as TOML; None if there is none of that name."""
    here = files("mgdhw").joinpath("experiment")
    found = {file.name: file for file in here.iterdir()}.get(f"{name}.toml")
    return None if found is None else found.read_text(encoding="utf-8")


def _check_no_device(path: Path) -> None:
    """Raise ConfigError where an address stands in an experiment's place. A port would be read without an end."""
    with contextlib.suppress(OSError):  # a name that is longer than any
        if path.is_file() or path.suffix == ".toml":
            return
    address = known_address(str(path))
    if address is not None:
        raise ConfigError(
            f"{path} is the address of a device, not an experiment file; expected --device {shlex.quote(address)},"
            " beside the experiment"
        )


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is longer than any
        return True


def resolve(experiment: object, overrides: tuple[str, ...]) -> tuple[Experiment, str | None, Path]:
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
        packaged = None if path.name != str(path) or _is_there(path) else _packaged(path.name)
        if packaged is not None:
            return parse_experiment(packaged, source=f"the packaged {path.name}.toml", overrides=overrides), None, here
        _check_no_device(path)
        return load_experiment(path, overrides), str(path.resolve()), path.resolve().parent
    if isinstance(experiment, Mapping):
        experiment = check_experiment(experiment, source="experiment")
    if not isinstance(experiment, Experiment):
        raise ConfigError(
            f"experiment: expected a TOML file, a mapping or an Experiment (got {short_repr(experiment)})"
        )
    return with_overrides(experiment, overrides), None, here


def resolved(experiment: Experiment, device: Device, base: Path | None) -> Experiment:
    """The experiment as it is kept: it says what was really done, so that it can be repeated from anywhere.

    Without `base` its dataset lies beside it.
    """
    address = experiment.device.model_copy(update={"uri": device.uri})
    data = experiment.data if base is None else _anchored(experiment.data, base)
    return experiment.model_copy(update={"device": address, "data": data})


def load_dataset(experiment: Experiment, base: Path) -> Dataset:
    """The experiment's dataset, as it is; relative paths in its name count from `base`."""
    options = experiment.data.options
    if "base" in options:
        raise ConfigError("data.base: no such key; relative paths count from the experiment file's folder")
    for option in options:
        near = difflib.get_close_matches(option, ("scale", "scale_to", "name"), n=1, cutoff=0.75)
        if near:
            raise ConfigError(f"data.{option}: no such key; did you mean 'data.{near[0]}'?")
    return load(experiment.data.name, base=base, **options)


def load_as_kept(experiment: Experiment, base: Path) -> Dataset:
    """The dataset of a run, scaled as it was when the run began; relative paths count from `base`."""
    data, dataset = experiment.data, load_dataset(experiment, base)
    if data.scale not in METHODS or data.scale_to is None:
        return dataset
    return scaled(dataset, data.scale, *data.scale_to)


@contextlib.asynccontextmanager
async def opening(device: str | Device, cost: CostFunction | None = None) -> AsyncIterator[Device]:
    """A device, open. One that is inside an `async with` of the caller's is used and left open.

    Args:
        device: an address, or a device.
        cost: the user's cost, which it has meanwhile.
    """
    if not isinstance(device, Device):
        device = open_device(device)  # which says what it expects
    if device.entered:
        with lent(device, cost):
            yield device
        return
    async with contextlib.AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(device)
        except OSError as error:
            raise DeviceUnavailable(f"cannot be opened: {error}", uri=device.uri) from error
        stack.enter_context(lent(device, cost))
        yield device


def _anchored(data: DataSection, base: Path) -> DataSection:
    """A dataset that was found, with the path in its name absolute: the same one from wherever it is asked for."""
    kind, colon, path = full_name(data.name, base).partition(":")  # only those of files have a colon
    return data.model_copy(update={"name": f"{kind}:{(base / expanded(path)).resolve()}"}) if colon else data
