"""Tests of a generator of Gaussian noise. Each gives p-values: the chance that a perfect generator looks as bad.

A perfect one has the exact distribution of `gaussian.distribution` (which docs/chip.md puts beside the Gaussian's),
and all its draws are independent, whatever their index, step, layer, part, stream or seed. A verdict is given on all
p-values of a run together: at most FALSE_ALARM is the chance that a perfect generator is rejected (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import erfc, exp, lgamma, log, sqrt

import numpy as np
from numpy.typing import NDArray

from mgdhw.arrays import FloatArray
from mgdhw.random import gaussian
from mgdhw.random.gaussian import UNIT
from mgdhw.random.philox import Stream

FALSE_ALARM = 1e-6
CLASSES = 16
"""Of equal probability, into which draws are sorted to look at pairs of them."""
LARGEST = int(gaussian.distribution()[0][-1])


@dataclass(frozen=True)
class Address:
    """What names the draws of a row, their index excepted."""

    seed: int = 0xA0761D6478BD642F
    stream: Stream = Stream.READ
    step: int = 1000
    layer: int = 0
    part: int = 0


Generator = Callable[[Address, int], NDArray[np.int16]]
"""Gives the first draws (their number is a multiple of 8) at an address."""


@dataclass(frozen=True)
class Finding:
    """One test's p-value, two-sided."""

    test: str
    p: float


def rejected(findings: Sequence[Finding]) -> set[str]:
    """Tests that a perfect generator fails with a chance of FALSE_ALARM in all."""
    return {finding.test for finding in findings if not finding.p >= FALSE_ALARM / len(findings)}


# --- p-values ---------------------------------------------------------------------------------------------------------


def gaussian_p(z: float) -> float:
    """Of a number that has a standard Gaussian distribution."""
    return erfc(abs(z) / sqrt(2))


def largest_p(z: FloatArray) -> float:
    """Of the largest of many such numbers, which may depend on each other (Bonferroni)."""
    return min(1.0, z.size * gaussian_p(float(np.abs(z).max())))


def chi_square_p(observed: NDArray[np.int64], expected: FloatArray) -> float:
    """Of counts whose expectations are known; small ones and great ones are both suspicious.

    Source: Wilson and Hilferty (1931): the cube root of χ²/k is nearly Gaussian.
    """
    k = observed.size - 1
    value = float(((observed - expected) ** 2 / expected).sum())
    return gaussian_p(((value / k) ** (1 / 3) - (1 - 2 / (9 * k))) / sqrt(2 / (9 * k)))


def poisson_p(count: int, mean: float) -> float:
    """Of a count of rare events."""
    if mean > 1000:
        return gaussian_p((count - mean) / sqrt(mean))
    below = sum(exp(k * log(mean) - mean - lgamma(k + 1)) for k in range(count))
    here = exp(count * log(mean) - mean - lgamma(count + 1))
    above, term, k = 0.0, here, count
    while term > 1e-18 * (here + above):
        k += 1
        term *= mean / k
        above += term
    return min(1.0, 2 * min(below + here, here + above))


# --- the distribution -------------------------------------------------------------------------------------------------


def histogram(generate: Generator, start: Address, draws: int, row: int = 1 << 20) -> NDArray[np.int64]:
    """How often each value from -LARGEST to LARGEST is drawn, in rows at consecutive steps.

    Values beyond are counted at the ends.
    """
    counts = np.zeros(2 * LARGEST + 1, dtype=np.int64)
    for number in range(-(-draws // row)):
        drawn = generate(replace(start, step=start.step + number), row)
        shifted = np.clip(drawn.astype(np.int32) + LARGEST, 0, 2 * LARGEST)
        counts += np.bincount(shifted, minlength=counts.size)
    return counts


def check_distribution(counts: NDArray[np.int64]) -> list[Finding]:
    """A histogram against the exact distribution: moments, tails, and every value."""
    values, weights = gaussian.distribution()
    probability = np.zeros(counts.size)
    probability[values + LARGEST] = weights / 2.0**48
    n = int(counts.sum())
    x = np.arange(-LARGEST, LARGEST + 1) / UNIT
    moment = [float((x**power * probability).sum()) for power in range(9)]
    found = []
    for power, name in ((1, "mean"), (2, "variance"), (3, "skewness"), (4, "kurtosis")):
        spread = sqrt((moment[2 * power] - moment[power] ** 2) / n)
        found.append(Finding(name, gaussian_p((float((x**power * counts).sum()) / n - moment[power]) / spread)))
    for sigmas in (3, 4, 5, 6):
        beyond = np.abs(x) >= sigmas
        mean = n * float(probability[beyond].sum())
        if mean > 1:
            found.append(Finding(f"beyond {sigmas} sigma", poisson_p(int(counts[beyond].sum()), mean)))
    # Neighbouring values together, so that each group is expected a hundred times or more.
    group = np.floor(np.cumsum(probability) * min(n / 100, 50_000)).astype(np.int64)
    group = np.unique(group, return_inverse=True)[1]
    expected = np.bincount(group, probability) * n
    found.append(Finding("values", chi_square_p(np.bincount(group, counts).astype(np.int64), expected)))
    return found


def check_uniformity(fields: NDArray[np.uint16]) -> list[Finding]:
    """The fields that draws are made of: their bits, their bytes, and themselves."""
    n = fields.size
    bits = np.array([np.count_nonzero(fields & (1 << bit)) for bit in range(16)])
    found = [Finding("bits", largest_p((bits - n / 2) / sqrt(n / 4)))]
    for name, part, size in (
        ("low bytes", fields & 255, 256),
        ("high bytes", fields >> 8, 256),
        ("fields", fields, 1 << 16),
    ):
        found.append(Finding(name, chi_square_p(np.bincount(part, minlength=size), np.full(size, n / size))))
    return found


# --- independence -----------------------------------------------------------------------------------------------------


def centred(drawn: NDArray[np.int16]) -> tuple[FloatArray, FloatArray]:
    """Draws, and their squares, with mean 0 and variance 1."""
    values, weights = gaussian.distribution()
    x, p = values / UNIT, weights / 2.0**48
    second, fourth = float((x**2 * p).sum()), float((x**4 * p).sum())
    scaled = drawn / UNIT
    return scaled / sqrt(second), (scaled**2 - second) / sqrt(fourth - second**2)


def check_addresses(generate: Generator, addresses: Sequence[Address], draws: int) -> list[Finding]:
    """Rows at different addresses: no two may have anything to do with each other."""
    rows = np.stack([generate(address, draws) for address in addresses])
    products = np.zeros((2, len(addresses), len(addresses)))
    for at in range(0, draws, 1 << 13):
        for product, x in zip(products, centred(rows[:, at : at + (1 << 13)]), strict=True):
            product += x @ x.T
    upper = np.triu_indices(len(addresses), 1)
    return [
        Finding(f"{what} at different addresses", largest_p(product[upper] / sqrt(draws)))
        for what, product in zip(("draws", "squares"), products, strict=True)
    ]


def check_lags(generate: Generator, start: Address, draws: int, steps: int, lags: int) -> list[Finding]:
    """A long row with itself, and short rows at consecutive steps with each other, at lags 1, 2, ..."""
    row = generate(start, draws)[np.newaxis]
    many = np.stack([generate(replace(start, step=start.step + k), draws // steps // 8 * 8) for k in range(steps)]).T
    found = []
    for name, drawn in (("indices", row), ("steps", many)):
        for what, x in zip(("draws", "squares"), centred(drawn), strict=True):
            z = [float((x[:, lag:] * x[:, :-lag]).sum()) / sqrt(x[:, lag:].size) for lag in range(1, lags + 1)]
            found.append(Finding(f"{what} at lags of {name}", largest_p(np.array(z))))
    return found


def check_pairs(generate: Generator, pairs: Sequence[tuple[str, Address, Address]], draws: int) -> list[Finding]:
    """The joint distribution of two draws with the same index, sorted into classes; and of neighbours in a row."""
    values, weights = gaussian.distribution()
    every = np.zeros(2 * LARGEST + 1)
    every[values + LARGEST] = weights / 2.0**48
    classes = np.minimum(np.cumsum(every) * CLASSES, CLASSES - 1).astype(np.uint16)
    probability = np.bincount(classes, every)
    expected = np.outer(probability, probability).ravel()

    def compared(name: str, one: NDArray[np.int16], other: NDArray[np.int16]) -> Finding:
        cell = sorted_(one) * CLASSES + sorted_(other)
        counts = np.bincount(cell, minlength=CLASSES**2)
        return Finding(name, chi_square_p(counts, expected * one.size))

    def sorted_(drawn: NDArray[np.int16]) -> NDArray[np.uint16]:
        return classes[np.clip(drawn.astype(np.int32) + LARGEST, 0, 2 * LARGEST)]

    found = []
    for name, one, other in pairs:
        found.append(compared(f"pairs: {name}", generate(one, draws), generate(other, draws)))
    row = generate(pairs[0][1], draws)
    for lag in (1, 2, 3, 4, 8, 16, 128):
        # Pairs that do not overlap: the first of each is in an even stretch of `lag` draws, the second in the next.
        stretches = row[: row.size // (2 * lag) * (2 * lag)].reshape(-1, 2, lag)
        found.append(compared(f"pairs: lag {lag}", stretches[:, 0].ravel(), stretches[:, 1].ravel()))
    return found
