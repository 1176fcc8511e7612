"""Whether two sets of noisy results have the same distribution: an exact permutation test."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from mgdhw.testing.requirements import require

RUNS = 7
"""Repetitions at each level in the statistical test. Of the C(14, 7) = 3,432 ways to say which were which, half are
the other half's mirror images; an exact permutation test takes the most extreme of the 1,716: its false alarms are one
in 1,716 for a device whose noise does not depend on the level."""


def require_same_distribution(first: NDArray[np.float64], second: NDArray[np.float64], what: str) -> None:
    """Raise ConformanceError if the runs of two sets, (RUNS, N) each, differ by more than noise.

    One false alarm in 1,716.
    """
    require(
        how_extreme(first, second) > 1,
        f"{what} differ by more than noise: no other division of the {2 * RUNS} runs into halves separates the"
        " means as far",
    )


def how_extreme(first: NDArray[np.float64], second: NDArray[np.float64]) -> int:
    """How many ways to divide the runs in two halves set the halves' means at least as far apart as the given one.

    Args:
        first, second: (R, N) N values from each of R runs. Without a difference between them, every division is as
            likely to be the most extreme one.

    Returns:
        1 (the given division alone) ... C(2R, R) / 2.
    """
    pooled = np.concatenate([first, second])
    spread = pooled.std(axis=0)
    scaled = (pooled - pooled.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    runs = len(first)
    # A division and its mirror image are one: the first run is always in the first half.
    chosen = [(0, *rest) for rest in combinations(range(1, 2 * runs), runs - 1)]
    member = np.zeros((len(chosen), 2 * runs))
    member[np.arange(len(chosen))[:, None], np.array(chosen)] = 1.0
    distance = np.square(member @ scaled).sum(axis=1)  # all means are zero, so one half's says it all
    given = distance[chosen.index(tuple(range(runs)))]
    return int((distance >= given * (1 - 1e-12)).sum())
