"""NIST7x7: the letters N, I, S and T on 7×7 pixels, some of which are flipped."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mgdhw.datasets.dataset import Dataset, one_hot
from mgdhw.datasets.options import fraction, whole_number
from mgdhw.errors import DatasetError
from mgdhw.random.philox import Stream, words

CLASSES = ("N", "I", "S", "T")
N_PIXELS = 49
_LETTERS = """
#.....#  #######  .######  #######
##....#  ...#...  #......  ...#...
#.#...#  ...#...  #......  ...#...
#..#..#  ...#...  .#####.  ...#...
#...#.#  ...#...  ......#  ...#...
#....##  ...#...  ......#  ...#...
#.....#  #######  ######.  ...#...
"""
_MOST_SAMPLES = 1 << 20
_MOST_REDRAWS = 200  # of one test sample, before we say that there are no new pictures to be had


def nist7x7(*, seed: int = 0, flips: float = 0.1, n_train: int = 4096, n_test: int = 1024) -> Dataset:
    """Generated pictures of N, I, S and T: 49 inputs of 0 or 1, row by row; 4 one-hot outputs.

    Sample i of each set shows letter i % 4, so the letters are balanced. A test sample whose picture occurs
    among the training samples is drawn again until it doesn't. At the default noise the nearest clean letter
    is the right one for 99 % of the test pictures and more, which bounds what any network can reach. Source:
    the task of the 49-4-4 network in McCaughan et al., APL Machine Learning 1, 026118 (2023); the pictures
    are ours.

    Args:
        seed: 64-bit key of the flips (`Stream.DATA`; step: sample, plus 2**32 × draw for test samples).
        flips: probability that a pixel is flipped, 0..0.5.
        n_train: number of training samples.
        n_test: number of test samples; may be 0.

    Raises:
        DatasetError: an option out of range, or so few flips that every picture occurs in the training set.
    """
    flips = fraction("flips", flips, 0.0, 0.5)
    n_train = whole_number("n_train", n_train, 1, _MOST_SAMPLES)
    n_test = whole_number("n_test", n_test, 0, _MOST_SAMPLES)
    threshold = round(flips * 2**32)

    train = _pictures(seed, np.arange(n_train, dtype=np.uint64), threshold)
    seen = np.unique(_as_integers(train))
    test = np.empty((n_test, N_PIXELS), dtype=np.uint8)
    pending = np.arange(n_test, dtype=np.uint64)
    for draw in range(1, _MOST_REDRAWS + 1):
        drawn = _pictures(seed, pending + np.uint64(draw << 32), threshold)
        new = ~np.isin(_as_integers(drawn), seen)
        test[pending[new]] = drawn[new]
        pending = pending[~new]
        if not pending.size:
            break
    else:
        raise DatasetError(
            f"nist7x7: with flips = {flips:g}, {n_train} training samples leave no new images for testing; "
            "use more flips, a smaller n_train, or n_test = 0"
        )
    letters = np.concatenate([np.arange(n_train), np.arange(n_test)]) % len(CLASSES)
    targets = one_hot(letters, len(CLASSES))
    return Dataset("nist7x7", np.concatenate([train, test]), 1.0, targets, n_train, CLASSES)


def clean_letters() -> NDArray[np.uint8]:
    """The letters without noise: (4, 49), 0 and 1, in the order of `CLASSES`."""
    rows = [line.split() for line in _LETTERS.split("\n") if line]
    flat = ["".join(row[letter] for row in rows) for letter in range(len(CLASSES))]
    return np.array([[pixel == "#" for pixel in letter] for letter in flat], dtype=np.uint8)


def _pictures(seed: int, steps: NDArray[np.uint64], threshold: int) -> NDArray[np.uint8]:
    """(N,) steps -> (N, 49) noisy pictures; the low word of a step says which letter."""
    flipped = words(seed, Stream.DATA, steps, N_PIXELS) < np.uint64(threshold)
    letters = clean_letters()[(steps % np.uint64(len(CLASSES))).astype(np.intp)]
    return letters ^ flipped.astype(np.uint8)


def _as_integers(pictures: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """(N, 49) pictures -> (N,) integers, equal where the pictures are."""
    return pictures.astype(np.uint64) @ (np.uint64(1) << np.arange(N_PIXELS, dtype=np.uint64))
