"""The order of samples: each epoch a permutation, any permutation as likely as any other, computed from anywhere.

Statistical tests use fixed seeds, so they pass always or never. Their false-alarm rate is the chance that truly
random permutations would have failed them.
"""

from collections.abc import Iterator
from math import factorial
from random import Random
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mgdhw.random import sample_order
from mgdhw.random.sample_order import CHUNK_SAMPLES, SampleOrder, permute

# Limits that χ² of this many degrees of freedom exceeds with probability 1e-6.
CHI_SQUARE_23 = 70.55
CHI_SQUARE_119 = 207.2
CHI_SQUARE_99 = 180.8


@pytest.fixture
def few_rounds(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A generator that mixes too little, and leaves no trace in the memo."""
    sample_order._chunk.cache_clear()
    monkeypatch.setattr(sample_order, "ORDER_ROUNDS", 2)
    yield
    sample_order._chunk.cache_clear()


# --- each epoch is a permutation --------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [*range(1, 71), 255, 256, 257, 1797])
def test_each_epoch_is_a_permutation(n: int) -> None:
    epochs = np.array([0, 1, 2, 1000, 2**32, 2**62])
    assert_array_equal(np.sort(permute(2**64 - n, epochs, n), axis=1), np.broadcast_to(np.arange(n), (6, n)))


def test_each_epoch_of_a_large_dataset_is_a_permutation() -> None:
    (samples,) = permute(3, np.array([7]), 60_000)
    assert_array_equal(np.bincount(samples, minlength=60_000), np.ones(60_000))
    assert_array_equal(SampleOrder(3, 60_000, 100).samples(7 * 600, 600).ravel(), samples)


# --- computed from anywhere -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "batch"), [(1, 1), (1, 5), (3, 2), (4, 4), (7, 20), (1797, 16), (20_000, 3)])
def test_batches_follow_each_other_through_the_epochs(n: int, batch: int) -> None:
    samples = SampleOrder(5, n, batch)
    found = samples.samples(0, 40).ravel()
    epochs = permute(5, np.arange(-(-found.size // n)), n).ravel()
    assert_array_equal(found, epochs[: found.size])


@pytest.mark.parametrize(("n", "batch"), [(1, 1), (3, 2), (10, 7), (1797, 16), (20_000, 9)])
def test_any_cut_gives_the_same_samples(n: int, batch: int) -> None:
    """From the beginning, across the borders of the memo, and far out."""
    samples, rng = SampleOrder(11, n, batch), Random(n)
    for first in (0, CHUNK_SAMPLES // batch - 20, 2**40):
        whole = samples.samples(first, 60)
        assert whole.shape == (60, batch)
        start = 0
        while start < 60:
            count = rng.randint(1, 60 - start)
            assert_array_equal(samples.samples(first + start, count), whole[start : start + count])
            start += count


def test_the_order_of_asking_makes_no_difference() -> None:
    samples = SampleOrder(6, 50, 4)
    ahead = {batch: samples.samples(batch) for batch in range(5000, 0, -617)}
    sample_order._chunk.cache_clear()
    for batch in sorted(ahead):
        assert_array_equal(samples.samples(batch), ahead[batch])


def test_a_batch_is_held_for_tau_x_probes() -> None:
    assert [SampleOrder(0, 4, tau_x=3).batch_of(step) for step in range(8)] == [0, 0, 0, 1, 1, 1, 2, 2]
    assert SampleOrder(0, 4).batch_of(2**40) == 2**40


def test_nobody_can_write_into_the_memo() -> None:
    with pytest.raises(ValueError, match="read-only"):
        SampleOrder(0, 10).samples(0, 3)[0] = 5


# --- any permutation is as likely as any other ------------------------------------------------------------------------


def unevenness(n: int, epochs: int) -> float:
    """χ² of the orders of n samples over all n! of them."""
    orders = permute(1, np.arange(epochs), n)
    names = orders @ (n ** np.arange(n))
    counts = np.unique(names, return_counts=True)[1]
    expected = epochs / factorial(n)
    missing = (factorial(n) - counts.size) * expected
    return float(np.square(counts - expected).sum() / expected + missing)


def unevenness_of_pairs(epochs: int) -> float:
    """χ² of (sample at place 0 in one epoch, in the next) over all 10 × 10 pairs of n = 10 samples."""
    first = permute(9, np.arange(2 * epochs), 10)[:, 0].reshape(epochs, 2)
    counts = np.bincount(first @ [10, 1], minlength=100)
    return float(np.square(counts - epochs / 100).sum() / (epochs / 100))


def test_all_24_orders_of_four_samples_are_equally_likely() -> None:
    """48,000 epochs; false-alarm rate 1e-6."""
    assert unevenness(4, 48_000) < CHI_SQUARE_23


def test_all_120_orders_of_five_samples_are_equally_likely() -> None:
    """Five lie within eight places, so this walks cycles. 60,000 epochs; false-alarm rate 1e-6."""
    assert unevenness(5, 60_000) < CHI_SQUARE_119


@pytest.mark.usefixtures("few_rounds")
@pytest.mark.parametrize(("n", "epochs", "limit"), [(4, 48_000, CHI_SQUARE_23), (5, 60_000, CHI_SQUARE_119)])
def test_two_rounds_are_seen_to_prefer_some_orders(n: int, epochs: int, limit: float) -> None:
    assert unevenness(n, epochs) > 2 * limit


def test_an_epoch_says_nothing_about_the_next() -> None:
    """100 pairs, 50,000 times; false-alarm rate 1e-6."""
    assert unevenness_of_pairs(50_000) < CHI_SQUARE_99


def test_an_order_that_two_epochs_share_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def shared(seed: int, stream: int, steps: Any, count: int) -> Any:
        return WORDS(seed, stream, steps // 2, count)

    monkeypatch.setattr(sample_order, "words", shared)
    assert unevenness_of_pairs(50_000) > 100 * CHI_SQUARE_99


WORDS = sample_order.words


@pytest.mark.parametrize("n", [16, 100, 1797])
def test_no_place_keeps_its_sample_from_epoch_to_epoch_or_seed_to_seed(n: int) -> None:
    """Places whose sample is that of another epoch, or of another seed: one each time on average, as between random
    permutations, so a sum of 400 is beyond 400 ± 110 with probability below 1e-6 (Poisson, 5.5 standard errors)."""
    epochs = permute(1, np.arange(401), n)
    other = permute(2, np.arange(401), n)
    assert abs(int((epochs[1:] == epochs[:-1]).sum()) - 400) < 110
    assert abs(int((epochs[1:] == other[1:]).sum()) - 400) < 110
    assert int((epochs[1:] == epochs[1:]).sum()) == 400 * n  # what the same order twice would give
