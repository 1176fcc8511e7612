"""XOR: how many seeds does MGD solve, with which codes?

A seed is solved when, at an evaluation, all four cases are right by threshold and the mean squared error is below
0.04. Settings are those of `examples/xor*.toml`, which end there by themselves.

- 2-3-1, ten seeds, with random, walsh, sequential and rank1 codes, within 50,000 probes;
- 2-3-1 in continuous mode with sinusoidal codes, ten seeds, within 500,000 probes;
- 2-2-1, a hundred seeds, within 200,000 probes, beside plain back-propagation on the same network in floating point
  from the same starts: full-batch gradient descent without weight limits, 100,000 updates, at the best learning rate
  of a grid. Some starts lie in poor local regions for any gradient method.

Run: python bench_scripts/xor.py [--json FILE] [--quick]     (about five minutes on one core)
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
from backprop import Network, Sgd
from common import Row, arguments, progress, report, train

from mgdhw.datasets import load

EXAMPLES = Path(__file__).parent.parent / "examples"
FAMILIES = ("random", "walsh", "sequential", "rank1")
PEER_ETAS = (0.3, 1.0, 3.0, 10.0)
PEER_UPDATES = 100_000
PEER_LOOK = 1_000
SOLVED_COST = 0.04


def solved(example: str, seeds: range, **codes: str) -> list[int | None]:
    """Probes that each seed took, None where it was not solved."""
    values = tomllib.loads((EXAMPLES / example).read_text(encoding="utf-8"))
    values["codes"] |= codes
    results: list[int | None] = []
    for seed in seeds:
        finished = train(values | {"seed": seed}).finished
        results.append(finished.state.step if finished.reason == "target" else None)
    return results


def peer_solved(example: str, seeds: range, updates: int) -> tuple[int, float]:
    """Seeds that back-propagation solves, and at which learning rate it solves the most."""
    values = tomllib.loads((EXAMPLES / example).read_text(encoding="utf-8"))
    data = load("xor")
    x = np.broadcast_to(data.values(np.arange(4)), (len(seeds), 4, 2))
    best = (0, 0.0)
    for eta in PEER_ETAS:
        network = Network.like(values["device"]["uri"], seeds, values["training"])
        ever = np.zeros(len(seeds), dtype=bool)
        for update in range(updates):
            Sgd().update(network.parameters, network.slopes(x, data.targets), eta)
            if (update + 1) % PEER_LOOK == 0:
                y = network.outputs(x)[-1]
                right = ((y > 0.5) == (data.targets > 0.5)).all(axis=(1, 2))
                ever |= right & (np.square(y - data.targets).mean(axis=(1, 2)) < SOLVED_COST)
        progress(f"back-propagation, η {eta:g}: {ever.sum()} of {len(seeds)}")
        best = max(best, (int(ever.sum()), eta))
    return best


def row(case: str, results: list[int | None], wanted: int, peer: int | None = None, name: str | None = None) -> Row:
    """Solved seeds, with the median of the probes that they took in the case's name."""
    took = [probes for probes in results if probes is not None]
    count = len(took)
    progress(f"{case}: {count} of {len(results)}, median {np.median(took) if took else float('nan'):,.0f} probes")
    target = f"ours >= {wanted} of {len(results)}"
    return Row(case, "seeds solved", float(count), peer, name, target, count >= wanted)


def main() -> None:
    """Run all cases and report."""
    options = arguments(__doc__)
    few, many = (range(2), range(3)) if options.quick else (range(10), range(100))
    rows = [
        row(f"2-3-1, {family}, 50,000 probes", solved("xor.toml", few, family=family), round(0.9 * len(few)))
        for family in (FAMILIES[:1] if options.quick else FAMILIES)
    ]
    rows.append(
        row("2-3-1, sinusoidal, continuous, 500,000 probes", solved("xor-analog.toml", few), round(0.9 * len(few)))
    )
    peer, eta = peer_solved("xor-2-2-1.toml", many, 2 * PEER_LOOK if options.quick else PEER_UPDATES)
    name = f"back-propagation, η {eta:g}"
    results = solved("xor-2-2-1.toml", many)
    rows.append(row("2-2-1, random, 200,000 probes", results, round(0.75 * len(many)), peer, name))
    report("XOR", rows, options)


if __name__ == "__main__":
    main()
