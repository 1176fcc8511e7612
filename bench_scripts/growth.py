"""How does the time of a probe grow with the number of parameters?

One core, B = 1, random codes, τ_x = τ_θ = 100, networks from 9 parameters to a million, on random images. The exponent
is the slope of log time against log P, fitted to all networks with more than 10⁴ parameters; 1 is proportional.

Run it:     python bench_scripts/growth.py [--json FILE] [--quick]
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import numpy as np
from cases import Case, random_images
from common import Options, Row, arguments, report
from ours import Ours

SIZES = (
    (2, 2, 1),
    (7, 4, 2),
    (16, 8, 4),
    (49, 10, 10),
    (64, 32, 10),
    (256, 40, 10),
    (784, 40, 10),
    (784, 128, 10),
    (784, 384, 10),
    (784, 1024, 256, 10),
)
QUICK = (SIZES[0], SIZES[-3], SIZES[-1])
PERIOD = 100
IMAGES = 1_000
FIT_ABOVE = 10**4
NANOSECONDS = 0.6
"""What a parameter and probe may take in the largest network."""


@dataclass(frozen=True)
class Point:
    """A network: P and seconds per probe."""

    n_parameters: int
    seconds: float

    @property
    def nanoseconds(self) -> float:
        """Per parameter and probe."""
        return 1e9 * self.seconds / self.n_parameters


def measure(sizes: Sequence[tuple[int, ...]], seconds: float = 0.3, rounds: int = 5) -> list[Point]:
    """Seconds per probe on one core: medians of `rounds` stretches, each of about `seconds`.

    In a process of its own, which is on one core from the beginning: so are all threads of all libraries.
    """
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        with get_context("spawn").Pool(1) as pool:
            return pool.map(partial(_point, seconds=seconds, rounds=rounds), sizes)
    finally:
        os.sched_setaffinity(0, cores)


def _point(layers: tuple[int, ...], seconds: float, rounds: int) -> Point:
    case = Case(layers, "images", 1, period=PERIOD)
    with Ours(case, random_images(layers[0], layers[-1], IMAGES), seconds=seconds) as ours:
        return Point(case.n_parameters, float(np.median([1 / ours.rate() for _ in range(rounds)])))


def exponent(points: Sequence[Point]) -> float:
    """Slope of log time against log P above `FIT_ABOVE`."""
    fitted = [point for point in points if point.n_parameters > FIT_ABOVE]
    slope, _ = np.polyfit(*np.log([(point.n_parameters, point.seconds) for point in fitted]).T, 1)
    return float(slope)


def main(options: Options) -> None:
    """Measure, and print a row for each network."""
    points = measure(QUICK, 0.02, 1) if options.quick else measure(SIZES)
    rows = [Row(f"P = {p.n_parameters:,}", "µs per probe", 1e6 * p.seconds) for p in points]
    rows += [Row(f"P = {p.n_parameters:,}", "ns per parameter and probe", p.nanoseconds) for p in points]
    rows.append(Row(f"P > {FIT_ABOVE:,}", "exponent of time against P", exponent(points)))
    report("Time of a probe against P, on one core", rows, options)


if __name__ == "__main__":
    main(arguments(__doc__))
