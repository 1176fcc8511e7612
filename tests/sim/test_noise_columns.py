"""Compiled noise of many samples side by side against its definition."""

import numpy as np
import pytest
from numba import njit
from numpy.testing import assert_array_equal

from mgdhw import noise
from mgdhw.compiled import columns
from mgdhw.compiled.options import ENTRY
from mgdhw.philox import Stream

pytestmark = pytest.mark.long

SEED = 0xFEDCBA9876543210
KEY = (SEED & 0xFFFFFFFF, SEED >> 32)
STEP = 2**32 + 5
LAST = int(Stream.INPUT) + (4 << 8) + (2 << 16)


@njit(**ENTRY)
def filled(row_blocks, first, end, low, high, size, x, fine, top, space, out, width):
    """Of one key and step."""
    columns.fill_columns(
        *KEY, LAST, STEP, row_blocks, first, end, low, high, size, x, fine, top, space, out, width
    )  # fmt: skip


def draws(row_blocks: int, samples: int) -> noise.Int16Array:
    """[block][pair][sample][2] by the definition."""
    count = 8 * row_blocks * samples
    found = noise.gaussians(SEED, Stream.INPUT, [STEP], count, layer=4, part=2)
    return found.reshape(samples, row_blocks, 4, 2).transpose(1, 2, 0, 3)


@pytest.mark.parametrize("samples", [1, 4, 5, 8, 9, 16, 17, 36, 56, 100, 128, 1100])
@pytest.mark.parametrize("onto", [False, True])
def test_any_number_of_columns(samples: int, onto: bool) -> None:
    width, size, fine, top = -(-samples // 16) * 16, 9000, 3, 20_000
    work = columns.space(width)
    for row_blocks, first, end in ((1, 0, 1), (7, 0, 7), (13, 2, 13), (98 if samples == 100 else 20, 5, 9)):
        for low in sorted({0, (width - 1) // 32 * 16}):
            x = np.random.default_rng(samples).integers(-2000, 2000, (row_blocks, 4, width, 2)).astype(np.int16)
            before = np.full((row_blocks, 4, width, 2), 7, dtype=np.int16)
            out = before.copy()
            inputs = x.reshape(-1).view(np.int32) if onto else None
            filled(row_blocks, first, end, low, samples, size, inputs, fine, top, work, out.reshape(-1), width)
            wanted = noise.scaled(draws(row_blocks, samples), size)
            if onto:
                wanted = np.clip((x[:, :, :samples].astype(np.int64) << fine) + wanted, -top, top)
            assert_array_equal(out[first:end, :, low:samples], wanted[first:end, :, low:])
            out[first:end, :, low:] = 7
            assert_array_equal(out, before)


@pytest.mark.parametrize("samples", [100, 4])
def test_thousands_of_second_words(samples: int) -> None:
    row_blocks, width = 2_000_000 // samples // 8, -(-samples // 16) * 16
    wanted = draws(row_blocks, samples)
    assert np.count_nonzero(np.abs(wanted) > noise.far_magnitudes(np.array([0xFFFFFFFF], dtype=np.uint32))) > 500
    out = np.zeros(8 * row_blocks * width, dtype=np.int16)
    filled(row_blocks, 0, row_blocks, 0, samples, 32767, None, 0, 0, columns.space(width), out, width)
    found = out.reshape(row_blocks, 4, width, 2)[:, :, :samples]
    assert_array_equal(found, noise.scaled(wanted, 32767))
