"""Drivers: which are installed, and whether a driver is complete."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from mgdhw.device.uri import address_of, check_characters, suggest_address
from mgdhw.errors import ConfigError, ConformanceError, DeviceFault, DeviceUnavailable, MgdhwError
from mgdhw.parsing import short_repr
from mgdhw.plugins import Broken, describe_error, distribution_of, load

ENTRY_POINTS = "mgdhw.devices"
PRESETS = "mgdhw.presets"
"""Group of callables, by scheme, that return addresses with descriptions: {address: text}."""

HOOKS = {"open": "connect", "close": "disconnect", "write": "apply"}
"""Methods common to all devices, and the hooks that a driver implements."""
CALLED = ("apply", "infer", "load", "probe", "learn", "restore")
"""Methods whose signature is checked."""


def check_class(driver: type, device: type, contract: str) -> None:
    """Raise ConformanceError if a driver lacks a method, or overrides one that is common to all devices.

    Python's own error would not say where the contract is documented.

    Args:
        driver: the class.
        device: the base class.
        contract: the class with the contract of this driver.
    """
    name = driver_name(driver)
    where = f"see docs/drivers.md and: python -m pydoc mgdhw.{contract}"
    renamed = [f"{old} to {new}" for old, new in HOOKS.items() if getattr(driver, old) is not getattr(device, old)]
    if renamed:
        raise ConformanceError(
            f"{name} overrides methods that are common to all devices; rename {', '.join(renamed)} (limits, ramps and"
            f" the open state are taken care of); {where}"
        )
    missing = ", ".join(sorted(getattr(driver, "__abstractmethods__", ())))
    if missing:
        raise ConformanceError(f"{name} does not implement {missing}; {where}")
    for method in CALLED:
        wanted, own = getattr(device, method), getattr(driver, method)
        if own is wanted:
            continue
        arguments = list(inspect.signature(wanted).parameters)
        try:
            inspect.signature(own).bind(*arguments)
        except TypeError:
            raise ConformanceError(f"{name}: {method} has to accept ({', '.join(arguments)}); {where}") from None


def driver_name(driver: type) -> str:
    """A driver's class, as named in errors."""
    return f"driver {driver.__module__}.{driver.__qualname__}"


def installed_drivers() -> list[EntryPoint]:
    """Installed drivers in the order of their URI schemes."""
    found = {(point.name, point.value, distribution_of(point)): point for point in entry_points(group=ENTRY_POINTS)}
    return [found[key] for key in sorted(found)]


def device_schemes() -> dict[str, EntryPoint]:
    """Installed drivers by URI scheme; one of several for the same scheme."""
    return {point.name: point for point in installed_drivers()}


def conflicting_drivers(point: EntryPoint) -> list[EntryPoint]:
    """Other drivers for the same scheme, which make it ambiguous."""
    return [other for other in installed_drivers() if other.name == point.name and other != point]


def driver_of(uri: str) -> Callable[[str], object]:
    """The callable that makes the device at an address.

    Raises:
        ConfigError: there is no driver for it, more than one, or none that can be loaded.
    """
    if not isinstance(uri, str):
        raise ConfigError(f"device: expected an address, such as sim:analog-8bit (got {short_repr(uri)})")
    check_characters(uri)
    scheme, separator, _ = uri.partition(":")
    schemes = device_schemes()
    if scheme not in schemes or not separator:
        hint = suggest_address(uri, schemes, simulated_chips())
        if not separator:
            example = hint or ", for example sim:analog-8bit"
            raise ConfigError(f"device {short_repr(uri)} has no scheme; expected SCHEME:ADDRESS{example}")
        raise ConfigError(
            f"device {short_repr(uri)}: no driver for scheme {short_repr(scheme)}{hint}"
            f" (installed: {', '.join(schemes)})"
        )
    point = schemes[scheme]
    others = conflicting_drivers(point)
    if others:
        names = ", ".join(f"{distribution_of(one)} ({one.value})" for one in [*others, point])
        raise ConfigError(
            f"device {short_repr(uri)}: several drivers for scheme {scheme!r}; uninstall all but one of {names}"
        )
    driver = _loaded(point, f"device {short_repr(uri)}: its driver")
    if not callable(driver):
        raise ConfigError(
            f"device {short_repr(uri)}: its driver, {point.value} of {distribution_of(point)}, is a"
            f" {type(driver).__name__}; expected a callable that takes an address and returns a Device"
        )
    return driver  # type: ignore[no-any-return]


def make_device(uri: str) -> object:
    """What the driver of an address returns for it.

    Raises:
        ConfigError: as `driver_of`, or the driver rejects the address.
        ConformanceError: the driver lacks a method of the contract.
        DeviceUnavailable: an OSError in the driver.
        DeviceFault: any other exception in the driver.
    """
    driver = driver_of(uri)
    try:
        return driver(uri)
    except ConformanceError as error:
        raise ConformanceError(f"device {uri!r}: {error}") from None
    except MgdhwError:
        raise
    except OSError as error:
        raise DeviceUnavailable(f"cannot be opened: {error}", uri=uri) from error
    except Exception as error:  # third-party code; the traceback is kept for its author
        raise DeviceFault(f"its driver failed to create the device: {describe_error(error)}", uri=uri) from error


def known_address(text: str) -> str | None:
    """The device address that a text is, or abbreviates without its scheme; None if it is neither."""
    schemes = device_schemes()
    if ":" in text and text.partition(":")[0] in schemes:
        return text
    return address_of(text, schemes, simulated_chips())


def _loaded(point: EntryPoint, what: str) -> Any:
    try:
        return load(point)
    except Broken as error:
        # The module's own exception is the cause, with its traceback for the author.
        raise ConfigError(
            f"{what}, {point.value} of {distribution_of(point)}, cannot be loaded: {error}"
        ) from error.__cause__


def simulated_chips() -> dict[str, str]:
    """Addresses of simulated chips by preset name. No device is opened."""
    found: dict[str, str] = {}
    for point in entry_points(group=PRESETS, name="sim"):
        try:
            found |= {uri.partition(":")[2]: uri for uri in load(point)()}
        except Exception:  # third-party code, and only for a hint
            continue
    return found
