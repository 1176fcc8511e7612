"""Drivers: which are installed, and whether one is whole."""

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
"""Group of callables, keyed by scheme, that answer addresses worth knowing and what each is: {address: text}."""

HOOKS = {"open": "connect", "close": "disconnect", "write": "apply"}
"""What every device does alike, and the part of it that a driver does."""
CALLED = ("apply", "infer", "load", "probe", "learn", "restore")
"""What is called with arguments, so that a driver's own has to take them."""


def check_class(driver: type, device: type, contract: str) -> None:
    """Raise ConformanceError if a driver lacks what it has to do, or does what every device does alike.

    Python's own error would say neither where the contract is nor what a method is called there.

    Args:
        driver: the class.
        device: the base of all.
        contract: the base that says what this one has to do.
    """
    name = driver_name(driver)
    where = f"what they are to do is in docs/drivers.md and in: python -m pydoc mgdhw.{contract}"
    renamed = [f"{old} to {new}" for old, new in HOOKS.items() if getattr(driver, old) is not getattr(device, old)]
    if renamed:
        raise ConformanceError(
            f"{name} defines what every device does alike; rename {', '.join(renamed)} (checking limits, moving slowly"
            f" and refusing what is closed need no code of yours); {where}"
        )
    missing = ", ".join(sorted(getattr(driver, "__abstractmethods__", ())))
    if missing:
        raise ConformanceError(f"{name} lacks what every device has: {missing}; {where}")
    for method in CALLED:
        wanted, own = getattr(device, method), getattr(driver, method)
        if own is wanted:
            continue
        arguments = list(inspect.signature(wanted).parameters)
        try:
            inspect.signature(own).bind(*arguments)
        except TypeError:
            raise ConformanceError(f"{name}: its {method} has to take ({', '.join(arguments)}); {where}") from None


def driver_name(driver: type) -> str:
    """A driver's class, as errors call it."""
    return f"driver {driver.__module__}.{driver.__qualname__}"


def installed_drivers() -> list[EntryPoint]:
    """Every driver that a distribution offers, in the order of the URI schemes that they answer to."""
    found = {(point.name, point.value, distribution_of(point)): point for point in entry_points(group=ENTRY_POINTS)}
    return [found[key] for key in sorted(found)]


def device_schemes() -> dict[str, EntryPoint]:
    """Installed drivers by the URI scheme that they answer to; of several for one scheme, one."""
    return {point.name: point for point in installed_drivers()}


def conflicting_drivers(point: EntryPoint) -> list[EntryPoint]:
    """Other drivers that answer to the scheme of this one. Nobody can tell which of them is meant."""
    return [other for other in installed_drivers() if other.name == point.name and other != point]


def driver_of(uri: str) -> Callable[[str], object]:
    """What makes the device at an address.

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
            f"device {short_repr(uri)}: no driver answers to {short_repr(scheme)}{hint}"
            f" (installed: {', '.join(schemes)})"
        )
    point = schemes[scheme]
    others = conflicting_drivers(point)
    if others:
        names = ", ".join(f"{distribution_of(one)} ({one.value})" for one in [*others, point])
        raise ConfigError(
            f"device {short_repr(uri)}: several drivers answer to {scheme!r}; uninstall all but one of {names}"
        )
    driver = _loaded(point, f"device {short_repr(uri)}: its driver")
    if not callable(driver):
        raise ConfigError(
            f"device {short_repr(uri)}: its driver, {point.value} of {distribution_of(point)}, is a"
            f" {type(driver).__name__}; expected a callable that takes an address and answers a Device"
        )
    return driver  # type: ignore[no-any-return]


def make_device(uri: str) -> object:
    """What the driver of an address makes of it.

    Raises:
        ConfigError: as `driver_of`, or as the driver says that it cannot read the address.
        ConformanceError: the driver lacks a method of the contract.
        DeviceUnavailable: the system refuses what the driver asks of it.
        DeviceFault: it raises what no driver should.
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
    except Exception as error:  # the driver's own; its traceback is what whoever writes it wants to see
        raise DeviceFault(
            f"its driver cannot make a device of this address: {describe_error(error)}", uri=uri
        ) from error


def known_address(text: str) -> str | None:
    """The address of a device that a text is, or stands for without its scheme; None if it is something else."""
    schemes = device_schemes()
    if ":" in text and text.partition(":")[0] in schemes:
        return text
    return address_of(text, schemes, simulated_chips())


def _loaded(point: EntryPoint, what: str) -> Any:
    try:
        return load(point)
    except Broken as error:
        # What its module has raised is the cause: whoever writes the driver wants to see where.
        raise ConfigError(
            f"{what}, {point.value} of {distribution_of(point)}, cannot be loaded: {error}"
        ) from error.__cause__


def simulated_chips() -> dict[str, str]:
    """Addresses of the simulated chips, by the names that people call them. No board is asked or opened for it."""
    found: dict[str, str] = {}
    for point in entry_points(group=PRESETS, name="sim"):
        try:
            found |= {uri.partition(":")[2]: uri for uri in load(point)()}
        except Exception:  # others' code, for a hint
            continue
    return found
