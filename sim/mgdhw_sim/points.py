"""Curves that a chip file gives by points: measured activations, cost units of another shape.

Between points a curve is straight, outside of them it stays as it is at the first and the last. Everything is exact:
points are the float64 numbers that were written down, and what lies between them is computed as fractions.
"""

from __future__ import annotations

import csv
import io
import math
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, fields
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

from mgdhw.errors import ConfigError
from mgdhw.folders import expanded
from mgdhw.parsing import short_repr

MOST_POINTS = 1 << 16
LARGEST_FILE = 1 << 23
"""Bytes of a table of points: more than so many of them take, written with every digit."""
TABLE = "table"
"""What an activation or a cost is called that a chip file gives."""


@dataclass(frozen=True)
class Points:
    """A curve through points, with straight lines between them.

    Args:
        inputs: where, ascending; in signal units.
        outputs: its value at each.

    Raises:
        ConfigError: fewer than two points, too many, numbers that are not finite, or two values at one input.
    """

    inputs: tuple[float, ...]
    outputs: tuple[float, ...]

    def __post_init__(self) -> None:
        if not 2 <= len(self.inputs) <= MOST_POINTS:
            raise ConfigError(f"expected 2 ... {MOST_POINTS:,} points (got {len(self.inputs):,})")
        if not all(map(math.isfinite, (*self.inputs, *self.outputs))):
            raise ConfigError("expected finite numbers only")
        for one, other in zip(self.inputs, self.inputs[1:], strict=False):
            if one >= other:
                raise ConfigError(f"has two values at {other:g}; expected one for each input")

    @classmethod
    def of(cls, pairs: Iterable[tuple[float, float]]) -> Points:
        """Of pairs of input and value, in any order."""
        ordered = sorted(pairs)
        return cls(tuple(z for z, _ in ordered), tuple(f for _, f in ordered))

    @classmethod
    def even(cls, values: Iterable[float], reach: float) -> Points:
        """Of values at evenly spaced inputs from -reach to reach."""
        outputs = tuple(values)
        steps = max(1, len(outputs) - 1)
        return cls(tuple(float(Fraction(reach) * Fraction(2 * k - steps, steps)) for k in range(len(outputs))), outputs)

    def at(self, z: Fraction) -> Fraction:
        """The curve's value at an input, exactly."""
        after = bisect_right(self.inputs, z)
        if after == 0:
            return Fraction(self.outputs[0])
        if after == len(self.inputs):
            return Fraction(self.outputs[-1])
        left, right = Fraction(self.inputs[after - 1]), Fraction(self.inputs[after])
        start, end = Fraction(self.outputs[after - 1]), Fraction(self.outputs[after])
        return start + (end - start) * (z - left) / (right - left)

    def __hash__(self) -> int:
        return self._hash

    def __str__(self) -> str:
        return f"{len(self.inputs):,} points, {self.inputs[0]:g} … {self.inputs[-1]:g}"

    @cached_property
    def _hash(self) -> int:
        return hash((self.inputs, self.outputs))  # of thousands of numbers, and asked for with every block


@dataclass(frozen=True)
class Tables:
    """What a chip file gives by points; None where it doesn't.

    Args:
        activation: of the hidden layers, and of the last one unless that has its own.
        output_activation: of the last layer.
        cost: of the error of one output, target subtracted.
    """

    activation: Points | None = None
    output_activation: Points | None = None
    cost: Points | None = None

    def given(self) -> dict[str, Points]:
        """Those that there are."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}


def points_of(value: Any, reach: float, folder: Path) -> Points:
    """The points that an entry of a chip file gives: a list, or the name of a CSV file.

    Args:
        value: values at evenly spaced inputs, pairs of input and value, or the name of a CSV file of such pairs.
        reach: inputs of a list of values go from -reach to reach.
        folder: that a relative name counts from.

    Raises:
        ConfigError: it is none of them, or the file cannot be read.
    """
    if isinstance(value, str):
        return _from_csv(folder / expanded(value))
    if isinstance(value, list) and all(_is_number(one) for one in value):
        return Points.even(map(float, value), reach)
    if isinstance(value, list) and all(_is_pair(one) for one in value):
        return Points.of((float(z), float(f)) for z, f in value)
    raise ConfigError("expected a list of numbers, a list of pairs [input, value], or the name of a CSV file of pairs")


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 2.0**1000


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))


def _from_csv(path: Path) -> Points:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)  # also of what has no end
        if len(content) > LARGEST_FILE:
            raise ConfigError(f"{path}: expected a table of {MOST_POINTS:,} points at most")
        text = content.decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; relative names count from the folder of the chip file") from None
    except (OSError, ValueError) as error:
        no_text = "it is not text in UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        why = getattr(error, "strerror", None) or no_text
        raise ConfigError(f"{path}: cannot be read: {why}") from None
    pairs: list[tuple[float, float]] = []
    headed = False
    rows = csv.reader(io.StringIO(text))
    try:
        for row in rows:
            if not row or row[0].lstrip().startswith("#"):
                continue
            try:
                z, f = map(float, row)
            except ValueError:
                if pairs or headed:
                    wanted = "expected two numbers, input and value, separated by a comma"
                    raise ConfigError(
                        f"{path}: line {rows.line_num}: {wanted} (got {short_repr(','.join(row))})"
                    ) from None
                headed = True
                continue
            pairs.append((z, f))
        return Points.of(pairs)
    except csv.Error as error:
        raise ConfigError(f"{path}: line {rows.line_num}: {error}") from None
    except ConfigError as error:
        raise ConfigError(str(error) if str(error).startswith(f"{path}: ") else f"{path}: {error}") from None
