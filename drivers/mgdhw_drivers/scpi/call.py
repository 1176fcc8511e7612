"""What a handler is called with: arguments, each asked for as what the command takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw_drivers.scpi.arguments import Argument, Block, Expression, Number, String, Word
from mgdhw_drivers.scpi.channels import parse_channels
from mgdhw_drivers.scpi.errors import ScpiError
from mgdhw_drivers.scpi.headers import Node
from mgdhw_drivers.scpi.units import in_unit

INFINITY: Final = 9.9e37
"""How SCPI writes infinity, and what it answers where a reading is out of range (SCPI-99, volume 1, 7.2.1.4)."""
NOT_A_NUMBER: Final = 9.91e37

_SPECIAL_NUMBERS = {
    "INF": INFINITY,
    "INFINITY": INFINITY,
    "NINF": -INFINITY,
    "NINFINITY": -INFINITY,
    "NAN": NOT_A_NUMBER,
}
_NOT_ALLOWED = {Number: -128, Word: -148, String: -158, Block: -168, Expression: -178}


@dataclass(frozen=True, slots=True)
class Call:
    """One command as it was sent.

    Every method raises ScpiError where the argument is missing (-109), of another kind, or out of range (-222).
    """

    arguments: tuple[Argument, ...]
    suffixes: tuple[int, ...]
    """Of the nodes with a `#` in the pattern; 1 where none was sent."""
    query: bool
    header: str
    """From the root, in capitals, for messages."""

    def suffix(self, index: int, highest: int) -> int:
        """A numeric suffix that may be 1 to `highest`; otherwise -114."""
        if not 1 <= self.suffixes[index] <= highest:
            raise ScpiError(-114, f"{self.header}: 1 to {highest}")
        return self.suffixes[index]

    def number(
        self,
        index: int = 0,
        *,
        unit: str = "",
        low: float = -math.inf,
        high: float = math.inf,
        default: float | None = None,
    ) -> float:
        """A number in `unit`, `MINimum`, `MAXimum` or `DEFault`."""
        value = self._at(index, Number, Word)
        if isinstance(value, Word):
            return self._named_number(value.text.upper(), low, high, default)
        assert isinstance(value, Number)
        return self._in_range(in_unit(value.value, value.unit, unit), low, high)

    def integer(self, index: int = 0, *, low: int, high: int, default: int | None = None) -> int:
        """A number, rounded to an integer as IEEE 488.2 rounds."""
        value = self._at(index, Number, Word)
        if isinstance(value, Word):
            return int(self._named_number(value.text.upper(), low, high, default))
        assert isinstance(value, Number)
        return int(self._in_range(math.floor(in_unit(value.value, value.unit, "") + 0.5), low, high))

    def boolean(self, index: int = 0) -> bool:
        """`ON`, `OFF`, or a number: zero is off."""
        value = self._at(index, Number, Word)
        if isinstance(value, Word):
            if value.text.upper() not in ("ON", "OFF"):
                raise ScpiError(-224, value.text)
            return value.text.upper() == "ON"
        assert isinstance(value, Number)
        return math.floor(in_unit(value.value, value.unit, "") + 0.5) != 0

    def choice(self, index: int, *choices: str) -> str:
        """One of several words, such as `NORMal`; its short form in capitals."""
        value = self._at(index, Word)
        assert isinstance(value, Word)
        for node in map(Node.parse, choices):
            if value.text.upper() in (node.short, node.long):
                return node.short
        raise ScpiError(-224, value.text)

    def name(self, index: int = 0) -> str:
        """A string, or a word as it was sent."""
        value = self._at(index, String, Word)
        assert isinstance(value, String | Word)
        return value.text

    def string(self, index: int = 0) -> str:
        """What was in quotes."""
        value = self._at(index, String)
        assert isinstance(value, String)
        return value.text

    def block(self, index: int = 0) -> bytes:
        """Bytes of a block."""
        value = self._at(index, Block)
        assert isinstance(value, Block)
        return value.data

    def channels(self, index: int, highest: int) -> tuple[int, ...]:
        """A channel list, `(@1:13,20)`, of channels 1 to `highest`."""
        value = self._at(index, Expression)
        assert isinstance(value, Expression)
        return parse_channels(value.text, highest)

    def numbers(self, start: int = 0, *, unit: str = "", low: float = -math.inf, high: float = math.inf) -> FloatArray:
        """All arguments from `start` on as numbers."""
        self._at(start)
        return np.array([self.number(i, unit=unit, low=low, high=high) for i in range(start, len(self.arguments))])

    def _at(self, index: int, *kinds: type[Argument]) -> Argument:
        if index >= len(self.arguments):
            raise ScpiError(-109, self.header)
        value = self.arguments[index]
        if kinds and not isinstance(value, kinds):
            raise ScpiError(_NOT_ALLOWED[type(value)], self.header)
        return value

    def _in_range(self, value: float, low: float, high: float) -> float:
        if not low <= value <= high:
            raise ScpiError(-222, f"{self.header}: {value:G}; expected {low:G} to {high:G}")
        return value

    def _named_number(self, text: str, low: float, high: float, default: float | None) -> float:
        if text in _SPECIAL_NUMBERS:
            return self._in_range(_SPECIAL_NUMBERS[text], low, high)
        named = {"MIN": low, "MINIMUM": low, "MAX": high, "MAXIMUM": high, "DEF": default, "DEFAULT": default}
        value = named.get(text)
        if value is None or not math.isfinite(value):
            raise ScpiError(-224, text)
        return value
