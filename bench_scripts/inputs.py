"""What do inputs cost that do not fit the input converters, and what does `data.scale = "auto"` make of them?

The packaged experiment (`mgdhw train`) on arrays as users have them, five seeds each, mean accuracy on test samples:

- the handwritten digits as floats in 0 ... 1, as integers 0 ... 16 and 0 ... 255, as bytes 0 ... 16 (which count as
  images, of which they are the darkest sixteenth), and standardised, with converters of 0 ... 1 and of -1 ... 1;
- a table of 30 skewed, correlated columns and two classes, as medical ones are, from -1 to 1: drawn here, always alike.

`clipped` is the share of inputs beyond the converters' range; `ours` is with "auto", its peer with "none", which was
all that there was. What fits is not changed.

Run it:     python bench_scripts/inputs.py [--json FILE] [--quick]
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from common import Options, Row, arguments, progress, report
from numpy.typing import NDArray

import mgdhw
from mgdhw.datasets import Dataset, clipped_share, from_arrays

REPLICAS = 5
CHIP = "sim:analog-8bit?layers={0.n_inputs}-16-{0.n_outputs}"
WITHIN = 0.003
"""Five seeds tell no less."""


def cases() -> Iterator[tuple[str, Dataset, bool]]:
    """Names, datasets, and whether the converters take -1 ... 1."""
    digits = mgdhw.load_dataset("digits")
    pixels, n = digits.inputs.astype(np.float64), digits.n_train
    spread = pixels[:n].std(axis=0)
    standard = (pixels - pixels[:n].mean(axis=0)) / np.where(spread > 0, spread, 1.0)

    def dataset(inputs: NDArray[Any]) -> Dataset:
        return from_arrays(inputs[:n], digits.targets[:n], inputs[n:], digits.targets[n:])

    yield "digits, floats 0 ... 1", dataset(pixels / 16), False
    yield "digits, integers 0 ... 16", dataset(pixels), False
    yield "digits, integers 0 ... 255", dataset(np.round(pixels * 255 / 16)), False
    yield "digits, bytes 0 ... 16", dataset(digits.inputs), False
    yield "digits, standardised", dataset(standard), False
    yield "digits, standardised, input_bipolar", dataset(standard), True
    yield "skewed columns, -1 ... 1", from_arrays(*skewed_columns()), False


def skewed_columns() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(569, 30) columns, each from -1 to 1, and their labels."""
    rng = np.random.default_rng(0)
    labels = (rng.uniform(size=569) < 0.37).astype(np.int64)
    hidden = rng.normal(size=(569, 2)) + np.outer(labels, [2.4, 1.5])
    logarithms = 0.45 * (hidden @ rng.uniform(0, 1, (2, 30)) + 0.7 * rng.normal(size=(569, 30)))
    columns = np.round(np.exp(logarithms), 9)  # so that no library's last bit decides
    low, high = columns.min(axis=0), columns.max(axis=0)
    return 2 * (columns - low) / (high - low) - 1, labels


def accuracy(dataset: Dataset, uri: str, scale: str, *, quick: bool) -> float:
    """Mean over the seeds."""
    changes = [f"data.scale={scale}", *(["training.probes=2000"] if quick else [])]
    found = mgdhw.train_replicas(dataset=dataset, device=uri, replicas=REPLICAS, runs=None, overrides=changes)
    return float(np.mean([one.accuracy for one in found.replicas]))


def main(options: Options) -> None:
    """Run them, one after the other."""
    rows = []
    for name, dataset, bipolar in cases():
        uri = CHIP.format(dataset) + ("&input_bipolar=true" if bipolar else "")
        clipped = clipped_share(dataset, -1.0 if bipolar else 0.0, 1.0)
        auto, none = (accuracy(dataset, uri, scale, quick=options.quick) for scale in ("auto", "none"))
        progress(f"{name}: {clipped:.1%} clipped; none {none:.4f}, auto {auto:.4f}")
        rows.append(Row(name, "clipped", clipped))
        target = f"auto >= none - {WITHIN}"
        rows.append(Row(name, "accuracy", auto, none, 'scale = "none"', target, auto >= none - WITHIN))
    report("Inputs that do not fit: accuracy with data.scale = auto, and as they are", rows, options)


if __name__ == "__main__":
    main(arguments(__doc__))
