"""How fast does Gaussian noise come, and what does the table behind it cost beside the random bits?

One thread, arrays that stay in the cache, the best of several tries. Ours are integers of 16 bits, scaled: a row of
draws; sixteen rows side by side, added to what is there; the table alone, without Philox, all of it or without one draw
in 128; and Philox alone, one vector at a time or two. Peers are numpy's `standard_normal` from its Philox (four words
of 64 bits) and from SFC64, and PyTorch's `randn`, where it is installed. Peers' draws are floating point and still have
to be scaled and rounded.

Run it:     python bench_scripts/noise.py [--json FILE] [--quick]
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from common import Options, Row, arguments, report
from numba import njit

from mgdhw.compiled.kernels.gaussian_draws import central_pairs, gaussian_pairs
from mgdhw.compiled.kernels.gaussian_noise import fill_lanes, fill_row
from mgdhw.compiled.kernels.int16_pairs import scaled_pairs
from mgdhw.compiled.kernels.philox import philox_of_key, philox_twice
from mgdhw.compiled.kernels.simd import store
from mgdhw.compiled.kernels.vector_math import i32, lane_numbers, to_i32, to_u32, u32
from mgdhw.compiled.options import ENTRY, INLINE
from mgdhw.random.philox import Stream

DRAWS = 16_384
STRENGTH = 800
TRIES = 15
KEY = (12345, 67890)
READ = int(Stream.READ)

Call = Callable[[int], object]
"""Makes DRAWS draws so many times."""


@njit(**ENTRY)
def rows(times: int, spare: Any, out: Any) -> None:
    """Rows of DRAWS draws."""
    for step in range(times):
        fill_row(*KEY, READ, step, 1, 2, 0, out.size // 8, STRENGTH, False, spare, out)


@njit(**ENTRY)
def lanes(times: int, out: Any) -> None:
    """Sixteen rows side by side, added up."""
    for step in range(times):
        fill_lanes(*KEY, READ, step, 1, 2, 0, out.size // 128, STRENGTH, True, out, 16, 0)


@njit(**ENTRY)
def words(times: int, out: Any) -> None:
    """Philox alone: 64 words at a time."""
    every, blocks = u32(0), to_u32(lane_numbers())
    for step in range(times):
        for block in range(0, DRAWS // 8, 16):
            w0, w1, w2, w3 = philox_of_key(u32(step), u32(0), blocks + u32(block), u32(READ), *KEY)
            every = every ^ w0 ^ w1 ^ w2 ^ w3
    store(out, 0, to_i32(every))


@njit(**ENTRY)
def twice(times: int, out: Any) -> None:
    """The same, 128 words at a time."""
    every, blocks = u32(0), to_u32(lane_numbers())
    for step in range(times):
        s0, s1, last = u32(step), u32(0), u32(READ)
        for block in range(0, DRAWS // 8, 32):
            v, w = philox_twice(
                (s0, s1, blocks + u32(block), last), (s0, s1, blocks + u32(block + 16), last), KEY[0], KEY[1]
            )  # fmt: skip
            every = every ^ v[0] ^ v[1] ^ v[2] ^ v[3] ^ w[0] ^ w[1] ^ w[2] ^ w[3]
    store(out, 0, to_i32(every))


@njit(**INLINE)
def drawn(times: int, rare: bool, out: Any) -> Any:
    """Words that are not random to scaled draws, with those beyond the last slab or without."""
    every, one, missing = i32(0), to_u32(lane_numbers()) * u32(0x9E3779B9), np.uint64(0)
    for step in range(times):
        for block in range(DRAWS // 64):
            a = one + u32(step + 7919 * block)
            b = a ^ u32(0x5BD1E995)
            g, h, others = gaussian_pairs(a, b) if rare else central_pairs(a, b)
            every = every ^ scaled_pairs(g, STRENGTH) ^ scaled_pairs(h, STRENGTH)
            missing |= others
    store(out, 0, every)
    return missing


@njit(**ENTRY)
def table(times: int, out: Any) -> Any:
    """All draws but those that take a second word."""
    return drawn(times, True, out)


@njit(**ENTRY)
def near(times: int, out: Any) -> Any:
    """All but one in 128, as samples side by side have theirs drawn."""
    return drawn(times, False, out)


def rate(call: Call, quick: bool) -> float:
    """Draws per second, the best of several tries of some 20 ms each."""
    times = 1
    while True:
        began = time.perf_counter()
        call(times)
        if quick or time.perf_counter() - began > 0.02:
            break
        times *= 2
    taken = []
    for _ in range(1 if quick else TRIES):
        began = time.perf_counter()
        call(times)
        taken.append(time.perf_counter() - began)
    return times * DRAWS / min(taken)


def ours() -> dict[str, Call]:
    """Our kernels."""
    spare, out, some = np.empty(128, np.int16), np.zeros(DRAWS, np.int16), np.empty(16, np.int32)
    return {
        "a row": lambda times: rows(times, spare, out),
        "sixteen rows, added": lambda times: lanes(times, out),
        "table alone": lambda times: table(times, some),
        "table, but for one draw in 128": lambda times: near(times, some),
        "Philox alone": lambda times: words(times, some),
        "Philox alone, two at a time": lambda times: twice(times, some),
    }


def peers() -> dict[str, Call]:
    """Other people's generators, as fast as they go."""
    found: dict[str, Call] = {}
    for bits in (np.random.Philox, np.random.SFC64):
        for kind in (np.float64, np.float32):
            found[f"numpy {bits.__name__}, {kind.__name__}"] = _numpy(bits, kind)
    try:
        import torch
    except ImportError:
        return found
    torch.set_num_threads(1)
    tensor = torch.empty(DRAWS)
    found["torch randn, float32"] = lambda times: [tensor.normal_() for _ in range(times)]
    return found


def _numpy(bits: Any, kind: Any) -> Call:
    generator, out = np.random.Generator(bits(1)), np.empty(DRAWS, kind)
    return lambda times: [generator.standard_normal(out=out, dtype=kind) for _ in range(times)]


def main(options: Options) -> None:
    """Measure them all, and compare a row of ours with every peer."""
    found = {name: rate(call, options.quick) for name, call in ours().items()}
    lines = [Row(name, "draws/s", value) for name, value in found.items()]
    for name, call in peers().items():
        lines.append(Row("a row", "draws/s", found["a row"], rate(call, options.quick), name))
    report("Gaussian noise, one thread", lines, options)


if __name__ == "__main__":
    main(arguments(__doc__))
