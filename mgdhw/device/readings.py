"""Which readings are no measurements, and how many had to be repeated.

SCPI instruments answer an overload with ±9.9e37 and a value that does not exist with 9.91e37 (SCPI-99, volume 1,
7.2.1.5); they print them with more or fewer digits, rounded to float32, or as inf and nan.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mgdhw.device.acquisition import Acquisition

LARGEST = 1e37
"""No measurement is as large in any unit, and every sentinel is larger, however it is rounded."""
PRINTED = 1e-6
"""Relative tolerance for a declared value: seven digits, or float32."""
REPEAT = 3
"""Repetitions of a reading that is no measurement, unless an experiment says otherwise."""


def overloaded(values: ArrayLike, declared: Sequence[float] = ()) -> NDArray[np.bool_]:
    """Which values are no measurements, in the shape of `values`.

    Floats are none if they are not finite, or as large as SCPI's sentinels. Integers (cost codes) are measurements,
    unless declared otherwise.

    Args:
        values: outputs or costs.
        declared: further values that are none; see `Acquisition.overload`.
    """
    found = np.asarray(values)
    if found.dtype.kind in "iub":
        return np.isin(found, np.asarray(declared)) if declared else np.zeros(found.shape, dtype=np.bool_)
    with np.errstate(invalid="ignore"):
        none = ~(np.abs(found) < LARGEST)  # also NaN
    for value in declared:
        none |= np.isclose(found, value, rtol=PRINTED, atol=0.0)
    return np.asarray(none)


def describe_overload(value: float) -> str:
    """A value that is no measurement, for messages."""
    return f"{value:.6g}, an overload" if np.isfinite(value) else "not a number"


@dataclass(frozen=True, slots=True)
class GuardCounts:
    """How often readings were not taken as they came.

    Args:
        overloads: readings measured again because they were no measurements.
        outliers: probes measured again because they were far from those before.
        clipped: probes of those that were clipped.
    """

    overloads: int = 0
    outliers: int = 0
    clipped: int = 0

    def __add__(self, other: GuardCounts) -> GuardCounts:
        return GuardCounts(
            self.overloads + other.overloads, self.outliers + other.outliers, self.clipped + other.clipped
        )

    def __bool__(self) -> bool:
        return self != GuardCounts()

    def __str__(self) -> str:
        """In words; empty if there is nothing to say."""
        parts = []
        if self.overloads:
            parts.append(f"{_count(self.overloads, 'reading')} measured again (overload)")
        if self.outliers:
            parts.append(f"{_count(self.outliers, 'outlier')} measured again")
        if self.clipped:
            parts.append(f"{_count(self.clipped, 'outlier')} clipped")
        return ", ".join(parts)

    def summary(self) -> dict[str, int]:
        """JSON-compatible form."""
        return asdict(self)


NOTHING_GUARDED = GuardCounts()


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


class ReadingGuard:
    """What a device's readings are held against: settings of the experiment in force, and counts."""

    def __init__(self) -> None:
        self.repeat = REPEAT
        """Repetitions of a reading that is no measurement."""
        self.counts = GuardCounts()
        """Since they were last taken."""
        self.written = -np.inf
        """Time of the last write, by `time.monotonic`."""
        self._settling: float | None = None
        self._average: int | None = None

    @contextlib.contextmanager
    def applying(self, repeat: int, settling: float | None, average: int | None) -> Iterator[None]:
        """In this context, an experiment's settings hold: repetitions, and what it overrides of the device's."""
        before = self.repeat, self._settling, self._average
        self.repeat, self._settling, self._average = repeat, settling, average
        try:
            yield
        finally:
            self.repeat, self._settling, self._average = before

    def acquisition(self, declared: Acquisition | None) -> Acquisition:
        """How a measurement is taken: as declared, where the experiment does not say otherwise."""
        return (declared or Acquisition()).overridden(self._settling, self._average)

    def unsettled_seconds(self, settling: float) -> float:
        """Time until outputs have settled after the last write."""
        return float(self.written + settling - time.monotonic())

    def add(self, *, overloads: int = 0, outliers: int = 0, clipped: int = 0) -> None:
        """Count."""
        self.counts += GuardCounts(overloads, outliers, clipped)

    def take(self) -> GuardCounts:
        """The counts since they were last taken."""
        counts, self.counts = self.counts, GuardCounts()
        return counts
