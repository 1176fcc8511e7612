"""Whether a run, its checkpoint, an experiment, data and a device belong together."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from mgdhw.costs import CostFunction
from mgdhw.datasets import Dataset
from mgdhw.device import Device, DeviceInfo
from mgdhw.errors import CheckpointError, ConfigError, DeviceUnavailable, RunError
from mgdhw.experiment.own_cost import described
from mgdhw.experiment.schema import Experiment
from mgdhw.learning import digest
from mgdhw.runs import Run
from mgdhw.runs.provenance import provenance
from mgdhw.training.amplitude import deltas_of


def base_of(run: Run) -> Path:
    """The folder that relative paths in the run's experiment count from."""
    base = run.provenance().get("base")
    if not isinstance(base, str):
        raise RunError(f"{run.provenance_file}: does not say where the run's relative paths count from")
    return run.folder / base  # absolute, but for data that lie in the run's own folder


def began_with(experiment: Experiment, dataset: Dataset) -> str:
    """What the digest of a trajectory begins with, in hexadecimal: by it a checkpoint is known as a run's."""
    return digest.begin(experiment.decisive(), dataset.digest).hex()


def record_of(
    experiment: Experiment,
    dataset: Dataset,
    device: Device,
    *,
    source: str | None,
    base: Path | None,
    cost: CostFunction | None,
) -> dict[str, Any]:
    """Where a new run comes from, for `provenance.json`.

    Args:
        experiment, dataset: as they are trained.
        device: open.
        source: the experiment file, if there is one.
        base: folder that relative paths in the experiment count from; None: the run's own, wherever that is moved.
        cost: the user's, if there is one.
    """
    common = provenance(
        source=source,
        base=Path() if base is None else base,
        uri=device.uri,
        info=device.info,
        dataset=dataset,
        cost=None if cost is None else described(cost),
    )
    return {**common, "deltas": deltas_of(experiment, device.info), "began": began_with(experiment, dataset)}


def check_resumable(run: Run, kept: Experiment, wanted: Experiment, free: tuple[str, ...]) -> None:
    """Raise ConfigError where anything but the free sections has changed since the run began."""
    looks_alike = "evaluation" in free or wanted.evaluation == kept.evaluation
    if wanted.decisive() != kept.decisive() or wanted.data != kept.data or not looks_alike:
        sections = f"{', '.join(free[:-1])} and {free[-1]}"
        raise ConfigError(
            f"run {run.folder}: a run is resumed as it began; only the sections {sections} can be changed."
            f" To begin a new one with other settings: mgdhw train {shlex.quote(str(run.experiment_file))}"
        )


def check_began(run: Run, began: object, experiment: Experiment, dataset: Dataset, what: str = "checkpoint") -> None:
    """What is kept of a run is of use only for what it was made with. Raises CheckpointError."""
    if began != began_with(experiment, dataset):
        raise CheckpointError(
            f"run {run.folder}: its {what} belongs to another experiment or other data; dataset"
            f" {dataset.name!r} is not what it was, or experiment.toml was edited"
        )


def check_delta(run: Run, experiment: Experiment, device: Device) -> None:
    """A run goes on with the Δ that it began with. Raises ConfigError.

    Where the experiment does not say one, it is a share of the device's range, capped by how far the device may swing:
    another device, or the same one with other limits, would be given another.
    """
    kept, now = run.provenance().get("deltas"), deltas_of(experiment, device.info)
    if kept is not None and kept != now:
        raise ConfigError(
            f"run {run.folder}: began with Δ = {kept}, and would go on with {now} on {device.uri}, because codes.delta"
            " is left to the device's range and limits, which are other ones; restore them, or begin a new run there:"
            f" mgdhw train {shlex.quote(str(run.experiment_file))} --device {shlex.quote(device.uri)}"
        )


def identity_of(run: Run) -> str | None:
    """What distinguishes the device that a run began on from its like; None if that isn't on record."""
    identity = run.provenance().get("device", {}).get("identity")
    return identity if isinstance(identity, str) else None


def check_identity(run: Run, info: DeviceInfo, uri: str) -> None:
    """A run goes on with the very device that it began on, unless the user names another."""
    expected = identity_of(run) or "a device that its provenance.json does not name"
    if expected != info.identity:
        raise DeviceUnavailable(
            f"is {info.model} {info.identity}, the run was started on {expected}; connect that one, or say that"
            f" this one will do: {run.resume_command()} --device {shlex.quote(uri)}",
            uri=uri,
        )
