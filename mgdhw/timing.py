"""Time and energy of training on hardware, from operation counts and the time and energy of each operation.

Pure functions of counts, used for finished runs and for estimates alike. Times are those of the whole chip, whose cells
work in parallel; energies are per cell (for inputs, per input line): a larger chip takes more energy, not more time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol, Self

from mgdhw.block import Baseline
from mgdhw.errors import ConfigError
from mgdhw.parsing import format_number

LARGEST = 1e300
"""Of a time or an energy; still a finite float."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Time and energy of the operations of a device. Zero: negligible, or included in another operation.

    Args:
        baseline_seconds: measure the unperturbed cost of one sample.
        baseline_joules: the same, for each parameter.
        probe_seconds: apply a code and measure the perturbed cost of one sample (τ_p).
        probe_joules: the same, for each parameter.
        settling_seconds: wait before a cost of one sample is measured, where τ_p does not include it.
        settling_joules: the same, for each parameter.
        input_seconds: apply another sample.
        input_joules: the same, for each input.
        update_seconds: write θ, all parameters at once.
        write_seconds: write one parameter, where they are written one after another; comes on top of `update_seconds`.
        write_joules: write one parameter.

    Raises:
        ConfigError: one of them is negative or no number.
    """

    baseline_seconds: float = 0.0
    baseline_joules: float = 0.0
    probe_seconds: float = 0.0
    probe_joules: float = 0.0
    settling_seconds: float = 0.0
    settling_joules: float = 0.0
    input_seconds: float = 0.0
    input_joules: float = 0.0
    update_seconds: float = 0.0
    write_seconds: float = 0.0
    write_joules: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 <= value <= LARGEST:
                raise ConfigError(f"timing.{field.name}={format_number(value)}: expected a number of 0 or more")


class Measurement(Protocol):
    """How an evaluation is measured (`mgdhw.device.Acquisition`)."""

    @property
    def settling_seconds(self) -> float:
        """Before the first reading."""

    @property
    def readings(self) -> int:
        """Averaged."""

    @property
    def dead_seconds(self) -> float:
        """Between two readings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationCounts:
    """Operation counts of the hardware.

    The first write of θ and evaluations for learning curves are not counted.

    Args:
        probes: perturbed costs measured.
        baselines: costs measured for comparison: C₀, or C(θ - θ̃) of an antithetic probe.
        updates: updates of θ.
        samples: costs of single samples measured: B for every probe and baseline, one after another.
        inputs: samples applied. A single one stays applied during τ_x; B > 1 are applied in turn in every measurement.
        vectors: writes of all parameters: one for every update, and for every measurement with host codes.
        n_parameters, n_inputs: P, and inputs of one sample.
    """

    probes: int
    baselines: int
    updates: int
    samples: int
    inputs: int
    vectors: int
    n_parameters: int
    n_inputs: int

    @property
    def evaluations(self) -> int:
        """Applications of B samples: probes and baselines."""
        return self.probes + self.baselines

    @property
    def parameter_writes(self) -> int:
        """Single parameters written."""
        return self.vectors * self.n_parameters

    def summary(self) -> dict[str, int]:
        """JSON-compatible form."""
        return {
            "probes": self.probes,
            "baselines": self.baselines,
            "evaluations": self.evaluations,
            "updates": self.updates,
            "inputs": self.inputs,
            "parameter_writes": self.parameter_writes,
        }


@dataclass(frozen=True, slots=True)
class Item:
    """One kind of operation: count, time in seconds, energy in joules."""

    count: int
    seconds: float
    joules: float


@dataclass(frozen=True, slots=True)
class TimeAndEnergy:
    """Time and energy of training on hardware, by operation: baseline, probe, settling, input, update.

    Also dead time, between readings that are averaged, where a measurement is declared to have some.
    """

    items: Mapping[str, Item]

    @property
    def seconds(self) -> float:
        """Total time."""
        return math.fsum(item.seconds for item in self.items.values())

    @property
    def joules(self) -> float:
        """Total energy."""
        return math.fsum(item.joules for item in self.items.values())

    def summary(self) -> dict[str, Any]:
        """JSON-compatible form."""
        items = {
            name: {"count": item.count, "seconds": item.seconds, "joules": item.joules}
            for name, item in self.items.items()
        }
        return {"seconds": self.seconds, "joules": self.joules, "items": items}

    @classmethod
    def from_summary(cls, summary: Mapping[str, Any]) -> Self:
        """Inverse of `summary`. Raises KeyError or TypeError for anything else."""
        return cls({name: Item(**item) for name, item in summary["items"].items()})


def expected_baselines(probes: int, baseline: Baseline, *, tau_x: int, update_period: int) -> int:
    """Number of baselines measured in the first `probes` probes.

    A held baseline is measured again when θ or the batch changes: at multiples of either period, once if both change.
    """
    match baseline:
        case Baseline.HELD:
            both = math.lcm(tau_x, update_period)
            return sum(_started(probes, period) for period in (tau_x, update_period)) - _started(probes, both)
        case Baseline.NONE:
            return 0
        case _:
            return probes


def count_operations(
    *,
    probes: int,
    evaluations: int,
    updates: int,
    batch: int,
    tau_x: int,
    n_parameters: int,
    n_inputs: int,
    host_codes: bool,
) -> OperationCounts:
    """Operation counts, from what is known of every run.

    Args:
        probes, evaluations, updates: done, or to be done.
        batch: B.
        tau_x: probes for which samples are held.
        n_parameters, n_inputs: of the network.
        host_codes: whether the host makes the codes and writes them.
    """
    return OperationCounts(
        probes=probes,
        baselines=evaluations - probes,
        updates=updates,
        samples=batch * evaluations,
        inputs=_started(probes, tau_x) if batch == 1 else batch * evaluations,
        vectors=updates + (evaluations if host_codes else 0),
        n_parameters=n_parameters,
        n_inputs=n_inputs,
    )


def time_and_energy(timing: Timing, counted: OperationCounts, measurement: Measurement | None = None) -> TimeAndEnergy:
    """Time and energy of counted operations on hardware with this timing.

    Args:
        timing: of the hardware.
        counted: operations.
        measurement: how each evaluation is measured, in addition: it settles once, and is read several times.
    """
    cells, batch = counted.n_parameters, counted.samples // max(1, counted.evaluations)
    readings = 1 if measurement is None else measurement.readings
    settling, dead = (0.0, 0.0) if measurement is None else (measurement.settling_seconds, measurement.dead_seconds)
    pauses = counted.evaluations * (readings - 1)
    baselines, probes = readings * batch * counted.baselines, readings * batch * counted.probes
    samples, inputs = readings * counted.samples, counted.inputs * (readings if batch > 1 else 1)
    writes = counted.parameter_writes
    return TimeAndEnergy(
        {
            "baseline": Item(
                counted.baselines,
                baselines * timing.baseline_seconds,
                baselines * cells * timing.baseline_joules,
            ),
            "probe": Item(counted.probes, probes * timing.probe_seconds, probes * cells * timing.probe_joules),
            "settling": Item(
                samples,
                samples * timing.settling_seconds + counted.evaluations * settling,
                samples * cells * timing.settling_joules,
            ),
            "input": Item(
                inputs,
                inputs * timing.input_seconds,
                inputs * counted.n_inputs * timing.input_joules,
            ),
            "update": Item(
                counted.vectors,
                counted.vectors * timing.update_seconds + writes * timing.write_seconds,
                writes * timing.write_joules,
            ),
            **({"dead time": Item(pauses, pauses * dead, 0.0)} if dead else {}),
        }
    )


def total(items: Iterable[TimeAndEnergy]) -> TimeAndEnergy | None:
    """The sum over several; None for none."""
    given = list(items)
    if not given:
        return None
    return TimeAndEnergy(
        {
            name: Item(
                sum(one.items[name].count for one in given),
                math.fsum(one.items[name].seconds for one in given),
                math.fsum(one.items[name].joules for one in given),
            )
            for name in given[0].items
        }
    )


def _started(probes: int, period: int) -> int:
    """Number of periods that begin within the first `probes` probes."""
    return -(-probes // period)
