"""What is the least that a probe of an imperfect chip can take on this processor, and how far from it is ours?

Case c of `speed.py` with every non-ideality on must do, beside all that its ideal chip does but the first layer's
products:

- products: those of the first layer in 16 bits instead of 8, for both measurements of a probe;
- noise: a draw for every input of every sample, for both: Philox, and the table that makes normal draws of its words;
- writes: two draws for every cell that changes its code; a block of Philox each.

Each of these is timed as our kernels do it, but from the nearest cache and with nothing around it, one thread on one
core, in turns with the ideal chip and the imperfect one; medians of several rounds. What is not counted (reading and
writing the cells, read noise, mismatch of neurons, moving weights, samples that don't fill a vector, cache misses)
comes on top. The last rows set the sum beside the time that half the ideal chip's speed allows, and beside ours.

Run it:     python bench_scripts/floor.py [--json FILE] [--quick]
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import noise
import numpy as np
from cases import CASES, IMPERFECT, dataset, find_images
from common import Options, Row, arguments, progress, report
from numba import njit
from ours import Ours

from mgdhw.compiled.options import ENTRY
from mgdhw_sim.engines.matrix import eight_rows

ROUNDS = 9
SHARE = 0.5
INPUTS, COLUMNS = 128, 32
"""Of a product that the nearest cache holds: eight rows of so many weights times so many samples."""
MEASUREMENTS = 2


@njit(**ENTRY)
def products(times: int, w: Any, x: Any, out: Any) -> None:
    """Eight rows of INPUTS weights times COLUMNS samples."""
    for _ in range(times):
        eight_rows(w, 0, INPUTS, x, COLUMNS, 0, True, out, 0)


def product_rate(kind: type[np.integer[Any]], times: int) -> float:
    """Multiply-adds per second, of weights of 8 or of 16 bits."""
    w, out = np.ones(8 * INPUTS, kind), np.zeros(8 * COLUMNS, np.int32)
    x = np.zeros(INPUTS * np.dtype(kind).itemsize // 4 * COLUMNS, np.int32)
    return _rate(8 * INPUTS * COLUMNS, times, lambda: products(times, w, x, out))


def draw_rate(call: Callable[[int, Any], object], times: int) -> float:
    """Draws per second of a part of `noise.py`."""
    some = np.empty(16, np.int32)
    return _rate(noise.DRAWS, times, lambda: call(times, some))


def _rate(work: float, times: int, call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return times * work / (time.perf_counter() - began)


def changed_share(ours: Ours) -> float:
    """Share of all cells whose code changes from one step to the next, on average."""
    before, shares = ours.codes(), []
    for _ in range(50):
        ours.train(1)
        after = ours.codes()
        shares.append(float(np.mean(before != after)))
        before = after
    return float(np.mean(shares))


def main(options: Options) -> None:
    """Measure all of it."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    case, rounds, seconds = CASES["c"], (1 if options.quick else ROUNDS), 0.02 if options.quick else 0.3
    data, times = dataset(case, find_images()), 10 if options.quick else 20_000
    few = max(1, times // 200)
    calls: dict[str, Callable[[], float]] = {
        "products of 8 bits": lambda: product_rate(np.int8, times),
        "products of 16 bits": lambda: product_rate(np.int16, times),
        "Philox": lambda: draw_rate(noise.words, few),
        "table": lambda: draw_rate(noise.table, few),
    }
    with Ours(replace(case, effects=IMPERFECT), data, 1, seconds) as real, Ours(case, data, 1, seconds) as ideal:
        share = changed_share(real)
        calls |= {"imperfect": real.rate, "ideal": ideal.rate}
        rates: dict[str, list[float]] = {name: [] for name in calls}
        for number in range(rounds + 1):  # the first compiles
            for name, call in calls.items():
                rates[name].append(call())
            progress(f"round {number} of {rounds}")
    found = {name: float(np.median(values[1:])) for name, values in rates.items()}
    layer, draws = case.layers[0] * case.layers[1] * case.batch, case.layers[0] * case.batch
    blocks = share * case.n_parameters
    parts = {
        "ideal chip, without the first layer's products": 1 / found["ideal"]
        - MEASUREMENTS * layer / found["products of 8 bits"],
        "first layer's products, 16 bits": MEASUREMENTS * layer / found["products of 16 bits"],
        "input noise, Philox": MEASUREMENTS * draws / found["Philox"],
        "input noise, table": MEASUREMENTS * draws / found["table"],
        f"writes ({100 * share:.0f} % of the cells), Philox": 8 * blocks / found["Philox"],
    }
    rows = [Row("c, one core", f"{name}, µs", 1e6 * value) for name, value in parts.items()]
    floor, allowed, ours = sum(parts.values()), 1 / (SHARE * found["ideal"]), 1 / found["imperfect"]
    rows += [
        Row("c, one core", "their sum, µs", 1e6 * floor, 1e6 * allowed, f"{SHARE:g} x the ideal chip's speed"),
        Row("c, one core", "ours, µs", 1e6 * ours, 1e6 * allowed, f"{SHARE:g} x the ideal chip's speed"),
    ]
    report("The least that an imperfect chip's probe takes", rows, options)


if __name__ == "__main__":
    main(arguments(__doc__))
