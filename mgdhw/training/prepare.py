"""What experiment, device and dataset make together, before anything is sent to the device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mgdhw.costs import COSTS
from mgdhw.datasets import Dataset
from mgdhw.device import Capability, Device, DeviceInfo, HostCodes
from mgdhw.errors import ConfigError, DeviceUnavailable
from mgdhw.experiment.inputs import input_notes
from mgdhw.experiment.schema import Experiment, missing_cost
from mgdhw.learning.loop import Recipe
from mgdhw.timing import OperationCounts, TimeAndEnergy, count_operations, time_and_energy
from mgdhw.training.recipe import deltas_of, recipe_of


@dataclass(frozen=True, slots=True)
class Plan:
    """How a training will go.

    Args:
        recipe: how costs become parameters.
        level: how much the device does by itself: "host-codes", "device-codes" or "learn".
        delta: Δ in parameter units, as the device can represent it.
        notes: what the user should know.
    """

    recipe: Recipe
    level: str
    delta: float
    notes: tuple[str, ...]

    def taken(
        self, info: DeviceInfo, *, probes: int, evaluations: int, updates: int
    ) -> tuple[OperationCounts, TimeAndEnergy | None]:
        """How often the hardware did what, and what that takes on it where its timing is known."""
        counted = count_operations(
            probes=probes,
            evaluations=evaluations,
            updates=updates,
            batch=self.recipe.order.batch,
            tau_x=self.recipe.order.tau_x,
            n_parameters=info.n_parameters,
            n_inputs=info.n_inputs,
            host_codes=self.level == "host-codes",
        )
        return counted, None if info.timing is None else time_and_energy(info.timing, counted)


def plan(experiment: Experiment, device: Device, dataset: Dataset) -> Plan:
    """The plan of a training.

    Raises:
        DeviceUnavailable: the device is not open.
        ConfigError: experiment and device do not fit each other.
    """
    if not hasattr(device, "info"):
        raise DeviceUnavailable("the device is not open; use it inside `async with`", uri=device.uri)
    training, info = experiment.training, device.info
    if experiment.cost is not None and device.own_cost is None:
        raise ConfigError(missing_cost(experiment.cost))
    if device.cost_function() is None:
        raise ConfigError(f"{device.uri} measures {info.cost_kind!r}; known costs are {', '.join(sorted(COSTS))}")
    notes: list[str] = []
    if training.update_period > training.probes:
        notes.append(
            f"the parameters will not move: {training.probes} probes are fewer than the {training.update_period}"
            " that an update takes"
        )
    if Capability.DETERMINISTIC not in info.capabilities:
        notes.append(
            "this device is not deterministic: levels of delegation and repeated runs agree only statistically"
        )
    if experiment.evaluation.stop_at_accuracy is not None and not dataset.has_classes:
        raise ConfigError(
            f"evaluation.stop_at_accuracy: the targets of dataset {dataset.name!r} are numbers to be met, no classes:"
            " outputs are not right or wrong; use evaluation.stop_at_cost"
        )
    notes += input_notes(info, dataset)
    recipe, about = recipe_of(experiment, info, dataset.n_train)
    level = choose_level(experiment.run.level, device, by_layer=bool(recipe.codes.amplitudes))
    if recipe.codes.amplitudes:
        if level == "host-codes" and Capability.PROBE in info.capabilities and experiment.run.level == "auto":
            notes.append("the host makes the codes: this device's own generator has one Δ for all layers")
        notes.append(f"Δ by layer: {', '.join(f'{delta:g}' for delta in deltas_of(experiment, info))}")
    if level == "host-codes" and not info.exact_writes:
        notes.append(
            "writes to this device are not exact, and host codes write every probe: expect another training than with"
            " its own codes, not the same one"
        )
    delta = float(np.max(recipe.codes.amplitude * np.asarray(info.theta_lsb)))
    return Plan(recipe, level, delta, (*notes, *about))


def choose_level(wanted: str, device: Device, *, by_layer: bool = False) -> str:
    """The highest level that an open device has, or the one wanted. Raises ConfigError if it hasn't that.

    Args:
        wanted: `run.level`.
        device: open.
        by_layer: whether each layer has a Δ of its own, which not every code generator can.
    """
    capabilities = device.info.capabilities
    if by_layer and Capability.AMPLITUDES not in capabilities:
        if wanted in ("device-codes", "learn") or not isinstance(device, HostCodes):
            host = ", or run.level=host-codes" if isinstance(device, HostCodes) else ""
            raise ConfigError(
                f"codes.delta: the code generator of {device.uri} has one Δ for all layers; expected one number{host}"
            )
        return "host-codes"
    if wanted == "auto" and Capability.LEARN in capabilities:
        return "learn"
    if wanted == "auto":
        return "device-codes" if Capability.PROBE in capabilities else "host-codes"
    if wanted == "device-codes" and Capability.PROBE not in capabilities:
        raise ConfigError(f"{device.uri} has no code generator; use level host-codes")
    if wanted == "learn" and Capability.LEARN not in capabilities:
        raise ConfigError(f"{device.uri} cannot learn by itself; use level device-codes or host-codes")
    if wanted == "host-codes" and not isinstance(device, HostCodes):
        raise ConfigError(f"{device.uri} takes no single measurements; use level device-codes")
    return wanted
