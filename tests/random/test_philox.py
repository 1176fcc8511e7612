"""Philox4x32-10: its known answers, its layout, and that what it gives looks random (and fewer rounds don't).

Statistical tests draw fixed numbers, so they pass always or never. Their false-alarm rate is the chance that a
perfect generator in the place of this one would have failed them.
"""

from functools import partial
from math import log, sqrt
from random import Random

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from mgdhw.random import philox
from mgdhw.random.philox import Stream, bits, philox4x32, words

FALSE_ALARM = 1e-9


def hoeffding(trials: int, chances: int) -> float:
    """How far a sum of ±1 may be from zero: none of `chances` sums is beyond it but with probability FALSE_ALARM.

    Source: Hoeffding (1963): P(|Σ| >= d) <= 2 exp(-d² / 2n), and the union bound.
    """
    return sqrt(2 * trials * log(2 * chances / FALSE_ALARM))


# --- known answers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rounds", "counter", "key", "answer"),
    [
        (10, "00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        (10, "ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (10, "243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
        (7, "00000000 00000000 00000000 00000000", "00000000 00000000", "5f6fb709 0d893f64 4f121f81 4f730a48"),
        (7, "ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "5207ddc2 45165e59 4d8ee751 8c52f662"),
        (7, "243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "4dfccaba 190a87f0 c47362ba b6b5242a"),
    ],
)
def test_known_answers_of_random123(rounds: int, counter: str, key: str, answer: str) -> None:
    """kat_vectors of the Random123 library."""
    hexadecimal = partial(int, base=16)
    found = philox4x32(list(map(hexadecimal, counter.split())), list(map(hexadecimal, key.split())), rounds)
    assert_array_equal(found, list(map(hexadecimal, answer.split())))
    assert found.dtype == np.uint32


# --- layout -----------------------------------------------------------------------------------------------------------


def test_words_lie_block_by_block_with_step_block_and_stream_in_the_counter() -> None:
    seed, step = 0x0123456789ABCDEF, 0xFEDCBA9876543210
    for block in (0, 1, 5):
        counter = (0x76543210, 0xFEDCBA98, block, int(Stream.DATA))
        expected = philox4x32(counter, (0x89ABCDEF, 0x01234567))
        assert_array_equal(words(seed, Stream.DATA, [step], 24)[0, 4 * block : 4 * block + 4], expected)


def test_layer_and_part_lie_above_the_stream() -> None:
    expected = philox4x32((9, 0, 0, 10 + 256 * 3 + 65536 * 2), (5, 0))
    assert_array_equal(words(5, Stream.READ, [9], 4, layer=3, substream=2)[0], expected)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 31])
@pytest.mark.parametrize("first_block", [0, 1, 7, 2**20])
def test_words_from_a_later_block_are_the_later_words(count: int, first_block: int) -> None:
    from_there = words(3, Stream.CODES, [4, 9], count, first_block=first_block)
    assert from_there.shape == (2, count)
    assert_array_equal(from_there, words(3, Stream.CODES, [4, 9], count + 4, first_block=first_block)[:, :count])
    if first_block < 100:
        assert_array_equal(from_there, words(3, Stream.CODES, [4, 9], 4 * first_block + count)[:, 4 * first_block :])


@pytest.mark.parametrize("count", [1, 31, 32, 33, 128, 129, 300])
def test_bits_are_those_of_the_words_lowest_first(count: int) -> None:
    drawn = words(8, Stream.CODES, [2, 2**63], 16, first_block=3)
    expected = [[int(row[i // 32]) >> (i % 32) & 1 for i in range(count)] for row in drawn]
    assert_array_equal(bits(8, Stream.CODES, [2, 2**63], count, first_block=3), expected)


def test_a_step_gives_the_same_words_whatever_else_is_asked_for() -> None:
    steps = np.array([0, 5, 2**32 - 1, 2**32, 2**64 - 1], dtype=np.uint64)
    together = words(77, Stream.INIT, steps, 9)
    for row, step in zip(together, steps, strict=True):
        assert_array_equal(words(77, Stream.INIT, step, 9)[0], row)
    assert_array_equal(words(77, Stream.INIT, steps[::-1], 9), together[::-1])
    assert words(77, Stream.INIT, [], 9).shape == (0, 9)


def test_streams_steps_and_both_halves_of_the_seed_make_a_difference() -> None:
    drawn = [
        tuple(words(seed, stream, [step], 4)[0].tolist())
        for seed in (0, 1, 2**32, 2**63)
        for stream in Stream
        for step in (0, 1, 2**32, 2**63)
    ]
    assert len(set(drawn)) == len(drawn)


def test_stream_numbers_are_for_ever() -> None:
    """A number that changes its meaning changes every trajectory; new uses get new numbers, added here."""
    first = {"CODES": 1, "ORDER": 2, "INIT": 3, "DATA": 4, "SPLIT": 5, "ROUNDING": 6}
    noise = {"MISMATCH": 7, "WRITE": 8, "INPUT": 9, "READ": 10, "COST": 11, "ADC": 12, "TEMPERATURE": 13, "TAIL": 14}
    assert {name: Stream[name].value for name in first | noise} == first | noise
    assert len({stream.value for stream in Stream}) == len(Stream)


# --- statistics -------------------------------------------------------------------------------------------------------


def flips(rounds: int) -> NDArray[np.int64]:
    """Σ ±1 over counters, (128, 128): how much oftener than not input bit i flips output bit j."""
    rng = Random(1)
    counters = np.array([[rng.getrandbits(32) for _ in range(4)] for _ in range(512)], dtype=np.uint64)
    key = (rng.getrandbits(32), rng.getrandbits(32))
    before = philox4x32(counters, key, rounds)
    sums = np.empty((128, 128), dtype=np.int64)
    for i in range(128):
        changed = counters.copy()
        changed[:, i // 32] ^= np.uint64(1 << (i % 32))
        difference = np.ascontiguousarray(before ^ philox4x32(changed, key, rounds)).view(np.uint8)
        flipped = np.unpackbits(difference, axis=1, bitorder="little").astype(np.int64)
        sums[i] = (2 * flipped - 1).sum(axis=0)
    return sums


def correlations() -> NDArray[np.int64]:
    """Σ ±1 over 4096 consecutive steps, as codes use them: of every bit, and of the product of every two."""
    signs = bits(5, Stream.CODES, np.arange(4096), 160).astype(np.int64) * 2 - 1
    shifted = signs[1:].T @ signs[:-1]  # each with each at the step before
    upper = np.triu_indices(160, 1)
    return np.concatenate([signs.sum(axis=0), (signs.T @ signs)[upper], shifted.ravel()])


def test_every_input_bit_flips_every_output_bit_half_of_the_time() -> None:
    """Avalanche. False-alarm rate below 1e-9 over all 16,384 pairs."""
    assert np.abs(flips(philox.ROUNDS)).max() < hoeffding(512, 128 * 128)


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_a_few_rounds_do_not_pass_the_avalanche_test(rounds: int) -> None:
    assert np.abs(flips(rounds)).max() > 2 * hoeffding(512, 128 * 128)


def test_bits_of_consecutive_steps_are_balanced_and_uncorrelated() -> None:
    """False-alarm rate below 1e-9 over all sums."""
    sums = correlations()
    assert np.abs(sums).max() < hoeffding(4096, sums.size)


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_bits_of_a_few_rounds_are_seen_to_be_correlated(monkeypatch: pytest.MonkeyPatch, rounds: int) -> None:
    monkeypatch.setattr(philox, "philox4x32", partial(philox4x32, rounds=rounds))
    sums = correlations()
    assert np.abs(sums).max() > hoeffding(4096, sums.size)


def unevenness_of_bytes() -> float:
    """χ² of 2**20 bytes of consecutive steps over their 256 values."""
    drawn = np.ascontiguousarray(words(11, Stream.DATA, np.arange(2**14), 16)).view(np.uint8)
    counts = np.bincount(drawn.ravel(), minlength=256)
    return float(np.square(counts - 4096).sum() / 4096)


def test_bytes_are_uniform() -> None:
    """255 degrees of freedom exceed 398 with probability 2.4e-8: the false-alarm rate."""
    assert unevenness_of_bytes() < 398


@pytest.mark.parametrize("rounds", [1, 2])
def test_bytes_of_a_few_rounds_are_seen_not_to_be_uniform(monkeypatch: pytest.MonkeyPatch, rounds: int) -> None:
    monkeypatch.setattr(philox, "philox4x32", partial(philox4x32, rounds=rounds))
    assert unevenness_of_bytes() > 398
