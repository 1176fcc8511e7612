"""How an experiment measures on a device, and what that takes."""

from __future__ import annotations

from mgdhw.device import Acquisition, Capability, DeviceInfo
from mgdhw.experiment.schema import Experiment
from mgdhw.timing import OperationCounts, TimeAndEnergy, Timing, time_and_energy


def uses_host_codes(experiment: Experiment, info: DeviceInfo) -> bool:
    """Whether the host makes the codes: as the experiment says, or because the device cannot."""
    level = experiment.run.level
    return level == "host-codes" or not info.capabilities & (Capability.PROBE | Capability.LEARN)


def acquisition_of(experiment: Experiment, info: DeviceInfo, *, host_codes: bool) -> Acquisition | None:
    """How probes are measured; None: at once, from one reading.

    As the device declares; where the host makes the codes, the experiment may say otherwise.
    """
    readings = experiment.readings
    if not host_codes or (readings.settling is None and readings.average is None):
        return info.acquisition
    return (info.acquisition or Acquisition()).overridden(readings.settling, readings.average)


def usage_of(counted: OperationCounts, info: DeviceInfo, acquisition: Acquisition | None) -> TimeAndEnergy | None:
    """What counted operations take; None where the device declares neither timing nor how it measures."""
    if info.timing is None and acquisition is None:
        return None
    return time_and_energy(info.timing or Timing(), counted, acquisition)
