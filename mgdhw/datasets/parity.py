"""Truth tables: parity of n bits, and exclusive or, which is the parity of two."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mgdhw.datasets.dataset import Dataset
from mgdhw.datasets.options import whole_number


def parity(*, n: int) -> Dataset:
    """Parity of n bits: all 2**n cases in counting order (first input: highest bit), one output, no test set.

    The target is 1 where an odd number of inputs is 1. Source: the n-bit parity problems of McCaughan et al.,
    APL Machine Learning 1, 026118 (2023).

    Args:
        n: number of bits, 2..12.

    Raises:
        DatasetError: n is no whole number in 2..12.
    """
    n = whole_number("n", n, 2, 12)
    cases = np.arange(2**n)[:, None]
    inputs = (cases >> np.arange(n)[::-1]) & 1
    targets = inputs.sum(axis=1, keepdims=True) & 1
    return Dataset(f"parity-{n}", inputs.astype(np.float64), 1.0, targets.astype(np.float64), n_train=2**n)


def xor() -> Dataset:
    """Exclusive or: inputs 00, 01, 10, 11 -> 0, 1, 1, 0; no test set."""
    return replace(parity(n=2), name="xor")
