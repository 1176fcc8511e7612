"""Which samples are kept for testing, for datasets that come without a split."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.datasets.options import fraction
from mgdhw.random.philox import Stream, words

DEFAULT_TEST_FRACTION = 0.2
_MOST = 0.9  # more than this for testing is a slip of the pen


def train_then_test(
    labels: NDArray[np.integer[Any]], *, seed: int, test_fraction: object
) -> tuple[NDArray[np.intp], int]:
    """A keyed, stratified split: each class gives the same fraction of its samples to the test set.

    Samples are sorted by their random word (ties by index); the last ones of each class are for testing. A
    class always keeps one sample for training.

    Args:
        labels: (N,) class of each sample; all the same for an unstratified split.
        seed: 64-bit key of the random words (`Stream.SPLIT`).
        test_fraction: 0..0.9, of each class, rounded to the nearest sample.

    Returns:
        The (N,) new order of the samples, training samples first, and the number of training samples.

    Raises:
        DatasetError: test_fraction is no number in 0..0.9.
    """
    share = fraction("test_fraction", test_fraction, 0.0, _MOST)
    order = np.argsort(words(seed, Stream.SPLIT, 0, len(labels))[0], kind="stable")
    is_test = np.zeros(len(labels), dtype=np.bool_)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        n_test = min(int(len(members) * share + 0.5), len(members) - 1)
        is_test[members[len(members) - n_test :]] = True
    test = is_test[order]
    return np.concatenate([order[~test], order[test]]), int(np.count_nonzero(~test))
