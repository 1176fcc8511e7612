"""The handwritten digits that come with the package, and the split they share with npz files."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mgdhw.datasets import load
from mgdhw.datasets.split import train_then_test
from mgdhw.errors import DatasetError


def test_shape() -> None:
    dataset = load("digits")
    assert dataset.inputs.shape == (1797, 64)
    assert dataset.targets.shape == (1797, 10)
    assert dataset.inputs.dtype == np.uint8
    assert dataset.inputs.max() == 16
    assert dataset.values(range(1797)).max() == 1.0
    assert dataset.classes == tuple("0123456789")


def test_pictures_are_the_known_ones() -> None:
    """The digits of every class as published, and the first picture of all: a zero."""
    dataset = load("digits")
    assert dataset.targets.sum(axis=0).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    zero = [0, 0, 5, 13, 9, 1, 0, 0, 0, 0, 13, 15, 10, 15, 5, 0]
    (row,) = np.flatnonzero((dataset.inputs[:, :16] == zero).all(axis=1))
    assert dataset.targets[row].argmax() == 0
    pictures = sorted(picture.tobytes() for picture in dataset.inputs)
    assert (
        hashlib.sha256(b"".join(pictures)).hexdigest()
        == "d34fb8ecae8dd76408eb4241f93dd5e31df5a84fe18291efd0ee1ae70b2122aa"
    )


def test_pinned() -> None:
    assert load("digits").digest == "9c669d6500f74813b3b520ed04d071e34084f6e1ed64355e4ec08b23fec7d112"


def test_train_and_test_are_disjoint_and_complete() -> None:
    dataset = load("digits")
    train = {picture.tobytes() for picture in dataset.inputs[: dataset.n_train]}
    test = {picture.tobytes() for picture in dataset.inputs[dataset.n_train :]}
    assert not train & test
    assert len(train) + len(test) == 1797  # no picture occurs twice in this dataset


def test_split_is_stratified() -> None:
    dataset = load("digits")
    share = dataset.targets[dataset.n_train :].sum(axis=0) / dataset.targets.sum(axis=0)
    assert np.all(np.abs(share - 0.2) < 0.004)


def test_split_depends_on_the_seed_only() -> None:
    assert load("digits").digest == load("digits", seed=0).digest
    assert load("digits").digest != load("digits", seed=1).digest
    assert load("digits").digest != load("digits", test_fraction=0.25).digest
    assert load("digits", test_fraction=0).n_test == 0


@pytest.mark.parametrize("test_fraction", [-0.1, 1.0, "half", True])
def test_senseless_fraction(test_fraction: object) -> None:
    with pytest.raises(DatasetError, match="'test_fraction' must be a number in"):
        load("digits", test_fraction=test_fraction)


@settings(deadline=None)
@given(
    labels=st.lists(st.integers(0, 3), min_size=1, max_size=50).map(np.array),
    seed=st.integers(0, 2**64 - 1),
    test_fraction=st.floats(0, 0.9),
)
def test_any_split(labels: np.ndarray, seed: int, test_fraction: float) -> None:
    order, n_train = train_then_test(labels, seed=seed, test_fraction=test_fraction)
    assert sorted(order) == list(range(len(labels)))
    for label in set(labels.tolist()):
        here = int((labels == label).sum())
        kept = int((labels[order[n_train:]] == label).sum())
        assert kept < here
        assert abs(kept - test_fraction * here) <= 0.5 or kept == here - 1
