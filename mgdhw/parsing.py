"""Text from outside - files, addresses, command lines - as values: of whatever size, depth and spelling it is."""

from __future__ import annotations

import difflib
import json
import re
import reprlib
import tomllib
from collections.abc import Iterable
from typing import Any

from mgdhw.errors import ConfigError

LONGEST = 100
"""Characters of a value that an error shows."""
LONGEST_INTEGER = 10**40
"""A larger one is described by its length; Python itself writes none of more than 4,300 digits."""


class _Short(reprlib.Repr):
    """Bounded in depth and length, whatever it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = LONGEST
        self.maxlevel = 4

    def repr_int(self, x: int, level: int) -> str:
        if abs(x) < LONGEST_INTEGER:
            return repr(x)
        return f"an integer of some {int(x.bit_length() * 0.30103):,} digits"


_short = _Short()


def short_repr(value: object) -> str:
    """A value as an error shows it: like `repr`, but of bounded length."""
    return _short.repr(value)


def format_number(value: float) -> str:
    """A number as an error shows it: a float with six digits, an integer whole, if it isn't endless."""
    return f"{value:g}" if isinstance(value, float) else short_repr(value)


def format_integer(value: int) -> str:
    """An integer with commas between thousands, if it isn't endless."""
    return f"{value:,}" if abs(value) < LONGEST_INTEGER else short_repr(value)


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """What to add to "no such name": the name that was probably meant, or nothing."""
    near = difflib.get_close_matches(word[:LONGEST], list(words), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def parse_toml(text: str, source: str) -> dict[str, Any]:
    """The tables of a TOML document; `source` is what errors call it.

    Raises:
        ConfigError: it is none, or one that no computer would read: nested too deeply, a number of thousands of digits.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source}: not valid TOML: {error}{_about_backslashes(text, error)}") from None
    except RecursionError:
        raise ConfigError(f"{source}: not valid TOML: arrays or tables are nested too deeply") from None
    except ValueError:  # of Python's own conversion: the grammar is right
        raise ConfigError(f"{source}: not valid TOML: a number has too many digits (integers have 64 bits)") from None


def _about_backslashes(text: str, error: tomllib.TOMLDecodeError) -> str:
    """What to do about "npz:C:\\Users\\...", where that is what an error is about."""
    where = re.search(r"at line (\d+)", str(error))
    lines = text.splitlines()
    if where is None or not 0 < int(where[1]) <= len(lines) or "\\" not in lines[int(where[1]) - 1]:
        return ""
    return "; a backslash in double quotes begins an escape: put a path in single quotes, or write / for \\"


def parse_json(text: str | bytes) -> Any:
    """What a JSON document says. Raises ValueError if it is none, also where it is nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("arrays or objects are nested too deeply") from None
