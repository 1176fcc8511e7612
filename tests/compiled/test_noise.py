"""Compiled noise against its definition, `mgdhw.random.gaussian`: every draw the same, however it is asked for."""

from typing import Any

import numpy as np
import pytest
from numba import njit
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from mgdhw.compiled.kernels import codes_and_samples, gaussian_draws, int16_pairs, philox
from mgdhw.compiled.kernels import gaussian_noise as kernels
from mgdhw.compiled.kernels.simd import LANES, load, load_pairs, store, store_pairs
from mgdhw.compiled.kernels.vector_math import to_u32, u32
from mgdhw.compiled.options import ENTRY
from mgdhw.random import gaussian
from mgdhw.random.philox import Stream
from mgdhw_sim.engines.numba.kernels import nonideal_batch_noise

pytestmark = pytest.mark.long

SEED = 0xFEDCBA9876543210
KEY = (SEED & 0xFFFFFFFF, SEED >> 32)
READ = int(Stream.READ)
STEPS = (0, 17, 2**32 + 5, 2**62 + 12345)


def row(
    blocks: int, *, step: int = 3, first: int = 0, strength: int = kernels.RAW, onto: NDArray[np.int16] | None = None
) -> NDArray[np.int16]:
    """A row by `fill_row`, with something behind it that must stay as it is."""
    out = np.full(8 * blocks + 40, 7, dtype=np.int16)
    if onto is not None:
        out[: 8 * blocks] = onto
    spare = np.empty(128, dtype=np.int16)
    kernels.fill_row(*KEY, int(Stream.READ), step, 4, 2, first, blocks, strength, onto is not None, spare, out)
    assert_array_equal(out[8 * blocks :], 7)
    return out[: 8 * blocks]


def expected(count: int, *, step: int = 3, first: int = 0) -> NDArray[np.int16]:
    """The same draws by the definition."""
    return gaussian.gaussians(SEED, Stream.READ, [step], count, first_block=first, layer=4, substream=2)[0]


def pairs_kernel(pairs: Any) -> Any:
    """Compiled anew at every call: fields to draws, scaled draws, and where they are missing."""

    @njit(**ENTRY)
    def run(fields, strength, draws_, scaled_):
        a, b = to_u32(load_pairs(fields, 0)), to_u32(load_pairs(fields, 32))
        one, other, far = pairs(a, b)
        store_pairs(draws_, 0, one)
        store_pairs(draws_, 32, other)
        store_pairs(scaled_, 0, int16_pairs.scaled_pairs(one, strength))
        store_pairs(scaled_, 32, int16_pairs.scaled_pairs(other, strength))
        return far

    return run


# --- words ------------------------------------------------------------------------------------------------------------


def test_words_are_those_of_the_kernels_of_old() -> None:
    """`codes_and_samples.philox_lanes` is compared with `mgdhw.random.philox` wherever codes are; here others too."""

    @njit(**ENTRY)
    def all_of_them(given, more, key0, key1, alone, twice, wanted):
        c = (load(given, 0), load(given, 16), load(given, 32), load(given, 48))
        d = (load(more, 0), load(more, 16), load(more, 32), load(more, 48))
        both = philox.philox_twice(c, d, key0, key1)
        for number, counters in enumerate((c, d)):
            w = philox.philox_of_key(*counters, key0, key1)
            v = codes_and_samples.philox_lanes(*counters, u32(key0), u32(key1))
            for word in range(4):
                at = (4 * number + word) * LANES
                store(alone, at, w[word])
                store(twice, at, both[number][word])
                store(wanted, at, v[word])

    rng = np.random.default_rng(1)
    for _ in range(20):
        given, more = rng.integers(0, 2**32, (2, 64), dtype=np.uint32)
        key0, key1 = rng.integers(0, 2**32, 2).tolist()
        alone, twice, wanted = np.zeros((3, 128), dtype=np.uint32)
        all_of_them(given, more, key0, key1, alone, twice, wanted)
        assert np.unique(wanted).size > 100
        assert_array_equal(alone, wanted)
        assert_array_equal(twice, wanted)


# --- fields -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("portable", [False, True])
@pytest.mark.parametrize("near", [False, True])
def test_every_field_on_every_processor(portable: bool, near: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """All 65,536 fields, by the fast instructions where this processor has them, and without; those beyond the last
    slab, or not."""
    if portable:
        monkeypatch.setattr(gaussian_draws, "HAS_BYTE_LOOKUPS", False)
        monkeypatch.setattr(int16_pairs, "HAS_WIDE_PRODUCTS", False)
    run = pairs_kernel(gaussian_draws.central_pairs if near else gaussian_draws.gaussian_pairs)
    fields = np.random.default_rng(2).permutation(1 << 16).astype(np.uint16)
    missing = ((fields >> 8) & 127) == 127 if near else gaussian.is_far(fields)
    magnitude = np.where(missing, 0, gaussian.magnitudes(fields))
    wanted = np.where(fields >> 15, -magnitude, magnitude).astype(np.int16)
    found, scaled = np.empty((2, fields.size), dtype=np.int16)
    for at in range(0, fields.size, 64):
        here = slice(at, at + 64)
        far = run(fields[here].view(np.int16), 4321, found[here], scaled[here])
        assert far == sum(1 << (2 * (i % 32) + i // 32) for i in np.flatnonzero(missing[here]).tolist())
    assert_array_equal(found, wanted)
    assert_array_equal(scaled, gaussian.scaled(wanted, 4321))
    code = "".join(run.inspect_llvm().values())
    assert ("permvar.qi" in code) == gaussian_draws.HAS_BYTE_LOOKUPS
    assert ("pmul.hr.sw" in code) == int16_pairs.HAS_WIDE_PRODUCTS


def test_every_kind_of_second_word() -> None:
    @njit(**ENTRY)
    def run(given, found, together):
        for i in range(given.size):
            found[i] = gaussian_draws.far_magnitude(np.int64(given[i]))
        for i in range(0, given.size, LANES):
            store(together, i, gaussian_draws.far_magnitudes(load(given, i)))

    powers = [(1 << k) + extra for k in range(2, 32) for extra in (-1, 0, 1)]
    given = np.array([0, 1, 2, 0xFFFFFFFF, *powers], dtype=np.uint32)
    more = np.random.default_rng(3).integers(0, 2**32, 5008 - given.size, dtype=np.uint32)
    given = np.concatenate([given, more])
    found, together = np.zeros(given.size, dtype=np.int64), np.zeros(given.size, dtype=np.int32)
    run(given, found, together)
    assert_array_equal(found, gaussian.far_magnitudes(given))
    assert_array_equal(together, found)


# --- kernels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", STEPS)
def test_rows(step: int) -> None:
    for blocks in (1, 2, 15, 16, 17, 31, 32, 100):
        for first in (0, 1, 16, 2**20 + 3):
            assert_array_equal(row(blocks, step=step, first=first), expected(8 * blocks, step=step, first=first))


def test_a_long_row_has_hundreds_of_draws_from_second_words() -> None:
    wanted = expected(2_000_000)
    assert np.count_nonzero(np.abs(wanted) > gaussian.far_magnitudes(np.array([0xFFFFFFFF], dtype=np.uint32))) > 500
    assert_array_equal(row(250_000), wanted)


@pytest.mark.parametrize("strength", [0, 1, 800, 32767])
def test_scaled_rows_and_rows_added_to_what_is_there(strength: int) -> None:
    there = np.arange(8 * 117, dtype=np.int16)
    wanted = gaussian.scaled(expected(8 * 117), strength)
    assert_array_equal(row(117, strength=strength), wanted)
    assert_array_equal(row(117, strength=strength, onto=there), there + wanted)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("onto", [False, True])
def test_rows_side_by_side(step: int, onto: bool) -> None:
    for blocks, first_row, width, column in ((1, 0, 16, 0), (2, 16, 32, 16), (9, 5, 48, 16), (40, 1000, 16, 0)):
        before = np.random.default_rng(4).integers(-999, 999, (4 * blocks, width, 2)).astype(np.int16)
        out = before.copy()
        kernels.fill_lanes(
            *KEY, int(Stream.READ), step, 4, 2, first_row, blocks, 900, onto, out.reshape(-1), width, column
        )
        draws_ = expected(8 * blocks * LANES, step=step, first=first_row * blocks).reshape(LANES, 4 * blocks, 2)
        inside = slice(column, column + LANES)
        wanted = before.copy()
        wanted[:, inside] = gaussian.scaled(draws_, 900).transpose(1, 0, 2) + (before[:, inside] if onto else 0)
        assert_array_equal(out, wanted)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    ("blocks", "low", "high"), [(98, 32, 64), (98, 96, 112), (3, 0, 32), (1, 0, 512), (1, 48, 96), (200, 16, 32)]
)
@pytest.mark.parametrize("onto", [False, True])
def test_noise_of_many_samples(step: int, blocks: int, low: int, high: int, onto: bool) -> None:
    """Side by side, with draws beyond the last slab made by themselves: up to 200 of them, a dozen by second words."""

    @njit(**ENTRY)
    def run(key0, key1, step, cut, x, top, words_, beyond, out, width):
        for first, end in ((0, cut), (cut, blocks)):
            nonideal_batch_noise.draw_lanes(
                key0, key1, READ, step, 4, 2, blocks, first, end, low, high, 900, x, 3, top, words_, beyond,
                out, width,
            )  # fmt: skip
        nonideal_batch_noise.put_far(key0, key1, READ, step, 4, 2, 900, top, beyond, out)

    width, top = high - low, 2047 if onto else 32767
    given = np.random.default_rng(5).integers(0, 256, (4 * blocks, width, 2)).astype(np.int16)
    out = np.zeros(8 * blocks * width + 2, dtype=np.int16)
    out[:-2] = given.reshape(-1)
    words_ = np.zeros(4 * max(width, nonideal_batch_noise.AHEAD), dtype=np.uint32)
    beyond = nonideal_batch_noise.tail_draws(width, 8 * blocks * width)
    run(*KEY, step, blocks // 3, out.view(np.int32) if onto else None, top, words_, beyond, out, width)
    rows = expected(8 * blocks * width, step=step, first=low * blocks).reshape(width, 4 * blocks, 2)
    wanted = gaussian.scaled(rows, 900).transpose(1, 0, 2)
    if onto:
        wanted = np.clip(8 * given.astype(np.int64) + wanted, -top, top)
    assert_array_equal(out[:-2].reshape(wanted.shape), wanted)
    assert beyond.far[0] == 0


@pytest.mark.parametrize("step", STEPS)
def test_draws_one_by_one(step: int) -> None:
    @njit(**ENTRY)
    def run(key0, key1, step, first, strength, found):
        for i in range(found.size):
            found[i] = kernels.scaled(kernels.noise(key0, key1, 10, step, 4, 2, first + i), strength)

    for first in (0, 8 * 2**21):
        found = np.zeros(20_000, dtype=np.int64)
        wanted = expected(found.size, step=step, first=first // 8)
        run(*KEY, step, first, kernels.RAW, found)
        assert_array_equal(found, wanted)
        run(*KEY, step, first, 77, found)
        assert_array_equal(found, gaussian.scaled(wanted, 77))
