"""What experiment, device and dataset make together, before anything is sent to the device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mgdhw.config import Experiment, missing_cost
from mgdhw.costs import COSTS
from mgdhw.datasets import Dataset
from mgdhw.device import Capability, Device, DeviceInfo, HostCodes
from mgdhw.errors import ConfigError, DeviceUnavailable
from mgdhw.loop import Recipe
from mgdhw.recipe import recipe_of
from mgdhw.timing import Bill, Count, bill, count


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

    def taken(self, info: DeviceInfo, *, probes: int, evaluations: int, updates: int) -> tuple[Count, Bill | None]:
        """How often the hardware did what, and what that takes on it where its timing is known."""
        counted = count(
            probes=probes,
            evaluations=evaluations,
            updates=updates,
            batch=self.recipe.order.batch,
            tau_x=self.recipe.order.tau_x,
            n_parameters=info.n_parameters,
            n_inputs=info.n_inputs,
            host_codes=self.level == "host-codes",
        )
        return counted, None if info.timing is None else bill(info.timing, counted)


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
    recipe, about = recipe_of(experiment, info, dataset.n_train)
    level = choose_level(experiment.run.level, device)
    if level == "host-codes" and not info.exact_writes:
        notes.append(
            "writes to this device are not exact, and host codes write every probe: expect another training than with"
            " its own codes, not the same one"
        )
    delta = float(np.max(recipe.codes.amplitude * np.asarray(info.theta_lsb)))
    return Plan(recipe, level, delta, (*notes, *about))


def choose_level(wanted: str, device: Device) -> str:
    """The highest level that an open device has, or the one wanted. Raises ConfigError if it hasn't that."""
    capabilities = device.info.capabilities
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
