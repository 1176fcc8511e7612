"""What tests of noise ask of a sample: the right mean and spread, and nothing in common with its neighbour."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Z = 5.3
"""Standard errors that a statistic may be off: of 10 million right ones, one is off by more (two-sided)."""


def assert_gaussian(sample: NDArray[Any], std: float, mean: float = 0.0) -> None:
    """Mean, standard deviation, share beyond one σ, and correlation of neighbours; false alarms: 4 in 10 million."""
    n = sample.size
    z = (sample - mean) / std
    assert abs(z.mean()) < Z / math.sqrt(n)
    assert abs(z.std() - 1) < Z / math.sqrt(2 * n)
    assert abs((np.abs(z) > 1).mean() - 0.31731) < Z * math.sqrt(0.31731 * 0.68269 / n)
    assert abs((z[1:] * z[:-1]).mean()) < Z / math.sqrt(n)


def assert_share(hits: int, n: int, share: float) -> None:
    """A number of hits among n; false alarms: 1 in 10 million."""
    assert abs(hits - n * share) < Z * math.sqrt(n * share * (1 - share))
