"""The contract between training code and every device, simulated or real, and what all devices share."""

from mgdhw.device.acquisition import Acquisition
from mgdhw.device.base import Device
from mgdhw.device.drivers import device_schemes
from mgdhw.device.host_codes import HostCodes
from mgdhw.device.info import Capability, DeviceInfo
from mgdhw.device.interlock import Interlock
from mgdhw.device.linked_limits import DifferenceLimit, LinkedLimit, PowerLimit
from mgdhw.device.motion import Motion
from mgdhw.device.opening import open_device

__all__ = [
    "Acquisition",
    "Capability",
    "Device",
    "DeviceInfo",
    "DifferenceLimit",
    "HostCodes",
    "Interlock",
    "LinkedLimit",
    "Motion",
    "PowerLimit",
    "device_schemes",
    "open_device",
]
