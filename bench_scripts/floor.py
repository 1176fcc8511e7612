"""What is the least that a probe of an imperfect chip can take on this processor, and how far from it is ours?

Case c of `speed.py` with every non-ideality on must do, beside all that its ideal chip does but the first layer's
products:

- products: those of the first layer in 16 bits instead of 8, for both measurements of a probe;
- noise: a draw for every input and every column of every sample, for both: Philox, and the table that makes normal
  draws of its words;
- writes: draw twice for each cell whose code has changed; and find it, move it and make its weight;
- weights with a perturbation, which no longer is the same for all.

Each of these is timed as our kernels do it, but from the nearest caches and with nothing around it, in turns with the
ideal chip and the imperfect one: on one core, and on two at once. Medians of several rounds. What is not counted
(mismatch of neurons, settling, samples that don't fill a vector, sums that 32 bits don't hold, cache misses, waits for
the other core) comes on top. The last rows set the sum beside the time that half the ideal chip's speed allows, and
beside ours; and they say what would be left for each cell to be written if nothing but the ideal chip's work, products
and draws took time, which the processor's ports bound.

Run it:     python bench_scripts/floor.py [--json FILE] [--quick]
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import noise
import numpy as np
from cases import CASES, IMPERFECT, dataset, find_images
from common import Options, Row, arguments, progress, report
from numba import njit
from ours import Ours

from mgdhw.compiled.options import ENTRY
from mgdhw_sim.engines.numba import kernel_args, nonideal_args
from mgdhw_sim.engines.numba.kernels.cell_writes import draw, write, write_buffers
from mgdhw_sim.engines.numba.kernels.changed_cells import AT_ONCE
from mgdhw_sim.engines.numba.kernels.large_batch import eight_rows
from mgdhw_sim.engines.numba.kernels.nonideal_large_batch import choose_weights
from mgdhw_sim.reference.cells import Cells, program
from mgdhw_sim.uri import parse

ROUNDS = 9
SHARE = 0.5
INPUTS, COLUMNS = 128, 32
"""Of a product that the nearest cache holds: eight rows of so many weights times so many samples."""
SMALL = (96, 96, 10)
"""Layers of a chip whose cells the second cache holds: with fewer of them, calls would count."""
MEASUREMENTS = 2
CORES = sorted(os.sched_getaffinity(0))[:2] if hasattr(os, "sched_getaffinity") else [0]
"""Those that a probe is shared by, at most."""


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


@njit(**ENTRY)
def writes(times: int, nonideal: Any, cell_arrays: Any, weights: Any, codes: Any, buffers: Any) -> None:
    """All cells' codes, in turns two sets of them."""
    for step in range(times):
        write(nonideal, cell_arrays, weights, codes[step & 1], 0, nonideal.n, step, buffers)


@njit(**ENTRY)
def write_draws(times: int, nonideal: Any, buffers: Any) -> None:
    """The draws of some cells that are written."""
    for step in range(times):
        draw(nonideal.key0, nonideal.key1, AT_ONCE, step, buffers.numbers, buffers.words, buffers.draws)


@njit(**ENTRY)
def choices(times: int, nonideal: Any, weights: Any, words: Any, perturbed: Any) -> None:
    """All weights with a perturbation."""
    for _ in range(times):
        choose_weights(weights, nonideal.weight_top, words, 0, nonideal.n, 1, perturbed)


class SmallCells:
    """As many imperfect cells as the second cache holds.

    Args:
        share: of them, whose codes change with each write.
    """

    def __init__(self, share: float) -> None:
        spec = parse(replace(CASES["c"], layers=SMALL, nonidealities=IMPERFECT | {"drift_every": 1 << 40}).uri)
        n = spec.topology.n_parameters
        changed = np.random.default_rng(0).random(n) < share
        codes = np.stack(
            [kernel_args.room(code.astype(np.int16), kernel_args.padded(n)) for code in (0 * changed, 1 * changed)]
        )
        cell_arrays = nonideal_args.cell_arrays(spec, program(spec, Cells.fresh(n), codes[0, :n], 0))
        weights = nonideal_args.weights(spec, np.int16, 1, both=False)
        self.n, self._nonideal, self._weights = n, nonideal_args.nonidealities(spec), weights
        self._writing = (self._nonideal, cell_arrays, weights, codes, write_buffers())
        self._words, self._perturbed = (
            np.arange(n // 32 + 4, dtype=np.uint32),
            np.zeros(kernel_args.padded(n), np.int16),
        )
        self._buffers = write_buffers()
        self._buffers.numbers[:AT_ONCE] = np.flatnonzero(changed)[:AT_ONCE]

    def write_rate(self, times: int) -> float:
        """Cells looked at per second, among which some are written."""
        return _rate(self.n, times, lambda: writes(times, *self._writing))

    def draw_rate(self, times: int) -> float:
        """Cells per second that are drawn for."""
        return _rate(AT_ONCE, 100 * times, lambda: write_draws(100 * times, self._nonideal, self._buffers))

    def choice_rate(self, times: int) -> float:
        """Weights per second."""
        return _rate(self.n, times, lambda: choices(times, self._nonideal, self._weights, self._words, self._perturbed))


def changed_share(ours: Ours) -> float:
    """Share of all cells whose code changes from one step to the next, on average."""
    before, shares = ours.codes(), []
    for _ in range(50):
        ours.train(1)
        after = ours.codes()
        shares.append(float(np.mean(before != after)))
        before = after
    return float(np.mean(shares))


def at_once(cores: int, call: Callable[[int], float]) -> float:
    """Rates of as many threads as there are cores, added up."""
    with ThreadPoolExecutor(cores) as pool:
        return sum(pool.map(call, range(cores)))


def measured(cores: int, quick: bool) -> Iterator[Row]:
    """The rows of so many cores, all of which do the same part at a time."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, CORES[:cores])
    case, rounds, seconds = CASES["c"], (1 if quick else ROUNDS), 0.02 if quick else 0.3
    data, times = dataset(case, find_images()), 10 if quick else 20_000
    few = max(1, times // 200)
    with Ours(replace(case, nonidealities=IMPERFECT), data, 1, seconds) as real, Ours(case, data, 1, seconds) as ideal:
        share = changed_share(real)
        cells = [SmallCells(share) for _ in range(cores)]
        calls: dict[str, Callable[[], float]] = {
            "products of 8 bits": lambda: at_once(cores, lambda _: product_rate(np.int8, times)),
            "products of 16 bits": lambda: at_once(cores, lambda _: product_rate(np.int16, times)),
            "Philox": lambda: at_once(cores, lambda _: draw_rate(noise.twice, few)),
            "table": lambda: at_once(cores, lambda _: draw_rate(noise.near, few)),
            "writes": lambda: at_once(cores, lambda core: cells[core].write_rate(few)),
            "draws": lambda: at_once(cores, lambda core: cells[core].draw_rate(few)),
            "choices": lambda: at_once(cores, lambda core: cells[core].choice_rate(few)),
            "imperfect": real.rate,
            "ideal": ideal.rate,
        }
        rates: dict[str, list[float]] = {name: [] for name in calls}
        for number in range(rounds + 1):  # the first compiles
            for name, call in calls.items():
                rates[name].append(call())
            progress(f"cores: {cores}; round {number} of {rounds}")
    found = {name: float(np.median(values[1:])) for name, values in rates.items()}
    n, layer = case.n_parameters, case.layers[0] * case.layers[1] * case.batch
    draws, bytes_ = MEASUREMENTS * sum(case.layers) * case.batch, MEASUREMENTS * layer / found["products of 8 bits"]
    written = share * n
    ports = {
        "ideal chip, without the first layer's products": 1 / found["ideal"] - bytes_,
        "first layer's products, 16 bits": MEASUREMENTS * layer / found["products of 16 bits"],
        "noise, Philox": draws / found["Philox"],
        "noise, table": draws / found["table"],
        f"writes of {100 * share:.0f} % of the cells: draws": written / found["draws"],
    }
    parts = ports | {
        "writes: the rest": n / found["writes"] - written / found["draws"],
        "weights with a perturbation": n / found["choices"],
    }
    name, target = f"c, cores: {cores}", f"{SHARE:g} x the ideal chip's speed"
    allowed = 1 / (SHARE * found["ideal"])
    yield from (Row(name, f"{part}, µs", 1e6 * value) for part, value in parts.items())
    yield Row(name, "their sum, µs", 1e6 * sum(parts.values()), 1e6 * allowed, target)
    yield Row(name, "ours, µs", 1e6 / found["imperfect"], 1e6 * allowed, target)
    left = (allowed - sum(ports.values())) / written
    yield Row(name, "left for a cell beside products and draws, ns", 1e9 * left)
    yield Row(name, "taken by a cell: writes, the rest, ns", 1e9 * parts["writes: the rest"] / written)


def main(options: Options) -> None:
    """Measure all of it on one core, and on all."""
    rows = [row for cores in dict.fromkeys((1, len(CORES))) for row in measured(cores, options.quick)]
    report("The least that an imperfect chip's probe takes", rows, options)


if __name__ == "__main__":
    main(arguments(__doc__))
