"""Addresses of devices: SCHEME:PLACE?option=value&option=value."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from mgdhw.errors import ConfigError
from mgdhw.folders import expanded
from mgdhw.parsing import did_you_mean, short_repr

LONGEST_URI = 4096
"""Most characters of an address: as many as the path of a file may have."""
LONGEST_SHOWN = 300
_CONTROL = re.compile("[\x00-\x1f\x7f]")
_PORT = re.compile(r"/dev/.|(\\\\\.\\)?COM\d+:?$", re.IGNORECASE)
_HOST_AND_PORT = re.compile(r"(localhost|[\w-]+(\.[\w-]+)+|\[[\w:.%]+\]):\d+$|[\w-]+:\d{4,5}$")
"""Without a dot or a port of four digits, what precedes the colon is more likely a scheme."""
_SOCKET = re.compile(r".+\.sock(et)?$")
_CHIP = re.compile(r".+\.toml$")


class Address(NamedTuple):
    """An address in its parts.

    Args:
        scheme: in front of the first colon.
        place: what follows, up to the options.
        options: text of each, by its name.
    """

    scheme: str
    place: str
    options: dict[str, str]


def split_uri(uri: str) -> Address:
    """Split an address. Characters of options may be written as %XX; a plus sign is literal.

    Raises:
        ConfigError: it has control characters, a "//" like web addresses, a second "?", or a repeated option.
    """
    check_characters(uri)
    scheme, _, rest = uri.partition(":")
    if rest.startswith("//"):
        raise ConfigError(f"{shorten_uri(uri)}: device addresses have no //; write {scheme}:{rest[2:]}")
    place, _, query = rest.partition("?")
    if "?" in query:
        raise ConfigError(
            f"{shorten_uri(uri)}: has a second ?; separate options with &, as in {scheme}:{place}?a=1&b=2"
        )
    options: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        name, _, text = (unquote(item) for item in part.partition("="))
        if name in options:
            raise ConfigError(f"{shorten_uri(uri)}: option {short_repr(name)} is given twice; remove one")
        check_characters(name + text)
        options[name] = text
    return Address(scheme, place, options)


def shorten_uri(uri: str) -> str:
    """An address for errors, shortened if it is long."""
    return uri if len(uri) <= LONGEST_SHOWN else f"{uri[: LONGEST_SHOWN // 2]}…{uri[-LONGEST_SHOWN // 4 :]}"


def check_characters(uri: str) -> None:
    """Raise ConfigError if an address is too long or has control characters."""
    if len(uri) > LONGEST_URI:
        raise ConfigError(
            f"device {short_repr(uri)}: address has {len(uri):,} characters; expected at most {LONGEST_URI:,}"
        )
    found = _CONTROL.search(uri)
    if found:
        raise ConfigError(f"device {short_repr(uri)}: invalid character {found[0]!r} in the address")


def expand_path(uri: str, text: str) -> Path:
    """The path of a file named in an address, with ~ expanded. Raises ConfigError if there is no home folder."""
    try:
        return expanded(text)
    except ConfigError as error:
        raise ConfigError(f"{shorten_uri(uri)}: {error}") from None


def suggest_address(uri: str, schemes: Collection[str], chips: Collection[str] = ()) -> str:
    """A suggestion for an error about an address with an unknown scheme; may be empty.

    Args:
        uri: the address.
        schemes: known schemes.
        chips: names of simulated chips.
    """
    scheme, colon, rest = uri.partition(":")
    if colon and scheme.strip().lower() in schemes:
        return f"; did you mean {scheme.strip().lower()}:{rest}?"
    meant = address_of(uri, schemes, chips)
    if meant is not None:
        return f"; did you mean {meant}?"
    return did_you_mean(scheme if colon else uri.partition("?")[0], schemes if colon else chips)


def address_of(text: str, schemes: Collection[str], chips: Collection[str] = ()) -> str | None:
    """The address that a port, HOST:PORT, a socket or a chip's name without a scheme stands for, if any.

    Args:
        text: the text.
        schemes: known schemes.
        chips: names of simulated chips.
    """
    place, question, query = text.partition("?")
    looks = {
        "serial": _PORT.match(place),
        "tcp": _HOST_AND_PORT.match(place),
        "unix": _SOCKET.match(place),
        "sim": _CHIP.match(place) or (place if place in chips else None),
    }
    for kind, found in looks.items():
        if found and kind in schemes:
            return f"{kind}:{place.removesuffix(':')}{question}{query}"
    return None
