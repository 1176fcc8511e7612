"""The 1,797 handwritten digits of 8×8 pixels known from scikit-learn; they come with the package.

`data/digits.npz` (uint8 arrays `images` (1797, 64) and `labels` (1797,)) was made once, by

    digits = sklearn.datasets.load_digits()
    numpy.savez_compressed("digits.npz", images=digits.data.astype("u1"), labels=digits.target.astype("u1"))

Source and licence: `data/digits-LICENSE.txt`.
"""

from __future__ import annotations

import numpy as np

from mgdhw.datasets.dataset import Dataset, one_hot
from mgdhw.datasets.split import DEFAULT_TEST_FRACTION, train_then_test

CLASSES = tuple("0123456789")
_FULL_SCALE = 16  # each pixel counts the black dots of a 4x4 cell of the scan


def digits(*, seed: int = 0, test_fraction: float = DEFAULT_TEST_FRACTION) -> Dataset:
    """Handwritten digits: 64 inputs (pixels row by row, 0..16 stored, 0..1 natural), 10 one-hot outputs.

    Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository
    (1998), its test part.

    Args:
        seed: 64-bit key of the split.
        test_fraction: of each class, what is kept for testing, 0..0.9.

    Raises:
        DatasetError: test_fraction out of range.
    """
    from importlib.resources import files

    source = files("mgdhw.datasets").joinpath("data", "digits.npz")
    with source.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        images, labels = archive["images"], archive["labels"]
    order, n_train = train_then_test(labels, seed=seed, test_fraction=test_fraction)
    targets = one_hot(labels[order], len(CLASSES))
    return Dataset("digits", images[order], 1.0 / _FULL_SCALE, targets, n_train, CLASSES)
