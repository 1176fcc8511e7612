"""What the address of a board may say beside where the board is: each option is declared once, with its range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from mgdhw.device.uri import shorten_uri
from mgdhw.errors import ConfigError
from mgdhw.parsing import format_number, short_repr


def option(
    default: int | float | str, about: str, *, limits: tuple[float, float] | None = None, choices: tuple[str, ...] = ()
) -> Any:
    """A field of a class of options.

    Args:
        default: its value where an address does not say it; its type is that of the option.
        about: what it is, for people.
        limits: the smallest and the largest number that it may be.
        choices: words that it may be; empty: any.
    """
    return field(default=default, metadata={"about": about, "limits": limits, "choices": choices})


PROGRESS_SECONDS = 600.0
"""How long a board may be at one request and get nothing of it done, unless its address says otherwise."""
SECONDS = (0, 1e6)
LEAST_SECONDS = (0.05, 1e6)
UNITS = (0, 1e6)


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """What every address of a board may say; transports that have more add fields."""

    timeout: float = option(
        3.0, "seconds without an answer after which the link is put in step again", limits=LEAST_SECONDS
    )
    progress: float = option(
        PROGRESS_SECONDS,
        "seconds for which a board may be at one request without getting anything of it done",
        limits=LEAST_SECONDS,
    )
    reconnect: float = option(
        30.0,
        "seconds for which a board that went away is waited for, in each attempt at a request, and one that is not"
        " there yet, when it is opened; 0: not at all",
        limits=SECONDS,
    )
    dead_man: float = option(
        5.0, "seconds without a frame from the host after which the board goes to its safe state; 0: never",
        limits=SECONDS,
    )  # fmt: skip
    slew: float = option(
        0.0,
        "largest change of a parameter in one write, in its units; 0: any. Larger ones become ramps",
        limits=UNITS,
    )
    stress: float = option(
        0.0, "largest sum of the largest changes of all writes, in the parameters' units; 0: any", limits=UNITS
    )


Options = TypeVar("Options", bound=LinkOptions)


def option_names(kind: type[LinkOptions]) -> list[str]:
    """Names of a class's options, in the order of their declaration."""
    return [each.name for each in fields(kind)]


def read_options(uri: str, given: Mapping[str, str], kind: type[Options]) -> Options:
    """Options from their texts, all of which the class has.

    Args:
        uri: the address, for errors.
        given: text of each option, by its name.
        kind: their class.

    Raises:
        ConfigError: a value is not of its option's type, or not in its range.
    """
    uri = shorten_uri(uri)
    chosen: dict[str, Any] = {}
    for each in fields(kind):
        if each.name not in given:
            continue
        text: str = given[each.name]
        wanted: type[Any] = type(each.default)
        try:
            chosen[each.name] = wanted(text)
        except ValueError:
            number = "a whole number" if wanted is int else "a number"
            raise ConfigError(f"{uri}: {each.name}={short_repr(text)}: expected {number}") from None
    options = kind(**chosen)
    for each in fields(kind):
        value, choices, limits = getattr(options, each.name), each.metadata["choices"], each.metadata["limits"]
        if choices and value not in choices:
            raise ConfigError(f"{uri}: {each.name}={short_repr(value)}: expected {' or '.join(choices)}")
        if limits is not None and not limits[0] <= value <= limits[1]:  # also where it is not a number
            low, high = limits
            raise ConfigError(f"{uri}: {each.name}={format_number(value)}: expected {low:g} ... {high:,g}")
    return options
