"""How a device takes a measurement: what a driver declares, so that it need not be programmed."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

from mgdhw.errors import ConfigError

LONGEST_SECONDS = 1e6
MOST_READINGS = 1_000_000


@dataclass(frozen=True, slots=True)
class Acquisition:
    """How a measurement is taken: how long outputs settle, how many readings are averaged, and which are none.

    Where the host makes the codes, it waits and averages as declared here. A device with its own code generator does
    so by itself; what it declares is used for the timing budget, for evaluations and to recognize its overloads.

    Args:
        settling_seconds: time from a write to the first reading.
        readings: readings that are averaged for one measurement of the cost.
        dead_seconds: time from the end of a reading to the next of the same measurement.
        overload: further values that are no measurements (the end of a converter's range, -999, ...), in the unit of
            what is returned: outputs, and costs that the device measures itself.

    Raises:
        ConfigError: a time is negative or no number, there are no readings, or a value of `overload` is no number.
    """

    settling_seconds: float = 0.0
    readings: int = 1
    dead_seconds: float = 0.0
    overload: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name in ("settling_seconds", "dead_seconds"):
            if not 0 <= getattr(self, name) <= LONGEST_SECONDS:
                raise ConfigError(f"acquisition.{name}={getattr(self, name)!r}: expected seconds, 0 or more")
        if not isinstance(self.readings, int) or not 1 <= self.readings <= MOST_READINGS:
            raise ConfigError(f"acquisition.readings={self.readings!r}: expected a whole number of 1 or more")
        for value in self.overload:
            if math.isnan(value):  # is no measurement anyway, and equal to nothing
                raise ConfigError("acquisition.overload: nan need not be declared; expected numbers")

    def overridden(self, settling_seconds: float | None, readings: int | None) -> Self:
        """The same with a user's values in place of the driver's, where there are any."""
        return replace(
            self,
            settling_seconds=self.settling_seconds if settling_seconds is None else settling_seconds,
            readings=self.readings if readings is None else readings,
        )
