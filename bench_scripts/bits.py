"""A sweep of a chip's bits, with Δ of one step and with the default Δ: do more bits help, or only another Δ?

Where Δ is one step of a parameter, every bit more halves it, and on a noisy chip a sweep of the bits finds what a sweep
of Δ would: that more bits are worse. The default Δ is a share of the range, whatever the bits.

Each number is the mean test accuracy of some seeds, with its standard error, of the packaged digits experiment's
settings on 64-32-16-10: without noise, and with cost_noise=0.03 and read_noise=0.1.

Run: python bench_scripts/bits.py [--json FILE] [--quick]     (about three minutes on one core)
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from common import Row, arguments, progress, report, table

import mgdhw

LAYERS = "64-32-16-10"
CHIPS = {"without noise": "", "with noise": "&cost_noise=0.03&read_noise=0.1"}
BITS = (5, 6, 7, 8, 10)
RANGE = 8.0
"""All of the parameters' range."""
SEEDS = 3
PROBES = 200_000
SETTINGS: dict[str, Any] = {
    "data": {"name": "digits"},
    "training": {"probes": PROBES, "batch": 32, "tau_theta": 100},
    "optimizer": {"name": "adamw", "eta": 0.05},
    "schedule": {"name": "cosine", "final": 0.02},
}


def accuracy(uri: str, delta: float | None, *, quick: bool) -> tuple[float, float]:
    """Mean of the seeds, and its standard error."""
    values = SETTINGS | {"device": {"uri": uri}, "codes": {} if delta is None else {"delta": delta}}
    if quick:
        values = values | {"training": values["training"] | {"probes": 300}}
    seeds = 2 if quick else SEEDS
    found = [one.accuracy for one in mgdhw.train_replicas(values, replicas=seeds, runs=None).replicas]
    return float(np.mean(found)), float(np.std(found, ddof=1) / len(found) ** 0.5)


def main() -> None:
    """Both chips, all bits."""
    options = arguments(__doc__)
    logging.getLogger("mgdhw").setLevel(logging.ERROR)  # what the chip has to say of itself is no news
    rows, lines = [], []
    for name, noise in CHIPS.items():
        for bits in BITS[1:4:2] if options.quick else BITS:
            uri = f"sim:analog-8bit?layers={LAYERS}&weight_bits={bits}{noise}"
            before, error = accuracy(uri, RANGE / 2**bits, quick=options.quick)
            after, error_after = accuracy(uri, None, quick=options.quick)
            progress(f"{name}, {bits} bits: {before:.1%} with one step, {after:.1%} with the default")
            lines.append((f"{bits} bits, {name}", f"{before:.1%} ± {error:.1%}", f"{after:.1%} ± {error_after:.1%}"))
            rows.append(Row(f"{bits} bits, {name}", "accuracy", after, before, "Δ of one step"))
    table("mean test accuracy", ("parameters", "Δ: one step", "Δ: the default"), lines)
    report("The default Δ beside one step of a parameter", rows, options)


if __name__ == "__main__":
    main()
