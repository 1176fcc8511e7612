"""The C core on one processor core: probes per second of training, called as a library.

Needs make and a C compiler; builds the library into a temporary folder first.

Run: python bench_scripts/core.py [--json FILE] [--quick]     (some seconds)
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import Row, arguments, report

from mgdhw.datasets import load
from mgdhw.experiment.load import check_experiment
from mgdhw.learning.segment import Segment
from mgdhw.training.prepare import first_state, learning_rule
from mgdhw_sim.device import SimDevice
from mgdhw_sim.uri import parse

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.firmware.core import Core, CoreChip, build

XOR, DIGITS = "sim:analog-8bit?layers=2-2-1&weight_range=8", "sim:analog-8bit"
CASES = (
    # name, chip, dataset, samples of a probe, baseline, probes
    ("XOR 2-2-1, a sample a probe", XOR, "xor", 1, "held", 2_000_000),
    ("XOR 2-2-1, four samples a probe", XOR, "xor", 4, "held", 1_000_000),
    ("digits 64-16-10, a sample a probe", DIGITS, "digits", 1, "antithetic", 200_000),
)
TARGET = 1e6


def speed(core: Core, uri: str, data: str, batch: int, baseline: str, probes: int) -> float:
    """Probes per second of a segment."""
    dataset, spec = load(data), parse(uri)
    experiment = check_experiment(
        {
            "seed": 1,
            "device": {"uri": uri},
            "data": {"name": data},
            "training": {"probes": probes, "batch": batch, "tau_theta": 16, "tau_x": 16, "baseline": baseline},
        },
        source="core.py",
    )
    info = SimDevice(uri, spec).info
    rule, _ = learning_rule(experiment, info, dataset.n_train)
    state = first_state(experiment, info, rule, dataset)
    chip = CoreChip(core, spec, memory=1 << 24)
    chip.load(dataset)
    segment = Segment(state, rule, probes)
    best = np.inf
    for _ in range(3):
        began = time.perf_counter()
        chip.learn(segment)
        best = min(best, time.perf_counter() - began)
    return probes / best


def main() -> None:
    """Measure and print."""
    options = arguments(__doc__)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder), "libcore.so")
        core = Core(Path(folder) / "libcore.so")
        for name, uri, data, batch, baseline, probes in CASES:
            ours = speed(core, uri, data, batch, baseline, probes // 100 if options.quick else probes)
            asked = name == CASES[0][0]
            target = f"ours >= {TARGET:,.0f}" if asked else None
            rows.append(Row(name, "probes/s", ours, target=target, holds=ours >= TARGET if asked else None))
    report("The C core, one processor core", rows, options)


if __name__ == "__main__":
    main()
