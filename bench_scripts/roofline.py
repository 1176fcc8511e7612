"""What could this machine do, and what share of it does each case of `speed.py` reach?

Peaks, on one core and on all, each the best of several tries:

- float32: multiply-adds/s of a 2048 × 2048 matrix product in numpy's BLAS;
- int8: multiply-adds/s of a 2048 × 2048 product of bytes into 32 bits, in oneDNN by way of PyTorch;
- int8, numba: the same of dot products, from the first-level cache: what numba makes of a plain loop (`vpmaddwd` on
  256 bits here, no VNNI);
- memory: bytes/s read by a sum over 1 GiB, compiled by numba.

What a case takes is counted as an ordinary calculation would do it, for one probe of B samples. With W weights and P
parameters (W without the biases):

- multiply-adds: B · W for the perturbed cost, and as many for each baseline, of which there is one in τ_x probes;
- bytes: those of θ and θ̃ as the chip has them, one each: 2 P. They only come from memory where the caches are too
  small; so this is a bound that a network of this size does not meet.

A share above 1 means that fewer operations were needed than counted: rank1 codes do not need the product of θ̃ and x
weight by weight. Shares are of all cores' peaks, in d of one core's.

Run it:     python bench_scripts/roofline.py [--json FILE] [--quick]
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from multiprocessing import get_context

import growth
import numba
import numpy as np
import torch
from cases import CASES, Case, dataset, find_images
from common import Options, Row, arguments, progress, report
from numpy.typing import NDArray
from ours import Ours

TRIES = 7
MATRIX = 2048
BYTES = 16_384
"""Of both operands of the int8 product together: half of a first-level cache."""
REPEATS = 20_000
MEMORY = 1 << 30


def peaks(quick: bool) -> dict[str, float]:
    """Multiply-adds/s and bytes/s, on the cores that this process may use."""
    tries, shrink = (1, 8) if quick else (TRIES, 1)
    return {
        "float32, multiply-adds/s": max(_float32(MATRIX // shrink) for _ in range(tries)),
        "int8, multiply-adds/s": max(_int8(MATRIX // shrink) for _ in range(tries + 1)),
        "int8, numba, multiply-adds/s": max(_int8_numba(REPEATS // shrink) for _ in range(tries + 1)),
        "memory, bytes/s": max(_memory(np.ones(MEMORY // 4 // shrink, np.float32)) for _ in range(tries + 1)),
    }


def peaks_of_one_core(quick: bool) -> dict[str, float]:
    """The same, in a process that is on one core from its beginning."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        with get_context("spawn").Pool(1) as pool:
            return pool.apply(peaks, (quick,))
    finally:
        os.sched_setaffinity(0, cores)


def _rate(work: float, call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return work / (time.perf_counter() - began)


def _float32(n: int) -> float:
    a = np.random.default_rng(0).random((n, n), dtype=np.float32)
    out = np.empty_like(a)
    return _rate(n**3, lambda: np.matmul(a, a, out=out))


def _int8(n: int) -> float:
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    a = torch.randint(-128, 128, (n, n), dtype=torch.int8)
    return _rate(n**3, lambda: torch._int_mm(a, a))


def _int8_numba(repeats: int) -> float:
    threads = numba.get_num_threads()
    a = np.random.default_rng(0).integers(-128, 128, (threads, 2, BYTES // 2), dtype=np.int8)
    return _rate(threads * repeats * BYTES // 2, lambda: _dots(a, repeats))


@numba.njit(parallel=True)
def _dots(a: NDArray[np.int8], repeats: int) -> int:
    total = 0
    for thread in numba.prange(a.shape[0]):
        for repeat in range(repeats):
            a[thread, 0, 0] = repeat & 63  # or the compiler would do it once
            total += _dot(a[thread, 0], a[thread, 1])
    return total


@numba.njit
def _dot(x: NDArray[np.int8], y: NDArray[np.int8]) -> int:
    total = np.int32(0)
    for i in range(x.size):
        total = np.int32(total + np.int32(x[i]) * np.int32(y[i]))
    return total


def _memory(a: NDArray[np.float32]) -> float:
    return _rate(a.nbytes, lambda: _sum(a))


@numba.njit(parallel=True, fastmath=True)
def _sum(a: NDArray[np.float32]) -> float:
    total = np.float32(0)
    for i in numba.prange(a.size):
        total += a[i]
    return total


def multiply_adds(case: Case) -> float:
    """Of one probe, with its share of a baseline."""
    weights = sum(n_in * n_out for n_in, n_out in zip(case.layers, case.layers[1:], strict=False))
    return case.batch * weights * (1 + 1 / case.period)


def rates(quick: bool) -> dict[str, float]:
    """Probes/s of each case; d on one core."""
    images, found = find_images(), {}
    for letter, case in CASES.items():
        progress(f"case {letter}")
        if letter == "d":
            point = growth.measure([case.layers], 0.02 if quick else 0.5, 1 if quick else 5)[0]
            found[letter] = 1 / point.seconds
            continue
        with Ours(case, dataset(case, images), seconds=0.02 if quick else 0.5) as ours:
            found[letter] = float(np.median([ours.rate() for _ in range(1 if quick else 5)]))
    return found


def main(options: Options) -> None:
    """Measure the peaks, then the cases."""
    one, every = peaks_of_one_core(options.quick), peaks(options.quick)
    rows = [Row("peak, one core", name, value) for name, value in one.items()]
    rows += [Row("peak, all cores", name, value) for name, value in every.items()]
    for letter, rate in rates(options.quick).items():
        case, peak = CASES[letter], one if letter == "d" else every
        needs = multiply_adds(case) * rate
        rows.append(Row(letter, "multiply-adds per probe", multiply_adds(case)))
        for name in list(peak)[:-1]:
            rows.append(Row(letter, name, needs, peak[name], "peak"))
        rows.append(Row(letter, "memory, bytes/s", 2 * case.n_parameters * rate, peak["memory, bytes/s"], "peak"))
    report("Shares of this machine's peaks (ratio: the share)", rows, options)


if __name__ == "__main__":
    main(arguments(__doc__))
