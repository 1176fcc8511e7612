"""The C core, written from docs/chip.md, and the Python reference: every bit has to agree."""

import ctypes
import math
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mgdhw.codes.sinusoidal import sine_table
from mgdhw.random.gaussian import gaussians
from mgdhw.random.gaussian_tables import BORDERS, FAR, RARE
from mgdhw.random.philox import Stream
from mgdhw_sim.reference.tables import ACTIVATIONS, activation_table, exp_table, log_table
from mgdhw_sim.spec import ChipSpec
from tests.helpers.paths import ROOT
from tests.sim.draws import SIGNALS

from .compare import compare_blocks, compare_segments
from .core import FIRMWARE, Core, CoreChip, CoreError, build
from .structures import ACTIVATIONS as NAMES

BLOCKS, SEGMENTS = 16, 6  # for each choice of signal widths; half of the chips are nonideal
SANITIZED_BLOCKS, SANITIZED_SEGMENTS = 10, 4


@pytest.mark.parametrize("first", range(0, 250, 50))
def test_blocks(core: Core, first: int) -> None:
    for number in range(first, first + BLOCKS):
        compare_blocks(core, number)


@pytest.mark.parametrize("first", range(0, 250, 50))
def test_segments(core: Core, first: int) -> None:
    for number in range(first, first + SEGMENTS):
        compare_segments(core, number)


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="the sanitizer is loaded before Python")
def test_sanitizers_have_nothing_to_say(builds: Path) -> None:
    build(builds / "sanitized", "libcore.so", sanitize=True)
    found = subprocess.run(["cc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    command = [sys.executable, "-m", "tests.firmware.compare", "--library", str(builds / "sanitized" / "libcore.so")]
    command += ["--blocks", str(SANITIZED_BLOCKS), "--segments", str(SANITIZED_SEGMENTS), "--first", "1000"]
    paths = os.pathsep.join(str(ROOT / folder) for folder in ("", "sim", "drivers"))
    environment = {
        **os.environ,
        "PYTHONPATH": paths,
        "LD_PRELOAD": found.stdout.strip(),
        "ASAN_OPTIONS": "detect_leaks=0",  # the interpreter's own
        "COVERAGE_PROCESS_START": "",
    }
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "every bit the same" in done.stdout


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_curves_of_every_width(core: Core, activation: str) -> None:
    for bits, signal_range in [pair for signals in SIGNALS for pair in signals]:
        log2 = round(math.log2(signal_range))
        for lut_bits in (4, 8, 12) if bits == 24 else (4, 7):
            table = (ctypes.c_int32 * ((1 << lut_bits) + 1))()
            core.lib.mg_curve_table(table, NAMES.index(activation), bits, log2, lut_bits)
            assert_array_equal(table, activation_table(activation, bits, bits - 1 - log2, lut_bits))


@pytest.mark.parametrize(("bits", "signal_range"), [(12, 1.0), (16, 8.0), (24, 64.0), (24, 1.0)])
def test_tables_of_cross_entropy(core: Core, bits: int, signal_range: float) -> None:
    log2 = round(math.log2(signal_range))
    exponential, logarithm = (ctypes.c_uint32 * 1025)(), (ctypes.c_int64 * 1025)()
    core.lib.mg_exponential_table(exponential, log2 - 9)
    core.lib.mg_logarithm_table(logarithm, bits - 1 - log2 + 12)
    assert_array_equal(exponential, exp_table(bits, bits - 1 - log2))
    assert_array_equal(logarithm, log_table(bits - 1 - log2 + 12))


def test_the_sine_table(core: Core) -> None:
    assert_array_equal(core.sine, sine_table()[:1025])


def test_the_tables_of_noise(core: Core) -> None:
    for name, table in (("borders", BORDERS), ("rare", RARE), ("far", FAR)):
        ours = (ctypes.c_int16 * table.size).in_dll(core.lib, f"mg_noise_{name}")
        assert_array_equal(ours, table)


def test_draws_of_noise_far_out_too(core: Core) -> None:
    count, step, seed = 40_000, 2**33 + 5, 2**63 + 9  # some twenty are far out
    noise = (ctypes.c_uint64 * 32)()
    core.lib.mg_noise_at(noise, ctypes.c_uint64(seed), int(Stream.READ), 3, 2, ctypes.c_uint64(step))
    found = [core.lib.mg_gaussian(noise, ctypes.c_uint64(n)) for n in range(count)]
    assert_array_equal(found, gaussians(seed, Stream.READ, [step], count, layer=3, substream=2)[0])


def test_roots_of_integers_are_rounded_like_the_processors(core: Core) -> None:
    rng = Random(5)
    special = [0.0, 5e-324, 2.2250738585072014e-308, 1.0, 2.0, 4.0, math.inf, 1.7976931348623157e308]
    near_squares = [math.nextafter(float(n * n), to) for n in range(2**26, 2**26 + 300) for to in (0.0, math.inf)]
    patterns = np.array([rng.getrandbits(63) for _ in range(20_000)], dtype=np.uint64).view(np.float64)
    for value in [*special, *near_squares, *patterns[np.isfinite(patterns)].tolist()]:
        assert core.lib.mg_root_of_integers(value) == math.sqrt(value)
    assert math.isnan(core.lib.mg_root_of_integers(-1.0))
    assert math.isnan(core.lib.mg_root_of_integers(math.nan))


def test_what_is_no_chip_is_refused(core: Core) -> None:
    with pytest.raises(CoreError, match="no memory"):
        CoreChip(core, ChipSpec(), memory=1000)
    wide = ChipSpec(layers=(1, 1))
    object.__setattr__(wide, "weight_bits", 17)
    with pytest.raises(CoreError, match="bad chip"):
        CoreChip(core, wide)


def test_the_firmware_is_part_of_the_package() -> None:
    assert (FIRMWARE / "core" / "chip.c").is_file()
