"""The networks and data that the benchmarks of speed share, for mgdhw and for its peers alike."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mgdhw.datasets import Dataset, load, one_hot
from mgdhw.datasets.fashion import SYSTEM_FOLDER
from mgdhw.folders import cache_folder

DELTA = 2.0**-5
"""Δ, in units of a parameter: the smallest step of an 8-bit parameter in [-4, 4)."""
ETA = 0.01
REPLICAS = 256
RANDOM_IMAGES = 10_000
IMAGES = (cache_folder() / "fashion-mnist", SYSTEM_FOLDER, Path(__file__).parents[2] / "shared/data/fashion-mnist")


@dataclass(frozen=True)
class Case:
    """A network and how it is trained; logistic in all layers, mean squared error, plain SGD.

    Args:
        layers: sizes, inputs first.
        data: "xor", "nist7x7" or "images" (784 bytes, 10 classes).
        batch: B, samples per probe.
        codes: family of the perturbations.
        period: τ_x = τ_θ, in probes.
    """

    layers: tuple[int, ...]
    data: str
    batch: int
    codes: str = "random"
    period: int = 1

    @property
    def n_parameters(self) -> int:
        """P."""
        return sum((n_in + 1) * n_out for n_in, n_out in zip(self.layers, self.layers[1:], strict=False))

    @property
    def uri(self) -> str:
        """The 8-bit chip with these layers, in compiled loops."""
        return f"sim:analog-8bit?layers={'-'.join(map(str, self.layers))}&engine=numba"

    def experiment(self, seed: int = 0) -> dict[str, Any]:
        """As a TOML file would say it."""
        return {
            "seed": seed,
            "device": {"uri": self.uri},
            "training": {
                "probes": 1 << 40,
                "batch": self.batch,
                "tau_x": self.period,
                "tau_theta": self.period,
                "init": "uniform",
            },
            "codes": {"family": self.codes, "delta": DELTA},
            "optimizer": {"name": "sgd", "eta": ETA},
        }


CASES = {
    "a": Case((2, 2, 1), "xor", 1),
    "b": Case((49, 4, 4), "nist7x7", 1),
    "c": Case((784, 128, 10), "images", 100),
    "c'": Case((784, 128, 10), "images", 100, codes="rank1", period=100),
    "d": Case((784, 1024, 256, 10), "images", 1, period=100),
}


def find_images() -> str:
    """Fashion-MNIST's address if it lies on this machine, else "random"."""
    found = (f"idx:{folder}" for folder in IMAGES if (folder / "train-images-idx3-ubyte.gz").is_file())
    return next(found, "random")


def dataset(case: Case, images: str) -> Dataset:
    """What a case trains on.

    Args:
        case: which.
        images: a dataset's name, or "random" for random bytes; used where the case wants images.
    """
    if case.data != "images":
        return load(case.data)
    return random_images(case.layers[0], case.layers[-1]) if images == "random" else load(images)


def random_images(n_inputs: int, n_outputs: int, n: int = RANDOM_IMAGES) -> Dataset:
    """`n` images of random bytes, of random classes."""
    generator = np.random.default_rng(0)
    inputs = generator.integers(0, 256, (n, n_inputs), dtype=np.uint8)
    targets = one_hot(generator.integers(0, n_outputs, n), n_outputs)
    return Dataset("random images", inputs, 1 / 255, targets, n)
