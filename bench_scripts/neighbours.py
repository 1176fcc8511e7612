"""How fast does the simulated chip train beside other programs?

A large chip trains on two threads that wait for each other many times in each probe, on a machine that has other work:
one busy process for every core. A fair scheduler then leaves half of each core.

- c: 784-128-10, 101,770 parameters, Fashion-MNIST (or random bytes where it is not to be found), B = 100, τ_θ = 1;
- c imperfect: the same with every non-ideality on (`cases.IMPERFECT`);
- fashion: `examples/fashion.toml`, 784-64-10, B = 32, τ_θ = 50.

Each is trained alone and beside the others in turn, A B A B, a stretch of about half a second at a time; a number is
the median of 7. The peer is the same training alone, so that the ratio is what is kept.

Run it:     python bench_scripts/neighbours.py [--json FILE] [--quick]
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
from cases import CASES, FASHION, IMPERFECT, Example, Training, dataset, find_images
from common import Options, Row, arguments, progress, report
from ours import Ours

ROUNDS, SECONDS = 7, 0.5
KEPT = 0.4
BUSY = "x = 0\nwhile True:\n    x += 1\n"


@contextmanager
def neighbours(count: int) -> Iterator[None]:
    """So many processes that never wait, meanwhile."""
    processes = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def kept(name: str, case: Training, images: str, count: int, rounds: int, seconds: float) -> Row:
    """The row of a case: probes per second beside so many busy processes, and alone."""
    data = dataset(CASES["c"], images)
    rates: list[tuple[float, float]] = []
    with Ours(case, data, 1, seconds) as ours:
        for _ in range(rounds):
            alone = ours.rate()
            with neighbours(count):
                rates.append((ours.rate(), alone))
    beside, alone = (float(np.median(each)) for each in zip(*rates, strict=True))
    progress(f"{name}: {beside:,.0f}/s beside {count} busy processes; {alone:,.0f}/s alone; ratio {beside / alone:.3g}")
    target = f"beside {count} busy processes >= {KEPT:g} x alone"
    return Row(name, "probes/s", beside, alone, "alone", target, beside >= KEPT * alone)


def main(options: Options) -> None:
    """Run the cases, one after the other."""
    images = find_images()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    rounds, seconds = (1, 0.02) if options.quick else (ROUNDS, SECONDS)
    cases: dict[str, Training] = {
        "c": CASES["c"],
        "c imperfect": replace(CASES["c"], nonidealities=IMPERFECT),
        "fashion": Example(FASHION.read_text(encoding="utf-8"), images=images),
    }
    rows = [kept(name, case, images, count, rounds, seconds) for name, case in cases.items() for count in (1, cores)]
    report("Beside busy processes: probes per second", rows, options)


if __name__ == "__main__":
    main(arguments(__doc__))
