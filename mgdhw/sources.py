"""From what users give - a file, a mapping, an address - to an experiment, a dataset and an open device."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from mgdhw.config import DataSection, Experiment, check_experiment, load_experiment, parse_experiment, to_toml
from mgdhw.costs import CostFunction
from mgdhw.datasets import Dataset, load
from mgdhw.device import Device, open_device
from mgdhw.errors import ConfigError, DeviceUnavailable
from mgdhw.own_cost import lent

Source = str | Path | Mapping[str, Any] | Experiment


def default_experiment() -> str:
    """The experiment that `mgdhw train` runs when given none, as TOML with comments: handwritten digits."""
    found = _packaged("digits")
    assert found is not None, "it is part of the package"
    return found


def _packaged(name: str) -> str | None:
    """An experiment that comes with mgdhw, by its name, as TOML; None if there is none of that name."""
    file = files("mgdhw").joinpath("experiments", f"{name}.toml")
    return file.read_text(encoding="utf-8") if file.is_file() else None


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
        packaged = None if path.exists() or path.name != str(path) else _packaged(path.name)
        if packaged is not None:
            return parse_experiment(packaged, source=f"the packaged {path.name}.toml", overrides=overrides), None, here
        return load_experiment(path, overrides), str(path.resolve()), path.resolve().parent
    if isinstance(experiment, Mapping):
        experiment = check_experiment(experiment, source="experiment")
    if not isinstance(experiment, Experiment):
        raise ConfigError(f"experiment: expected a TOML file, a mapping or an Experiment (got {experiment!r})")
    return changed(experiment, overrides), None, here


def as_done(experiment: Experiment, device: Device, base: Path) -> Experiment:
    """The experiment as it is kept: it says what was really done, so that it can be repeated from anywhere."""
    address = experiment.device.model_copy(update={"uri": device.uri})
    return experiment.model_copy(update={"device": address, "data": _anchored(experiment.data, base)})


def changed(experiment: Experiment, overrides: tuple[str, ...]) -> Experiment:
    """The experiment with some keys changed."""
    if not overrides:
        return experiment
    return parse_experiment(to_toml(experiment), source="experiment", overrides=overrides)


def load_dataset(experiment: Experiment, base: Path) -> Dataset:
    """The experiment's dataset; relative paths in its name count from `base`."""
    options = experiment.data.options
    if "base" in options:
        raise ConfigError("data.base: no such key; relative paths count from the experiment file's folder")
    return load(experiment.data.name, base=base, **options)


@contextlib.asynccontextmanager
async def opening(device: str | Device, cost: CostFunction | None = None) -> AsyncIterator[Device]:
    """A device, open. One that is inside an `async with` of the caller's is used and left open.

    Args:
        device: an address, or a device.
        cost: the user's cost, which it has meanwhile.
    """
    if isinstance(device, str):
        device = open_device(device)
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
    kind, colon, path = data.name.partition(":")  # only those of files have a colon
    return data.model_copy(update={"name": f"{kind}:{(base / Path(path).expanduser()).resolve()}"}) if colon else data
