"""From an address to a device."""

from __future__ import annotations

from mgdhw.device.base import Device
from mgdhw.device.drivers import make_device
from mgdhw.errors import DeviceFault


def open_device(uri: str) -> Device:
    """The device at an address, to be opened with `async with`.

    Drivers are found through the entry-point group `mgdhw.devices`, by URI scheme; third-party drivers work like
    mgdhw's own. An entry point names a callable that takes the URI and returns a Device.

    Raises:
        ConfigError: there is no driver for the scheme, or the driver rejects the address.
        ConformanceError: the driver lacks a method of the contract.
        DeviceUnavailable, DeviceFault: the driver fails, or does not return a Device.
    """
    device = make_device(uri)
    if isinstance(device, Device):
        return device
    raise DeviceFault(f"its driver returned an object of type {type(device).__name__}, not a Device", uri=uri)
