"""How accurate is a chip that MGD trained, compared with back-propagation on the same network?

What is measured: test accuracy on the handwritten digits (1,437 training and 360 test samples) of a 64-16-10
network, at the end of training, for twenty seeds.

- MGD trains the simulated 8-bit chip: 8-bit parameters, inputs and outputs, a 12-bit cost converter; all that it sees
  of the chip is its cost. AdamW, with a learning rate that falls along half a cosine.
- Back-propagation trains the same network in floating point, on the same cost, by mini-batches: with plain SGD, and
  with AdamW, whose weight decay keeps it from learning the training samples by heart.

The script looks at no test sample before the end (its grids were narrowed by people who had seen test accuracies of
an earlier version). All settings are chosen alike, each from its grid, by cross-validation
within the training part: four times another quarter of it is kept back, and the mean accuracy on those quarters counts,
over other seeds. (One quarter of 360 samples is too few: by which of AdamW's settings was best there, half a point of
what it can do was lost.) With what is best, twenty seeds are trained on the whole training part, and tested once. No
checkpoint is picked: what counts is the network at the end.

The split into training and test samples is fixed (data seed 0). A seed decides the initial parameters, the order of
samples and, for MGD, the perturbations; all methods start from the same parameters. Numbers after ± are standard
deviations between seeds.

Evaluations are applications of a batch to the chip: one for a perturbed cost, one for its baseline.

Run it:     python bench_scripts/accuracy.py [--json FILE] [--quick] [--keep FILE]
With --keep, every finished training of the chip is a line of FILE, and is not repeated.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from backprop import Setting, backprop
from common import Options, Row, progress, report, table, train
from numpy.typing import NDArray

from mgdhw.datasets import Dataset, load

URI = "sim:analog-8bit?layers=64-16-10"
SEEDS = tuple(range(20))
CHOOSING = (100, 101)
"""Seeds on which settings are chosen, in every fold."""
FOLDS = 4
"""Parts of the training samples that are kept back in turns for that."""
WITHIN = 0.01
"""What MGD's mean may lack: one point."""

EXPERIMENT: dict[str, Any] = {
    "device": {"uri": URI},
    "training": {"probes": 800_000, "batch": 32, "tau_theta": 100},
    "codes": {"delta": 2.0**-5},
    "schedule": {"name": "cosine", "final": 0.02},
}
OURS = [
    {"name": "adamw", "eta": eta, "weight_decay": decay} for eta in (0.01, 0.02, 0.05) for decay in (0.005, 0.02, 0.05)
]
PEERS = {
    "back-propagation, SGD": [
        Setting(eta, batch, epochs)
        for batch, epochs in ((4, 50), (16, 100), (16, 400), (64, 400))
        for eta in (3.0, 10.0, 30.0, 60.0)
    ],
    "back-propagation, AdamW": [
        Setting(eta, batch, epochs, decay)
        for batch, epochs in ((16, 100), (64, 100), (64, 400))
        for eta in (0.003, 0.01, 0.03)
        for decay in (0.01, 0.03, 0.1, 0.3)
    ],
}
QUICK = {"back-propagation, SGD": [Setting(10.0, 64, 5)], "back-propagation, AdamW": [Setting(0.01, 64, 5, 0.01)]}
Accuracies = NDArray[np.float64]
S = TypeVar("S")


@dataclass(frozen=True)
class Chip:
    """Trains the chip with MGD, and remembers what came of it in a file, if there is one.

    Args:
        probes: how long.
        kept: (accuracy, evaluations, seconds) of every finished training, by what was trained.
        file: where they are, one a line.
    """

    probes: int
    kept: dict[str, tuple[float, int, float]]
    file: Path | None

    def trained(self, dataset: Dataset, seed: int, optimizer: Mapping[str, Any]) -> tuple[float, int, float]:
        """Accuracy, evaluations and seconds of one training."""
        training = {**EXPERIMENT["training"], "probes": self.probes}
        experiment = {**EXPERIMENT, "seed": seed, "training": training, "optimizer": dict(optimizer)}
        key = json.dumps([experiment, dataset.name], sort_keys=True)
        if key not in self.kept:
            result = train(experiment, dataset)
            self.kept[key] = result.accuracy, result.finished.state.evaluations, result.seconds
            progress(f"MGD: {dict(optimizer)}, seed {seed}: {result.accuracy:.4f} in {result.seconds:.0f} s")
            if self.file is not None:
                with self.file.open("a", encoding="utf-8") as file:
                    file.write(json.dumps([key, *self.kept[key]]) + "\n")
        return self.kept[key]


def remembered(file: Path | None) -> dict[str, tuple[float, int, float]]:
    """What an interrupted run has done."""
    if file is None or not file.exists():
        return {}
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return {key: (accuracy, evaluations, seconds) for key, accuracy, evaluations, seconds in lines}


def folds(dataset: Dataset) -> list[Dataset]:
    """The training part alone, each time with another quarter of it as what is judged on."""
    found = []
    for number in range(FOLDS):
        first, last = (dataset.n_train * k // FOLDS for k in (number, number + 1))
        order = np.concatenate([np.arange(first), np.arange(last, dataset.n_train), np.arange(first, last)])
        inputs, targets = dataset.inputs[order], dataset.targets[order]
        n_train = dataset.n_train - (last - first)
        found.append(Dataset(f"fold {number}", inputs, dataset.input_scale, targets, n_train, dataset.classes))
    return found


def chosen(name: str, tried: Sequence[tuple[S, Accuracies]]) -> S:
    """The setting with the highest mean; prints them all."""
    best = max(tried, key=lambda one: float(one[1].mean()))[0]
    lines = [[str(one), float(accuracies.mean()), "chosen" if one is best else ""] for one, accuracies in tried]
    table(f"{name}: mean accuracy in cross-validation", ("setting", "accuracy", ""), lines)
    return best


def peers(dataset: Dataset, choosing: Sequence[int], seeds: Sequence[int], quick: bool) -> dict[str, Accuracies]:
    """Test accuracies (S,) of back-propagation, by method."""
    found = {}
    parts = folds(dataset)
    for name, grid in (QUICK if quick else PEERS).items():
        tried = []
        for setting in grid:
            tried.append((setting, np.concatenate([backprop(URI, part, choosing, setting) for part in parts])))
            progress(f"{name}: {setting}: {tried[-1][1].mean():.4f} in cross-validation")
        found[name] = backprop(URI, dataset, seeds, chosen(name, tried))
        progress(f"{name}: {found[name].mean():.4f} ± {found[name].std(ddof=1):.4f} on the test part")
    return found


def ours(
    dataset: Dataset, choosing: Sequence[int], seeds: Sequence[int], chip: Chip, grid: Sequence[Mapping[str, Any]]
) -> list[tuple[float, int, float]]:
    """Test accuracy, evaluations and seconds of MGD, for each seed."""
    parts = folds(dataset)
    tried = []
    for optimizer in grid:
        accuracies = [chip.trained(part, seed, optimizer)[0] for part in parts for seed in choosing]
        tried.append((optimizer, np.array(accuracies)))
    best = chosen("MGD", tried)
    return [chip.trained(dataset, seed, best) for seed in seeds]


def compared(
    seeds: Sequence[int], mine: list[tuple[float, int, float]], others: Mapping[str, Accuracies]
) -> Iterator[Row]:
    """Rows: for each peer the means that the target is about, how they vary, and what it took."""
    accuracies = np.array([accuracy for accuracy, _, _ in mine])
    mean = float(accuracies.mean())
    target = f"ours >= peer - {WITHIN}"
    case = f"digits, {len(seeds)} seeds"
    for name, theirs in others.items():
        their_mean = float(theirs.mean())
        yield Row(f"{case}, mean", "accuracy", mean, their_mean, name, target, mean >= their_mean - WITHIN)
        spread = float(accuracies.std(ddof=1)), float(theirs.std(ddof=1))
        yield Row(f"{case}, standard deviation", "accuracy", *spread, name)
        yield Row(f"{case}, worst", "accuracy", float(accuracies.min()), float(theirs.min()), name)
    yield Row("digits, one training", "evaluations", float(mine[0][1]))
    yield Row("digits, one training", "seconds", float(np.mean([seconds for _, _, seconds in mine])))


def main(options: Options, keep: Path | None) -> None:
    """Choose settings, train with them, print what each reached."""
    dataset = load("digits", seed=0)
    quick = options.quick
    seeds, choosing, grid = (SEEDS[:2], CHOOSING[:1], OURS[:1]) if quick else (SEEDS, CHOOSING, OURS)
    chip = Chip(10_000 if quick else EXPERIMENT["training"]["probes"], remembered(keep), keep)
    others = peers(dataset, choosing, seeds, quick)
    mine = ours(dataset, choosing, seeds, chip, grid)
    title = "Accuracy of the 8-bit chip on digits: MGD and back-propagation"
    report(title, list(compared(seeds, mine, others)), options)


def given(argv: Sequence[str] | None = None) -> tuple[Options, Path | None]:
    """Options from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write machine and rows to FILE")
    parser.add_argument("--quick", action="store_true", help="a smoke run of a few seconds; measures nothing")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="remember finished trainings here")
    values = parser.parse_args(argv)
    return Options(values.json, values.quick), values.keep


if __name__ == "__main__":
    sys.exit(main(*given()))
