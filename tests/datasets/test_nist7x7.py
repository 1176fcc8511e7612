"""The letters N, I, S, T."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mgdhw.datasets import Dataset, load
from mgdhw.datasets.nist7x7 import clean_letters
from mgdhw.errors import DatasetError
from mgdhw.random.philox import Stream, words


def letters_of(dataset: Dataset) -> NDArray[np.intp]:
    letters: NDArray[np.intp] = np.argmax(dataset.targets, axis=1)
    return letters


def test_shape() -> None:
    dataset = load("nist7x7")
    assert dataset.inputs.shape == (5120, 49)
    assert dataset.targets.shape == (5120, 4)
    assert (dataset.n_train, dataset.n_test) == (4096, 1024)
    assert dataset.inputs.dtype == np.uint8
    assert set(np.unique(dataset.inputs)) == {0, 1}
    assert dataset.classes == ("N", "I", "S", "T")


def test_pinned() -> None:
    """The pictures of a seed are for ever."""
    assert load("nist7x7").digest == "1efce207bf316eb1de0cbab0f34ad5277ccd836bec9db5c9c8477b4a2ce46b46"


def test_no_test_picture_occurs_in_training() -> None:
    # Few flips: most first draws do occur, and have to be drawn again.
    dataset = load("nist7x7", flips=0.03)
    train = {picture.tobytes() for picture in dataset.inputs[: dataset.n_train]}
    test = {picture.tobytes() for picture in dataset.inputs[dataset.n_train :]}
    assert len(train) > 100
    assert not train & test


@pytest.mark.parametrize(("n_train", "n_test"), [(4096, 1024), (10, 7), (1, 0)])
def test_letters_are_balanced(n_train: int, n_test: int) -> None:
    letters = letters_of(load("nist7x7", n_train=n_train, n_test=n_test))
    for part in (letters[:n_train], letters[n_train:]):
        counts = np.bincount(part, minlength=4)
        assert counts.max() - counts.min() <= 1


def test_each_picture_is_a_function_of_seed_and_sample_alone() -> None:
    short, long = (
        load("nist7x7", seed=5, n_train=10, n_test=4),
        load("nist7x7", seed=5, n_train=200, n_test=50),
    )
    np.testing.assert_array_equal(long.inputs[:10], short.inputs[:10])
    flipped = words(5, Stream.DATA, [7], 49)[0] / 2**32 < 0.1
    np.testing.assert_array_equal(short.inputs[7], clean_letters()[7 % 4] ^ flipped)


def test_share_of_flipped_pixels() -> None:
    dataset = load("nist7x7", flips=0.2, n_test=0)
    flipped = dataset.inputs != clean_letters()[letters_of(dataset)]
    sigma = np.sqrt(0.2 * 0.8 / flipped.size)
    assert abs(flipped.mean() - 0.2) < 4 * sigma
    assert np.all(np.abs(flipped.mean(axis=0) - 0.2) < 5 * sigma * 7)  # and no pixel stands out


def test_the_default_noise_leaves_a_task_that_can_be_learnt() -> None:
    """The nearest clean letter, the best guess there is, is right for 99 % of the pictures, not for all."""
    right = []
    for seed in range(4):
        dataset = load("nist7x7", seed=seed)
        distance = np.abs(dataset.inputs[:, None].astype(int) - clean_letters()).sum(axis=-1)
        right.append((distance.argmin(axis=1) == letters_of(dataset))[dataset.n_train :].mean())
    assert 0.985 < np.mean(right) < 0.9995


def test_seed_and_flips_change_the_digest() -> None:
    digests = {load("nist7x7", n_train=64, n_test=8, **options).digest for options in ({}, {"seed": 1}, {"flips": 0.2})}
    assert len(digests) == 3
    assert load("nist7x7", seed=2**64 - 1, n_train=64, n_test=8).n_samples == 72


def test_without_noise_there_is_nothing_to_test_with() -> None:
    with pytest.raises(DatasetError, match="leave no new images for testing"):
        load("nist7x7", flips=0, n_test=16)
    clean = load("nist7x7", flips=0, n_train=4, n_test=0)
    np.testing.assert_array_equal(clean.inputs, clean_letters())


@pytest.mark.parametrize(
    "options",
    [
        {"flips": -0.1},
        {"flips": 0.6},
        {"flips": "few"},
        {"flips": float("nan")},
        {"n_train": 0},
        {"n_test": 1.5},
    ],
)
def test_senseless_options(options: dict[str, Any]) -> None:
    with pytest.raises(DatasetError, match=f"'{next(iter(options))}' must be"):
        load("nist7x7", **options)
