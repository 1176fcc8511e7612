"""Drivers: which are installed, and whether one is whole."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points

from mgdhw.errors import ConfigError, ConformanceError

ENTRY_POINTS = "mgdhw.devices"

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
    name = f"driver {driver.__module__}.{driver.__qualname__}"
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


def device_schemes() -> dict[str, EntryPoint]:
    """Installed drivers by the URI scheme that they answer to."""
    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}


def driver_of(uri: str) -> Callable[[str], object]:
    """What makes the device at an address. Raises ConfigError where there is none, or none that can be loaded."""
    scheme, separator, _ = uri.partition(":")
    schemes = device_schemes()
    if not separator:
        raise ConfigError(f"device {uri!r} has no scheme; expected SCHEME:ADDRESS, for example sim:analog-8bit")
    if scheme not in schemes:
        near = difflib.get_close_matches(scheme, schemes, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(
            f"device {uri!r}: no driver answers to {scheme!r}{hint} (installed: {', '.join(sorted(schemes))})"
        )
    try:
        driver: Callable[[str], object] = schemes[scheme].load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"device {uri!r}: its driver cannot be loaded: {error}") from error
    return driver
