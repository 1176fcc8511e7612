"""How fast are updates that are not the usual ones?

The digits of `mgdhw train` (64-16-10, 32 samples a probe), with windows and nearest rounding, and

- continuous: filters instead of windows, an update after each probe;
- oripov: the scaling of the 2025 paper;
- stochastic: parameters rounded stochastically;

one chip, and 16 replicas at once. Each takes turns with the usual training, which is to be at most three times as fast
per probe; a number is the median of 5 stretches of half a second. What the reference engine makes of it, one stretch,
stands beside it: that is how fast they were while they ran there.

Run it:     python bench_scripts/recipes.py [--json FILE] [--quick]
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from cases import Example
from common import Options, Row, arguments, progress, report
from ours import Ours

from mgdhw.datasets import load
from mgdhw.experiment.resolve import default_experiment

ROUNDS, SECONDS = 5, 0.5
SLOWER = 3
REPLICAS = 16
CHANGES: dict[str, dict[str, Any]] = {
    "continuous": {"mode": "continuous"},
    "oripov": {"normalise": "oripov"},
    "stochastic": {"rounding": "stochastic"},
}


def rates(name: str, replicas: int, rounds: int, seconds: float) -> Iterator[Row]:
    """The rows of some updates: beside the usual ones, and on the reference engine."""
    data, usual = load("digits"), Example(default_experiment())
    mine = replace(usual, changes=CHANGES[name])
    pairs: list[tuple[float, float]] = []
    with Ours(mine, data, replicas, seconds) as ours, Ours(usual, data, replicas, seconds) as theirs:
        for _ in range(rounds):
            pairs.append((ours.rate(), theirs.rate()))
    rate, windows = (float(np.median(each)) for each in zip(*pairs, strict=True))
    with Ours(replace(mine, engine="reference"), data, replicas, seconds) as before:
        reference = before.rate()
    case = name if replicas == 1 else f"{name}, {replicas} replicas"
    progress(f"{case}: {rate:,.0f}/s; usual {windows:,.0f}/s; reference {reference:,.0f}/s")
    target = f"ours >= usual / {SLOWER}"
    yield Row(case, "probes/s", rate, windows, "usual updates", target, rate >= windows / SLOWER)
    yield Row(case, "probes/s", rate, reference, "engine=reference")


def main(options: Options) -> None:
    """Run them, one after the other."""
    rounds, seconds = (1, 0.02) if options.quick else (ROUNDS, SECONDS)
    rows = [row for name in CHANGES for replicas in (1, REPLICAS) for row in rates(name, replicas, rounds, seconds)]
    report("Updates that are not the usual ones: probes per second", rows, options)


if __name__ == "__main__":
    main(arguments(__doc__))
