"""How many evaluations and updates each optimizer needs to learn the digits, each at its own best learning rate.

The question is the 2025 paper's: with long windows (τ_θ = 1,000) the gradient is good, an update is dear, and Adam
needs fewer of them than plain SGD (Oripov et al., figure 6, a convolutional network on Fashion-MNIST: 80 against 127).
With short ones (τ_θ = 10) the gradient is noise and every optimizer comes to about the same.

How, decided before anything was run:

- Chip: 8 bits, tanh, softmax cross-entropy, Glorot start, as the paper has them. `wide` is 64-16-10, one hidden layer,
  all parameters perturbed at once. `deep` is 64-32-32-10 with one layer perturbed at a time, as the paper does it: its
  network is deep, and the sizes of its layers' gradients differ.
- Every optimizer gets the same batches, probes and starts, a constant η, its other parameters at their defaults. η is
  its own best of a grid in steps of √2, by the mean over the tuning seeds; the grid goes on while the best lies at its
  edge.
- What is reported is measured on fresh seeds, which chose nothing. A seed that has not got there at the cap counts as
  the cap. The test accuracy is looked at after every update (τ_θ = 1,000) or every tenth (τ_θ = 10).
- "Adam needs fewer updates than SGD" is tested on each chip with pairs (the same seed with both), one-sided: it holds
  where the mean difference is at least 2.58 of its standard errors, a false-alarm rate of 0.5 % for each of two chips.

What fresh seeds cannot undo: `wide` had been looked at before, with few seeds, and preferred to other chips because
Adam looked better on it; `deep` had not. And the order depends on the chip: `default` (64-16-10, logistic, mean squared
error), where an earlier trial had found SGD ahead, is reported beside them and tests nothing.

Run it:     python bench_scripts/optimizers.py [--json FILE] [--quick]
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from common import Options, Row, arguments, progress, report, table
from numpy.typing import NDArray

import mgdhw

BATCH = 16
ACCURACY = 0.9
STEP = 2.0**0.5
"""From one η of a grid to the next."""
FIRST = (-2, -1, 0, 1, 2)
"""Steps from the likely η that are always tried."""
TUNING = range(20)
FRESH = range(1000, 1200)
"""Seeds that choose η, and seeds that are reported."""
ENOUGH = 2.58
"""Standard errors: 0.5 % of chance results reach them, on one side."""

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Study:
    """A chip and an update period.

    Args:
        name: for people.
        layers, groups: of the chip, and what is perturbed at once.
        tau_theta: probes from one update to the next.
        look: updates from one look at the test accuracy to the next.
        cap: updates after which a training is given up.
        etas: for each optimizer, the η where its grid begins.
        options: of the chip.
        asked: whether the test is made on it.
    """

    name: str
    layers: str
    groups: str
    tau_theta: int
    look: int
    cap: int
    etas: dict[str, float]
    options: str = "activation=tanh&cost=xent"
    asked: bool = False

    def __str__(self) -> str:
        return f"{self.name}, τ_θ = {self.tau_theta:,}"


SMOOTH = {"sgd": 1.4, "momentum": 0.4, "nesterov": 0.4, "rmsprop": 0.02, "adam": 0.14, "adamw": 0.14}
ROUGH = {"sgd": 0.025, "momentum": 0.003, "nesterov": 0.003, "rmsprop": 0.006, "adam": 0.007, "adamw": 0.007}
STUDIES = (
    Study("wide", "64-16-10", "all", 1000, 1, 200, SMOOTH, asked=True),
    Study("deep", "64-32-32-10", "layer", 1000, 1, 200, SMOOTH, asked=True),
    Study("default", "64-16-10", "all", 1000, 1, 400, {"sgd": 45.0, "adam": 0.1}, options="cost=mse"),
    Study("wide", "64-16-10", "all", 10, 10, 6_000, ROUGH),
)


@dataclass(frozen=True)
class Reached:
    """Updates and evaluations of each seed at one η; those that did not get there count as the cap."""

    eta: float
    updates: FloatArray
    evaluations: FloatArray

    @property
    def mean(self) -> float:
        """Updates, over the seeds."""
        return float(self.updates.mean())


def reached(study: Study, name: str, eta: float, seeds: range, cap: int) -> Reached:
    """Train with every seed until it is accurate."""
    values = {
        "seed": seeds.start,
        "device": {"uri": f"sim:analog-8bit?layers={study.layers}&{study.options}"},
        "training": {"probes": cap * study.tau_theta, "batch": BATCH, "tau_theta": study.tau_theta},
        "codes": {"groups": study.groups, "delta": 0.03125},
        "optimizer": {"name": name, "eta": eta},
        "evaluation": {"every": study.look * study.tau_theta, "stop_at_accuracy": ACCURACY},
    }
    result = mgdhw.train_replicas(values, replicas=len(seeds), runs=None)
    one_each = [(one.updates if one.solved else cap, one.evaluations) for one in result.replicas]
    updates, evaluations = np.array(one_each, dtype=np.float64).T
    return Reached(eta, updates, evaluations)


def tuned(study: Study, name: str, seeds: range, cap: int, *, quick: bool) -> tuple[float, str]:
    """The best η of an optimizer's grid, and what all of them reached."""

    @cache
    def at(step: int) -> Reached:
        one = reached(study, name, float(f"{study.etas[name] * STEP**step:.2g}"), seeds, cap)
        progress(f"{study}: {name}, η {one.eta:g}: {one.mean:.1f} updates")
        return one

    tried = [0] if quick else list(FIRST)
    best = min(tried, key=lambda step: at(step).mean)
    while not quick and best in (min(tried), max(tried)):
        tried.append(best + (1 if best == max(tried) else -1))
        best = min(tried, key=lambda step: at(step).mean)
    return at(best).eta, "  ".join(f"{at(step).eta:g}: {at(step).mean:.1f}" for step in sorted(tried))


def compared(study: Study, results: dict[str, Reached]) -> Iterator[Row]:
    """Two rows for each optimizer, updates and evaluations, beside those of plain SGD."""
    sgd = results["sgd"]
    for name, ours in results.items():
        peer = None if name == "sgd" else sgd
        peer_name = f"sgd, η {sgd.eta:g}" if peer else None
        case = f"{study}: {name}, η {ours.eta:g}"
        target, holds = None, None
        if name == "adam" and study.asked:
            gain = sgd.updates - ours.updates
            error = float(gain.std(ddof=1) / np.sqrt(gain.size)) if gain.size > 1 else float("inf")
            errors = float(gain.mean()) / error if error else 0.0
            target, holds = f"ours < peer by {ENOUGH} standard errors (by {errors:.1f})", errors >= ENOUGH
        yield Row(case, "updates to 90 %", ours.mean, peer and peer.mean, peer_name, target, holds)
        evaluations = float(ours.evaluations.mean())
        yield Row(case, "evaluations to 90 %", evaluations, peer and float(peer.evaluations.mean()), peer_name)


def main(options: Options) -> None:
    """All studies."""
    tuning, fresh = (TUNING[:2], FRESH[:2]) if options.quick else (TUNING, FRESH)
    rows: list[Row] = []
    lines: list[tuple[object, ...]] = []
    for study in STUDIES:
        cap = 20 if options.quick else study.cap
        results: dict[str, Reached] = {}
        for name in study.etas:
            eta, tries = tuned(study, name, tuning, cap, quick=options.quick)
            lines.append((str(study), name, tries))
            results[name] = reached(study, name, eta, fresh, cap)
            one = results[name]
            progress(f"{study}: {name}, η {eta:g}, fresh: {one.mean:.1f}, median {np.median(one.updates):g}")
        rows += compared(study, results)
    table(f"η: mean updates over {len(tuning)} tuning seeds", ("study", "optimizer", "η: updates"), lines)
    report(f"Optimizers: means over {len(fresh)} fresh seeds, 90 % on digits, 8-bit chip", rows, options)


if __name__ == "__main__":
    main(arguments(__doc__))
