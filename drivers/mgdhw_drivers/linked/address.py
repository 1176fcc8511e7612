"""Addresses of boards: tcp:HOST:PORT?option=value, unix:PATH?option=value, serial:PORT?option=value."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, fields
from urllib.parse import parse_qsl

from mgdhw.errors import ConfigError
from mgdhw_drivers.linked.link import PROGRESS_SECONDS

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


def parse(uri: str) -> tuple[str, Options]:
    """Where the board is, and options. Raises ConfigError for an unknown option or a value that isn't of its kind."""
    scheme, _, rest = uri.partition(":")
    place, _, query = rest.partition("?")
    what, example = EXAMPLES[scheme]
    if not place:
        raise ConfigError(f"{uri}: says no {what}; expected {example}")
    known = [field.name for field in fields(Options) if ONLY.get(field.name, scheme) == scheme]
    chosen: dict[str, int | float | str] = {}
    for key, text in parse_qsl(query, keep_blank_values=True):
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"{uri}: no option {key!r}{hint} ({', '.join(known)})")
        try:
            chosen[key] = type(getattr(DEFAULTS, key))(text)
        except ValueError:
            raise ConfigError(f"{uri}: {key}={text!r}: expected a number") from None
    options = Options(**chosen)  # type: ignore[arg-type]
    if options.line not in ("usb", "uart"):
        raise ConfigError(f"{uri}: line={options.line!r}: expected usb or uart")
    if options.baud < 1 or not all(
        0 <= getattr(options, key) < 1e6 for key in ("reconnect", "dead_man", "slew", "stress")
    ):
        raise ConfigError(f"{uri}: an option is out of its range")
    for key in ("timeout", "progress"):
        if not 0.05 <= getattr(options, key) < 1e6:
            raise ConfigError(f"{uri}: {key}={getattr(options, key):g}: expected 0.05 or more seconds")
    return place, options


def parse_tcp(uri: str) -> tuple[str, int, Options]:
    """Host, port and options of a `tcp:` address. Raises ConfigError."""
    place, options = parse(uri)
    host, separator, port = place.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not separator or not host or not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise ConfigError(f"{uri}: expected {EXAMPLES['tcp'][1]}")
    return host, int(port), options
