"""The error taxonomy: everything that mgdhw raises on purpose derives from `MgdhwError`.

A message says what happened, to which thing, and what to do next.
"""

from __future__ import annotations


class MgdhwError(Exception):
    """Base of every error that mgdhw raises on purpose."""


class ConfigError(MgdhwError):
    """An experiment, option or address is not usable: says what, where, and what was expected."""


class DatasetError(MgdhwError):
    """A dataset is missing, malformed, or does not fit what was asked of it."""


class CheckpointError(MgdhwError):
    """A checkpoint cannot be read or written, or belongs to another experiment."""


class RunError(MgdhwError):
    """A run folder is missing, unreadable, or cannot be written."""


class ConformanceError(MgdhwError):
    """A device does not keep the contract: says what it did, and what was expected."""


class DeviceError(MgdhwError):
    """Base of all that a device can raise; carries the device's address.

    Args:
        message: what happened and what to do next.
        uri: the device's address, shown in front of the message.
    """

    def __init__(self, message: str, *, uri: str = "") -> None:
        super().__init__(f"{uri}: {message}" if uri else message)
        self.uri = uri


class DeviceUnavailable(DeviceError):
    """The device is not there, is busy, or is not the one expected."""


class DeviceAbsent(DeviceUnavailable):
    """The device is not there, or not yet: waiting may help."""


class DeviceFault(DeviceError):
    """The device itself reports an error, or answers with something that no device may answer."""


class Overload(DeviceFault):
    """A reading is not a measurement: an overload sentinel of an instrument, or not a number, also when repeated.

    A driver that recognizes overloads itself raises it, too; the reading is then repeated.

    Args:
        message, uri: see `DeviceError`.
        final: whether it has been repeated in vain, and is not to be repeated again.
    """

    def __init__(self, message: str, *, uri: str = "", final: bool = False) -> None:
        super().__init__(message, uri=uri)
        self.final = final


class InterlockOpen(DeviceFault):
    """A condition that must hold for the hardware to be used does not hold."""


class LimitExceeded(DeviceError):
    """A parameter or a perturbed parameter would leave its limits; raised before anything is sent."""


class LinkError(DeviceError):
    """Base of the faults of a link that a repeated request may cure."""


class LinkTimeout(LinkError):
    """No answer in time."""


class LinkLost(LinkError):
    """The peer is gone."""


class LinkCorrupt(LinkError):
    """A bad checksum or a bad frame."""
