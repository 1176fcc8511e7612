"""How soon does each optimizer bring the 8-bit chip to 90 % on digits, on rough gradients and on smooth ones?

What is measured: updates of the parameters, and evaluations (applications of a batch to the chip, perturbed or not),
until the test accuracy first reaches 90 %, on a 64-16-10 chip; for sgd, momentum, nesterov, rmsprop, adam and adamw;
at τ_θ = 10 (every gradient is estimated from 10 probes: little more than noise) and at τ_θ = 1,000 (about as many
probes as there are parameters).

How: every optimizer trains with the same batches, the same probes and the same starts, at a constant learning rate η
and its other parameters at their defaults. It gets its own best η of its own grid, in steps of a factor of two or so,
by the median over the seeds; the best may not lie at a grid's edge (the table says so if it does). The test accuracy
is looked at after every update (τ_θ = 1,000) or every ten (τ_θ = 10).

An η that has lost is not run to its end: a training stops once it has taken as long as the best median so far, which
it then cannot beat. Such medians are printed as ">".

Oripov et al. 2025 (figure 6: a convolutional network on Fashion-MNIST, τ_θ = 1,000) find that Adam needs 80 updates
where plain SGD needs 127. Asked for here is the same order: fewer for Adam than for SGD at τ_θ = 1,000.

Run it:     python bench_scripts/optimizers.py [--json FILE] [--quick]
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from common import Options, Row, arguments, progress, report, table, train

from mgdhw.datasets import Dataset, load

URI = "sim:analog-8bit?layers=64-16-10"
SEEDS = (0, 1, 2)
BATCH = 16
ACCURACY = 0.9
WAITS = {1000: 1, 10: 10}
"""Updates from one look at the test accuracy to the next, for each τ_θ."""
CAP = {1000: 600_000, 10: 400_000}
"""Probes after which a training is given up."""

GRIDS: dict[int, dict[str, tuple[float, ...]]] = {
    1000: {
        "sgd": (16.0, 8.0, 32.0, 64.0),
        "momentum": (2.0, 1.0, 4.0, 8.0),
        "nesterov": (2.0, 1.0, 4.0, 8.0),
        "rmsprop": (0.03, 0.015, 0.06, 0.12),
        "adam": (0.1, 0.05, 0.2, 0.4),
        "adamw": (0.1, 0.05, 0.2, 0.4),
    },
    10: {
        "sgd": (0.5, 0.25, 1.0, 2.0),
        "momentum": (0.05, 0.025, 0.1, 0.2),
        "nesterov": (0.05, 0.025, 0.1, 0.2),
        "rmsprop": (0.01, 0.005, 0.02, 0.04),
        "adam": (0.01, 0.005, 0.02, 0.04),
        "adamw": (0.01, 0.005, 0.02, 0.04),
    },
}
"""Learning rates, the likeliest first: it sets the mark that the others have to beat."""


@dataclass(frozen=True)
class Reached:
    """Medians over the seeds at one η; `updates` is None where it lost before they were known."""

    eta: float
    updates: float | None
    evaluations: float | None


def until_accurate(
    name: str, eta: float, tau_theta: int, probes: int, seed: int, dataset: Dataset
) -> tuple[int, int] | None:
    """Updates and evaluations until the target accuracy; None if it is not reached within `probes`."""
    finished = train(
        {
            "seed": seed,
            "device": {"uri": URI},
            "training": {"probes": probes, "batch": BATCH, "tau_theta": tau_theta},
            "optimizer": {"name": name, "eta": eta},
            "evaluation": {"every": WAITS[tau_theta] * tau_theta, "stop_at_accuracy": ACCURACY},
        },
        dataset,
    ).finished
    return (finished.state.update, finished.state.evaluations) if finished.reason == "target" else None


def tried(name: str, eta: float, tau_theta: int, probes: int, seeds: tuple[int, ...], dataset: Dataset) -> Reached:
    """One η with every seed, until most of them have failed."""
    reached: list[tuple[int, int]] = []
    failed = 0
    for seed in seeds:
        one = until_accurate(name, eta, tau_theta, probes, seed, dataset)
        if one is None:
            failed += 1
        else:
            reached.append(one)
        if 2 * failed > len(seeds):
            return Reached(eta, None, None)
    never = [(10**12, 10**12)] * failed  # above the median, whatever it is
    updates, evaluations = zip(*reached, *never, strict=True)
    return Reached(eta, median(updates), median(evaluations))


def best_of_grid(name: str, tau_theta: int, options: Options, dataset: Dataset) -> tuple[Reached | None, list[Reached]]:
    """The η that needs the fewest updates, and all that were tried, in the order of η."""
    best: Reached | None = None
    results = []
    probes = 3 * tau_theta if options.quick else CAP[tau_theta]
    for eta in GRIDS[tau_theta][name][: 1 if options.quick else None]:
        result = tried(name, eta, tau_theta, probes, SEEDS[:1] if options.quick else SEEDS, dataset)
        shown = f"more than {probes // tau_theta}" if result.updates is None else f"{result.updates:g}"
        progress(f"τ_θ = {tau_theta}: {name}, η {eta:g}: {shown} updates")
        results.append(result)
        if result.updates is not None and (best is None or best.updates is None or result.updates < best.updates):
            best = result
            probes = int(result.updates) * tau_theta
    return best, sorted(results, key=lambda result: result.eta)


def compared(bests: dict[tuple[int, str], Reached | None]) -> Iterator[Row]:
    """Two rows for each optimizer and τ_θ: updates and evaluations, beside those of plain SGD."""
    for (tau_theta, name), best in bests.items():
        sgd = bests[tau_theta, "sgd"]
        peer_name = None if name == "sgd" else "sgd"
        updates, evaluations = (best.updates, best.evaluations) if best else (None, None)
        sgd_updates, sgd_evaluations = (sgd.updates, sgd.evaluations) if sgd and peer_name else (None, None)
        case = f"τ_θ = {tau_theta:,}: {name}" + (f", η {best.eta:g}" if best else "")
        asked = tau_theta == 1000 and name == "adam"
        holds = asked and updates is not None and (sgd_updates is None or updates < sgd_updates)
        target = ("ours < peer", holds) if asked else (None, None)
        yield Row(case, "updates to 90 %", updates, sgd_updates, peer_name, *target)
        yield Row(case, "evaluations to 90 %", evaluations, sgd_evaluations, peer_name)


def main(options: Options) -> None:
    """Every optimizer at both update periods."""
    dataset = load("digits", seed=0)
    bests: dict[tuple[int, str], Reached | None] = {}
    lines: list[tuple[object, ...]] = []
    for tau_theta, grids in GRIDS.items():
        for name in grids:
            best, results = best_of_grid(name, tau_theta, options, dataset)
            bests[tau_theta, name] = best
            for number, one in enumerate(results):
                edge = " at the grid's edge" if number in (0, len(results) - 1) else ""
                note = f"best{edge}" if one is best else ""
                lines.append((tau_theta, name, one.eta, ">" if one.updates is None else f"{one.updates:g}", note))
    table(f"Median updates to 90 % over {len(SEEDS)} seeds", ("τ_θ", "optimizer", "η", "updates", ""), lines)
    report("Optimizers: 90 % on digits, 8-bit chip, each at its best η", list(compared(bests)), options)


if __name__ == "__main__":
    main(arguments(__doc__))
