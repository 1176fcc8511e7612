"""What follows a header: numbers, words, strings, blocks and expressions (IEEE 488.2, 7.7)."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

from mgdhw_drivers.scpi.blocks import block_start
from mgdhw_drivers.scpi.errors import ScpiError

LARGEST_EXPONENT: Final = 32_000
MOST_DIGITS: Final = 255
LONGEST_WORD: Final = 64
"""Characters of a word; the standard's 12 are too few for the names of waveforms that instruments take."""
LONGEST_UNIT: Final = 12

_DECIMAL = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:\s*[Ee]\s*([+-]?\d+))?\s*([A-Za-z/%][A-Za-z0-9/.\-^]*)?$")
_NON_DECIMAL = re.compile(r"#(?:[Hh]([0-9A-Fa-f]+)|[Qq]([0-7]+)|[Bb]([01]+))$")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]*$")


@dataclass(frozen=True, slots=True)
class Number:
    """A number as sent: `10 MV` is 10, with the unit `MV`."""

    value: float
    unit: str = ""
    """In capitals, with its multiplier; empty if there is none."""


@dataclass(frozen=True, slots=True)
class Word:
    """Character data: `MINimum`, `ON`, `SINusoid`."""

    text: str


@dataclass(frozen=True, slots=True)
class String:
    """What was in quotes."""

    text: str


@dataclass(frozen=True, slots=True)
class Block:
    """Bytes of a block."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Expression:
    """What was in parentheses, without them: `@1:13,20`."""

    text: str


Argument = Number | Word | String | Block | Expression


def parse_argument(raw: bytes) -> Argument:
    """One argument.

    Raises:
        ScpiError: it is none.
    """
    first = raw[:1]
    if first in (b'"', b"'"):
        return String(_string(raw))
    if first == b"#" and raw[1:2].isdigit():
        return Block(_block(raw))
    text = _ascii(raw)
    if first == b"(":
        if not text.endswith(")"):
            raise ScpiError(-171, text)
        return Expression(text[1:-1].strip())
    if first.isalpha():
        if not _WORD.match(text):
            raise ScpiError(-141, text)
        if len(text) > LONGEST_WORD:
            raise ScpiError(-144, text)
        return Word(text)
    return _number(text)


def _ascii(raw: bytes) -> str:
    try:
        return raw.decode("ascii")
    except UnicodeDecodeError:
        raise ScpiError(-101, raw.decode("ascii", errors="replace")) from None


def _string(raw: bytes) -> str:
    quote = raw[:1]
    inside = raw[1:-1]
    if len(raw) < 2 or raw[-1:] != quote or quote in inside.replace(quote * 2, b""):
        raise ScpiError(-151, raw.decode("ascii", errors="replace"))
    return _ascii(inside.replace(quote * 2, quote))


def _block(raw: bytes) -> bytes:
    try:
        start = block_start(raw, 0)
    except IndexError:
        start = None
    if start is None:
        raise ScpiError(-161)
    if start.length is None:
        return raw[start.begin :].removesuffix(b"\n")
    if len(raw) != start.begin + start.length:
        raise ScpiError(-161, f"{start.length} bytes announced, {len(raw) - start.begin} sent")
    return raw[start.begin :]


def _number(text: str) -> Number:
    match = _NON_DECIMAL.match(text)
    if match:
        hexadecimal, octal, binary = match.groups()
        digits = hexadecimal or octal or binary
        if len(digits) > MOST_DIGITS:
            raise ScpiError(-124)
        return Number(float(int(digits, 16 if hexadecimal else 8 if octal else 2)))
    if text.startswith("#"):
        raise ScpiError(-121, text)
    match = _DECIMAL.match(text)
    if not match:
        raise ScpiError(-121 if text[:1].isdigit() or text[:1] in "+-." else -102, text)
    mantissa, exponent, unit = match.groups()
    if len(mantissa) > MOST_DIGITS:
        raise ScpiError(-124)
    if exponent and (len(exponent) > 6 or abs(int(exponent)) > LARGEST_EXPONENT):
        raise ScpiError(-123, text)
    if unit and len(unit) > LONGEST_UNIT:
        raise ScpiError(-134, text)
    value = float(f"{mantissa}e{exponent}" if exponent else mantissa)
    if math.isinf(value):
        raise ScpiError(-123, text[:40])
    return Number(value, (unit or "").upper())
