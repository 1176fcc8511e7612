"""Integer Gaussian noise: its tables, its layout, and its exact distribution. `tests/statistics/` draws from it."""

import re
from bisect import bisect_right
from collections import Counter
from fractions import Fraction
from math import erfc, floor, sqrt

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mgdhw.random import gaussian, gaussian_tables
from mgdhw.random.philox import Stream, philox4x32, words
from tests.helpers.paths import DOCS
from tests.random import quantiles

SEED = 0x0123456789ABCDEF


def draw(step: int, index: int, stream: Stream = Stream.READ, layer: int = 0, part: int = 0) -> int:
    """One draw, written a second time from docs/chip.md, in plain Python integers."""
    purpose = int(stream) + 256 * layer + 65536 * part
    key = (SEED & 0xFFFFFFFF, SEED >> 32)
    word = int(philox4x32((step & 0xFFFFFFFF, step >> 32, index >> 3, purpose), key)[(index >> 1) & 3])
    field = (word >> 16 * (index & 1)) & 0xFFFF
    k, r = (field >> 8) & 127, field & 255

    def between(table: list[int], slab: int, part: int) -> int:
        return table[slab] + (((table[slab + 1] - table[slab]) * (2 * part + 1) + 256) >> 9)

    if k < 127:
        magnitude = between(gaussian_tables.BORDERS.tolist(), k, r)
    elif r < 240:
        magnitude = int(gaussian_tables.RARE[r])
    else:
        purpose = 14 + 256 * layer + 65536 * part + 2**24 * int(stream)
        word = int(philox4x32((step & 0xFFFFFFFF, step >> 32, index >> 2, purpose), key)[index & 3])
        magnitude = far(word)
    return -magnitude if field >> 15 else magnitude


def far(word: int) -> int:
    """A magnitude by a second word, the same."""
    zeros = 32 - max(word, 1).bit_length()
    after = f"{max(word, 1):032b}"[zeros + 1 :].ljust(12, "0")
    slab, rest = 16 * (31 - zeros) + int(after[:4], 2), int(after[4:12], 2)
    table = gaussian_tables.FAR.tolist()
    return int(table[slab] + (((table[slab + 1] - table[slab]) * (2 * rest + 1) + 256) >> 9))


# --- tables -----------------------------------------------------------------------------------------------------------


def test_the_tables_are_the_quantiles_rounded_once() -> None:
    assert gaussian_tables.BORDERS.tolist() == quantiles.borders()
    assert gaussian_tables.RARE.tolist() == quantiles.rare()
    assert gaussian_tables.FAR.tolist() == quantiles.far()


def test_tables_grow_and_fit_into_sixteen_bits() -> None:
    for table in (gaussian_tables.BORDERS, gaussian_tables.RARE, gaussian_tables.FAR[::-1]):
        assert np.all(np.diff(table.astype(int)) > 0)
    assert gaussian_tables.BORDERS[-1] <= gaussian_tables.RARE[0]
    assert gaussian_tables.RARE[-1] <= gaussian_tables.FAR[-1]
    assert gaussian_tables.FAR[0] == 30408
    assert not gaussian_tables.FAR.flags.writeable


# --- draws ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "stream", "layer", "part"), [(0, 10, 0, 0), (2**32 + 3, 8, 255, 2), (2**64 - 1, 12, 3, 255)]
)
def test_draws_are_those_of_the_definition(step: int, stream: int, layer: int, part: int) -> None:
    found = gaussian.gaussians(SEED, Stream(stream), [step], 300, layer=layer, substream=part)
    assert found.dtype == np.int16
    assert found.shape == (1, 300)
    assert found[0].tolist() == [draw(step, i, Stream(stream), layer, part) for i in range(300)]


def test_draws_far_out_take_a_second_word() -> None:
    """All of the rarest draws among a million, and among them some at a row's odd places."""
    steps = np.arange(1000, dtype=np.uint64) + np.uint64(2**40)
    fields = gaussian.fields(SEED, Stream.COST, steps, 1000, layer=4, substream=1)
    found = gaussian.gaussians(SEED, Stream.COST, steps, 1000, layer=4, substream=1)
    row, column = np.nonzero(gaussian.is_far(fields))
    assert 400 < row.size < 600
    assert [draw(2**40 + int(k), int(i), Stream.COST, 4, 1) for k, i in zip(row, column, strict=True)] == found[
        row, column
    ].tolist()
    assert np.abs(found).max() == np.abs(found[row, column]).max()


def test_every_kind_of_second_word() -> None:
    few = [
        0,
        1,
        2,
        3,
        5,
        0xFFFFFFFF,
        0x80000000,
        0x7FFFFFFF,
        *(1 << k for k in range(32)),
        *((3 << k) - 1 for k in range(31)),
    ]
    many = np.concatenate([np.array(few, dtype=np.uint32), words(1, Stream.TAIL, [0], 1000)[0]])
    assert gaussian.far_magnitudes(many).tolist() == [far(int(word)) for word in many]


@pytest.mark.parametrize("count", [1, 7, 8, 9, 40])
@pytest.mark.parametrize("first_block", [0, 1, 1000])
def test_draws_from_a_later_block_are_the_later_draws(count: int, first_block: int) -> None:
    whole = gaussian.gaussians(SEED, Stream.READ, [6, 7], 8 * 1000 + 40)
    part = gaussian.gaussians(SEED, Stream.READ, [6, 7], count, first_block=first_block)
    assert_array_equal(part, whole[:, 8 * first_block : 8 * first_block + count])


def test_whatever_names_a_draw_makes_a_difference() -> None:
    drawn = [
        tuple(gaussian.gaussians(seed, stream, [step], 8, layer=layer, substream=part)[0].tolist())
        for seed in (0, 1, 2**63)
        for stream in list(Stream)[6:13]
        for step in (0, 1, 2**32)
        for layer in (0, 1, 255)
        for part in (0, 1, 255)
    ]
    assert len(set(drawn)) == len(drawn)


@pytest.mark.parametrize(("layer", "part"), [(256, 0), (0, 256), (-1, 0), (0, -1)])
def test_layers_and_parts_without_a_number_are_refused(layer: int, part: int) -> None:
    with pytest.raises(ValueError, match="each must be 0"):
        gaussian.gaussians(SEED, Stream.READ, [0], 8, layer=layer, substream=part)


# --- strength ---------------------------------------------------------------------------------------------------------


def test_strengths_are_eighths_rounded_half_up() -> None:
    assert [gaussian.strength(sigma) for sigma in (0, 0.0624, 0.0625, 1, 100.5, 4095.9)] == [0, 0, 1, 8, 804, 32767]
    for sigma in (-0.1, 2.0**41, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="has no strength"):
            gaussian.strength(sigma)


def test_scaled_noise_is_rounded_half_up() -> None:
    draws = np.arange(-30408, 30409, dtype=np.int16)
    for strength in (0, 1, 8, 777, 32767, 1 << 40):
        found = gaussian.scaled(draws, strength)
        assert found.tolist() == [floor(Fraction(int(g) * strength, 1 << 15) + Fraction(1, 2)) for g in draws]


# --- the exact distribution -------------------------------------------------------------------------------------------


def moment(power: int) -> Fraction:
    """Of the exact distribution."""
    values, counts = gaussian.distribution()
    return Fraction(sum(v**power * n for v, n in zip(values.tolist(), counts.tolist(), strict=True)), 1 << 48)


def tail(sigmas: int) -> float:
    """P(|g| >= sigmas · UNIT), exactly."""
    values, counts = gaussian.distribution()
    return float(Fraction(int(counts[np.abs(values) >= sigmas * gaussian.UNIT].sum()), 1 << 48))


def test_the_distribution_counts_every_field_and_second_word() -> None:
    values, counts = gaussian.distribution()
    assert counts.sum() == 1 << 48
    assert_array_equal(values, -values[::-1])
    assert_array_equal(counts, counts[::-1])
    near = np.arange(0x8000 - gaussian.FAR_CELLS, dtype=np.uint16)
    magnitudes = Counter(gaussian.magnitudes(near).tolist())
    found = dict(zip(values.tolist(), counts.tolist(), strict=True))
    least = far(0xFFFFFFFF)  # of a second word: the greatest word has the smallest magnitude
    assert all(found[g] == n * (2 if g == 0 else 1) << 32 for g, n in magnitudes.items() if g < least)
    for g in (least, least + 1, 14000, 16384, 20480, 24576, 28672, 30408):
        words_there = bisect_right(range(1 << 32), -g, key=lambda word: -far(word))
        fields_there = sum(n for magnitude, n in magnitudes.items() if magnitude >= g)
        assert counts[values >= g].sum() == (fields_there << 32) + gaussian.FAR_CELLS * words_there


def test_the_variance_is_that_of_the_unit_and_odd_moments_vanish() -> None:
    assert moment(1) == moment(3) == 0
    assert abs(moment(2) / gaussian.UNIT**2 - 1) < Fraction(2, 10**6)


@pytest.mark.parametrize("sigmas", [1, 2, 3, 4, 5, 6])
def test_tails_are_the_gaussian_s_to_one_percent(sigmas: int) -> None:
    assert abs(tail(sigmas) / erfc(sigmas / sqrt(2)) - 1) < 0.01


@pytest.mark.parametrize("power", [4, 6])
def test_higher_moments_are_the_gaussian_s(power: int) -> None:
    gaussian = {4: 3, 6: 15}[power]
    assert abs(moment(power) / moment(2) ** (power // 2) / gaussian - 1) < Fraction(1, 1000)


def test_the_definition_says_what_the_distribution_is() -> None:
    """The table in docs/chip.md."""
    text = (DOCS / "chip.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| P\(\|g\| ≥ (\d)σ\) \| (\S+) \|", text.replace("\\|", "|"), re.MULTILINE))
    assert {int(sigmas): value for sigmas, value in rows.items()} == {s: f"{tail(s):.5g}" for s in range(1, 8)}
    for power, name in ((4, "kurtosis"), (6, "sixth moment")):
        found = re.search(rf"^\| {name}[^|]*\| (\S+) \|", text, re.MULTILINE)
        assert found is not None
        assert found[1] == f"{float(moment(power) / moment(2) ** (power // 2)):.5f}"
