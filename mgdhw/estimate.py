"""What an experiment would take on hardware, told without running it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mgdhw.device import DeviceInfo, open_device
from mgdhw.device.drivers import simulated_chips
from mgdhw.errors import ConfigError
from mgdhw.experiment.resolve import opening
from mgdhw.experiment.schema import Experiment
from mgdhw.parsing import did_you_mean, short_repr
from mgdhw.timing import Count, TimeAndEnergy, bill, count, expected_baselines


@dataclass(frozen=True, slots=True)
class Estimate:
    """What an experiment would take.

    Args:
        experiment: its name.
        hardware: address of the device whose timing it is.
        count: how often it would do what.
        bill: what that takes.
    """

    experiment: str
    hardware: str
    count: Count
    bill: TimeAndEnergy

    def summary(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "experiment": self.experiment,
            "hardware": self.hardware,
            **self.count.summary(),
            **self.bill.summary(),
        }


async def estimate_async(experiment: Experiment, preset: str | None = None) -> Estimate:
    """What an experiment would take on hardware.

    The network is the one of the experiment's device, the timing the preset's. Devices are opened, but nothing is
    measured.

    Args:
        experiment: what would be done, to its last probe: nobody knows beforehand when a target is reached.
        preset: name or address of a device with a timing; None for the experiment's own.

    Raises:
        ConfigError: there is no such preset, or its timing isn't known.
    """
    network = await _info(experiment.device.uri)
    uri = experiment.device.uri if preset is None else address(preset)
    timing = (network if preset is None else await _info(uri)).timing
    if timing is None:
        raise ConfigError(
            f"{uri}: nobody has said how long it takes for anything; choose hardware with --preset"
            f" ({', '.join(await _timed())})"
        )
    counted = expected(experiment, network)
    return Estimate(experiment.name, uri, counted, bill(timing, counted))


def expected(experiment: Experiment, info: DeviceInfo) -> Count:
    """How often an experiment would do what, on a device with this network, to its last probe."""
    training = experiment.training
    baselines = expected_baselines(
        training.probes, training.block_baseline, tau_x=training.tau_x, update_period=training.update_period
    )
    return count(
        probes=training.probes,
        evaluations=training.probes + baselines,
        updates=training.probes // training.update_period,
        batch=training.batch,
        tau_x=training.tau_x,
        n_parameters=info.n_parameters,
        n_inputs=info.n_inputs,
        host_codes=experiment.run.level == "host-codes",
    )


def address(preset: str) -> str:
    """Address of a preset by its name; an address is one already. Raises ConfigError."""
    if ":" in preset:
        return preset
    known = simulated_chips()
    name, question, options = preset.partition("?")
    if name in known:
        return f"{known[name]}{question}{options}"
    raise ConfigError(f"no preset {short_repr(name)}{did_you_mean(name, known)} ({', '.join(known)})")


async def _timed() -> list[str]:
    """Names of the presets whose timing is known."""
    return [name for name, uri in simulated_chips().items() if (await _info(uri)).timing is not None]


async def _info(uri: str) -> DeviceInfo:
    async with opening(open_device(uri)) as device:
        return device.info
