"""Addresses of boards: tcp:HOST:PORT?option=value, unix:PATH?option=value, serial:PORT?option=value."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, fields

from mgdhw.device.uri import expand_path, shorten_uri, split_uri
from mgdhw.errors import ConfigError
from mgdhw.parsing import did_you_mean, format_number, short_repr
from mgdhw_drivers.client.link import PROGRESS_SECONDS

DEFAULT_BAUD = 115_200


@dataclass(frozen=True, slots=True)
class Options:
    """What an address may say beyond where the board is.

    Args:
        baud: speed of a serial line (serial only).
        line: "usb" where bytes go as fast as they can, "uart" where they take as long as `baud` says (serial only).
        timeout: seconds without an answer after which the link is given up and put in step again.
        progress: seconds for which a board may be at one request without getting anything of it done.
        reconnect: seconds for which a board that went away is waited for, in each attempt at a request, and one that is
            not there yet, when it is opened.
        dead_man: seconds without a word from here after which the board goes to its safe state; 0: never.
        slew: largest change of a parameter in one write, in the device's units; 0: any. Larger ones become ramps.
        stress: largest sum of the largest changes of all writes, in the device's units; 0: any.
        secret: file of the server's secret (tcp only); "": found by itself where the server is this user's, on this
            machine.
    """

    baud: int = DEFAULT_BAUD
    line: str = "usb"
    timeout: float = 3.0
    progress: float = PROGRESS_SECONDS
    reconnect: float = 30.0
    dead_man: float = 5.0
    slew: float = 0.0
    stress: float = 0.0
    secret: str = ""


DEFAULTS = Options()
ONLY = {"baud": "serial", "line": "serial", "secret": "tcp"}
"""Options that addresses of one scheme alone have."""
EXAMPLES = {
    "serial": ("port", "for example serial:/dev/ttyACM0 or serial:COM3"),
    "tcp": ("host", "tcp:HOST:PORT, for example tcp:127.0.0.1:5510"),
    "unix": ("path", "unix:PATH, for example unix:board.sock"),
}
"""What an address has to say, by its scheme, and how."""


RANGES = {
    "baud": (1, 100_000_000),
    "timeout": (0.05, 1e6),
    "progress": (0.05, 1e6),
    "reconnect": (0, 1e6),
    "dead_man": (0, 1e6),
    "slew": (0, 1e6),
    "stress": (0, 1e6),
}
"""What numbers may be."""
LONGEST_LABEL = 63
"""Letters between two dots of a host's name."""


def parse(uri: str) -> tuple[str, Options]:
    """Where the board is, and options. Raises ConfigError for an unknown option or a value that isn't of its kind."""
    scheme, place, given = split_uri(uri)
    uri = shorten_uri(uri)
    what, example = EXAMPLES[scheme]
    if not place:
        raise ConfigError(f"{uri}: says no {what}; expected {example}")
    known = [field.name for field in fields(Options) if ONLY.get(field.name, scheme) == scheme]
    chosen: dict[str, int | float | str] = {}
    for key, text in given.items():
        if key not in known:
            if key in ONLY:
                raise ConfigError(f"{uri}: option {key!r} is for {ONLY[key]}: addresses only ({', '.join(known)})")
            raise ConfigError(f"{uri}: no option {short_repr(key)}{did_you_mean(key, known)} ({', '.join(known)})")
        kind = type(getattr(DEFAULTS, key))
        try:
            chosen[key] = kind(text)
        except ValueError:
            wanted = "a whole number" if kind is int else "a number"
            raise ConfigError(f"{uri}: {key}={short_repr(text)}: expected {wanted}") from None
    options = Options(**chosen)  # type: ignore[arg-type]
    if options.line not in ("usb", "uart"):
        raise ConfigError(f"{uri}: line={short_repr(options.line)}: expected usb or uart")
    for key, (low, high) in RANGES.items():
        value = getattr(options, key)
        if not low <= value <= high:  # also where it is not a number
            raise ConfigError(f"{uri}: {key}={format_number(value)}: expected {low:g} ... {high:,g}")
    if options.secret:
        expand_path(uri, options.secret)
    return place, options


def parse_tcp(uri: str) -> tuple[str, int, Options]:
    """Host, port and options of a `tcp:` address. Raises ConfigError."""
    place, options = parse(uri)
    uri = shorten_uri(uri)
    host, separator, port = place.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not separator or not host or not port:
        raise ConfigError(f"{uri}: expected {EXAMPLES['tcp'][1]}")
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise ConfigError(f"{uri}: port {short_repr(port)}: expected 1 ... 65535")
    _check_host(uri, host)
    return host, int(port), options


def _check_host(uri: str, host: str) -> None:
    """Raise ConfigError for what no resolver would take as the name of a host, or as its number."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
        return
    except ValueError:
        labels = host.removesuffix(".").split(".")
    if not all(labels):
        raise ConfigError(f"{uri}: host {short_repr(host)} has two dots in a row, or begins with one")
    try:
        encoded = host.encode("idna").decode("ascii")
    except UnicodeError:  # which does not say which label
        encoded = host
        if all(len(label) <= LONGEST_LABEL for label in labels):
            raise ConfigError(f"{uri}: host {short_repr(host)} has letters that no host's name may have") from None
    for label in encoded.split("."):
        if len(label) > LONGEST_LABEL:
            raise ConfigError(
                f"{uri}: host {short_repr(host)} has {len(label)} letters between two dots; expected {LONGEST_LABEL} at"
                " most"
            )
    if not all(letter.isalnum() or letter in "-_." for letter in encoded):
        raise ConfigError(
            f"{uri}: host {short_repr(host)} has letters that no host's name may have; {EXAMPLES['tcp'][1]}"
        )
