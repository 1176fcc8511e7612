"""Estimated time and energy of an experiment on hardware, without running it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mgdhw.device import DeviceInfo, open_device
from mgdhw.device.drivers import simulated_chips
from mgdhw.errors import ConfigError
from mgdhw.experiment.measurement import acquisition_of, usage_of, uses_host_codes
from mgdhw.experiment.resolve import opening
from mgdhw.experiment.schema import Experiment
from mgdhw.parsing import did_you_mean, short_repr
from mgdhw.timing import OperationCounts, TimeAndEnergy, count_operations, expected_baselines


@dataclass(frozen=True, slots=True)
class Estimate:
    """Estimated time and energy of an experiment.

    Args:
        experiment: its name.
        hardware: address of the device that declares the timing.
        counts: numbers of operations.
        time_and_energy: what they take.
    """

    experiment: str
    hardware: str
    counts: OperationCounts
    time_and_energy: TimeAndEnergy

    def summary(self) -> dict[str, Any]:
        """JSON-compatible form."""
        return {
            "experiment": self.experiment,
            "hardware": self.hardware,
            **self.counts.summary(),
            **self.time_and_energy.summary(),
        }


async def estimate_async(experiment: Experiment, preset: str | None = None) -> Estimate:
    """Estimate time and energy of an experiment on hardware.

    The network is that of the experiment's device, the timing that of the preset. Devices are opened, but nothing is
    measured.

    Args:
        experiment: run to its last probe, because the time to reach a target is unknown.
        preset: name or address of a device with a timing; None for the experiment's own.

    Raises:
        ConfigError: there is no such preset, or it declares no timing.
    """
    network = await _info(experiment.device.uri)
    uri = experiment.device.uri if preset is None else address(preset)
    hardware = network if preset is None else await _info(uri)
    counts = expected(experiment, network)
    acquisition = acquisition_of(experiment, hardware, host_codes=uses_host_codes(experiment, hardware))
    usage = usage_of(counts, hardware, acquisition)
    if usage is None:
        raise ConfigError(
            f"{uri}: this device declares no timing; choose hardware with --preset ({', '.join(await _timed())})"
        )
    return Estimate(experiment.name, uri, counts, usage)


def expected(experiment: Experiment, info: DeviceInfo) -> OperationCounts:
    """Operation counts of an experiment on a device with this network, to its last probe."""
    training = experiment.training
    baselines = expected_baselines(
        training.probes, training.block_baseline, tau_x=training.tau_x, update_period=training.update_period
    )
    return count_operations(
        probes=training.probes,
        evaluations=training.probes + baselines,
        updates=training.probes // training.update_period,
        batch=training.batch,
        tau_x=training.tau_x,
        n_parameters=info.n_parameters,
        n_inputs=info.n_inputs,
        host_codes=uses_host_codes(experiment, info),
    )


def address(preset: str) -> str:
    """Address of a preset by name; an address is returned as is. Raises ConfigError."""
    if ":" in preset:
        return preset
    known = simulated_chips()
    name, question, options = preset.partition("?")
    if name in known:
        return f"{known[name]}{question}{options}"
    raise ConfigError(f"no preset {short_repr(name)}{did_you_mean(name, known)} ({', '.join(known)})")


async def _timed() -> list[str]:
    """Names of the presets that declare a timing."""
    return [name for name, uri in simulated_chips().items() if (await _info(uri)).timing is not None]


async def _info(uri: str) -> DeviceInfo:
    async with opening(open_device(uri)) as device:
        return device.info
