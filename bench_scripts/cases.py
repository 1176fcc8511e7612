"""The networks and data that the benchmarks of speed share, for mgdhw and for its peers alike."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

import numpy as np

from mgdhw.datasets import Dataset, load, one_hot
from mgdhw.datasets.fashion import SYSTEM_FOLDER
from mgdhw.experiment.load import check_experiment
from mgdhw.folders import cache_folder

DELTA = 2.0**-5
"""Δ, in units of a parameter: the smallest step of an 8-bit parameter in [-4, 4)."""
ETA = 0.01
REPLICAS = 256
RANDOM_IMAGES = 10_000
FASHION = Path(__file__).parents[1] / "examples" / "fashion.toml"
IMAGES = (cache_folder() / "fashion-mnist", SYSTEM_FOLDER, Path(__file__).parents[2] / "shared/data/fashion-mnist")


IMPERFECT = {
    "dac_offset": 0.01,
    "dac_gain": 0.01,
    "dac_inl": 0.5,
    "cell_gain_std": 0.05,
    "cell_offset_std": 0.01,
    "stuck": 0.01,
    "dead": 0.01,
    "perturbation_std": 0.05,
    "input_noise": 0.005,
    "read_noise": 0.01,
    "ir_row": 0.05,
    "ir_column": 0.05,
    "neuron_std": 0.05,
    "midpoint_std": 0.05,
    "steepness_std": 0.05,
    "amplitude_std": 0.05,
    "offset_std": 0.05,
    "adc_noise": 0.01,
    "adc_inl": 0.5,
    "cost_noise": 2.0**-12,
    "write_noise": 0.1 * DELTA,
    "w_max": 3.0,
    "w_min": -3.0,
    "dw_min": DELTA,
    "up_down": 0.05,
    "w_max_dtod": 0.1,
    "w_min_dtod": 0.1,
    "dw_min_dtod": 0.1,
    "up_down_dtod": 0.01,
    "dw_min_std": 0.1,
    "retention": 1e6,
    "rest": 0.1,
    "drift_nu": 0.02,
    "drift_nu_dtod": 0.1,
    "drift_every": 1_000,
    "temperature_std": 5.0,
    "temperature_every": 10_000,
    "temperature_steepness": 0.001,
    "temperature_midpoint": 0.001,
    "settling": 0.05,
    "endurance": 1e9,
    "endurance_dtod": 0.1,
}
"""Every non-ideality of the simulated chip at moderate strength: for the 8-bit chip, whose cost code is 2⁻¹²."""


@dataclass(frozen=True)
class Case:
    """A network and how it is trained; logistic in all layers, mean squared error, plain SGD.

    Args:
        layers: sizes, inputs first.
        data: "xor", "nist7x7" or "images" (784 bytes, 10 classes).
        batch: B, samples per probe.
        codes: family of the perturbations.
        period: τ_x = τ_θ, in probes.
        nonidealities: what is nonideal about the chip.
    """

    layers: tuple[int, ...]
    data: str
    batch: int
    codes: str = "random"
    period: int = 1
    nonidealities: Mapping[str, float] = field(default_factory=dict)

    @property
    def n_parameters(self) -> int:
        """P."""
        return sum((n_in + 1) * n_out for n_in, n_out in zip(self.layers, self.layers[1:], strict=False))

    @property
    def uri(self) -> str:
        """The 8-bit chip with these layers, in compiled loops."""
        options = {"layers": "-".join(map(str, self.layers)), "engine": "numba", **self.nonidealities}
        return f"sim:analog-8bit?{urlencode(options)}"

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


class Training(Protocol):
    """Whatever can be trained: a network, and how."""

    @property
    def uri(self) -> str:
        """Of its chip."""

    @property
    def period(self) -> int:
        """Probes between updates."""

    def experiment(self, seed: int = 0) -> dict[str, Any]:
        """As a TOML file would say it."""


@dataclass(frozen=True)
class Example:
    """An experiment as a file holds it.

    Args:
        text: of the file.
        changes: keys of its training that are others.
        images: what it trains on instead of what it names.
        engine: that runs the chip.
    """

    text: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    images: str | None = None
    engine: str = "numba"

    @property
    def period(self) -> int:
        """Probes between updates."""
        return check_experiment(self.experiment(), source="benchmark").training.update_period

    @property
    def uri(self) -> str:
        """The chip, in an engine's loops."""
        return str(self.experiment()["device"]["uri"])

    def experiment(self, seed: int = 0) -> dict[str, Any]:
        """As the file says it, but for the changes."""
        values = tomllib.loads(self.text)
        values["device"]["uri"] += f"&engine={self.engine}"
        values["training"] |= self.changes
        return values | {"seed": seed, "data": {"name": self.images or values["data"]["name"]}}


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
