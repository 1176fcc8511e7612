"""Back-propagation on a chip's network in floating point: the peer of the benchmarks that ask what MGD costs.

The network is the chip's (sizes, activations, cost), its parameters start where the chip's start (the same θ for the
same seed), and samples come in the same keyed order. Nothing is quantised, nothing saturates, weights have no limits.
Mini-batch SGD, or AdamW (weight decay apart from the gradient, of weights and biases alike), with a learning rate that
falls to zero along half a cosine. All seeds are trained at once, as stacked matrices, which is what makes a grid of
settings affordable.

Not a benchmark by itself: `accuracy.py` runs it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw import open_device
from mgdhw.datasets import Dataset
from mgdhw.experiment.load import check_experiment
from mgdhw.random.sample_order import SampleOrder
from mgdhw.training.initial import initial

FloatArray = NDArray[np.float64]
Curve = Callable[[FloatArray], FloatArray]

ORDER_CHUNK = 256
"""Batches whose samples are looked up at a time."""

ACTIVATIONS: dict[str, tuple[Curve, Curve]] = {
    "logistic": (lambda z: 1.0 / (1.0 + np.exp(-z)), lambda y: y * (1.0 - y)),
    "tanh": (np.tanh, lambda y: 1.0 - y * y),
    "relu": (lambda z: np.maximum(z, 0.0), lambda y: (y > 0.0).astype(np.float64)),
    "identity": (lambda z: z, np.ones_like),
}
"""Each with its derivative, as a function of its own value."""


@dataclass(frozen=True)
class Setting:
    """How back-propagation trains: learning rate at the beginning, samples per update, passes through the data.

    With a `decay` of weights it is AdamW, else SGD.
    """

    eta: float
    batch: int
    epochs: int
    decay: float | None = None

    def __str__(self) -> str:
        decay = "" if self.decay is None else f", weight decay {self.decay:g}"
        return f"η {self.eta:g}{decay}, batch {self.batch}, {self.epochs} epochs"

    def updates(self, n_train: int) -> int:
        """Updates of a whole training."""
        return self.epochs * n_train // self.batch


@dataclass(frozen=True)
class Network:
    """Weights (S, n_out, n_in) and biases (S, 1, n_out) of every layer, for S seeds, and what lies between."""

    weights: list[FloatArray]
    biases: list[FloatArray]
    activations: tuple[str, ...]
    cost: str

    @classmethod
    def like(cls, uri: str, seeds: Sequence[int], training: Mapping[str, Any] | None = None) -> Network:
        """The network of a simulated chip, at the θ where its trainings with these seeds begin."""
        info = open_device(uri).info
        values = {"training": dict(training or {})}
        theta = np.stack(
            [initial(check_experiment(values | {"seed": seed}, source="benchmark"), info, None) for seed in seeds]
        )
        layers, details = info.topology.layers, info.details
        return cls(
            [theta[:, layer.weights].reshape(-1, layer.n_out, layer.n_in) for layer in layers],
            [theta[:, None, layer.biases] for layer in layers],
            (*[details["activation"]] * (len(layers) - 1), details["output_activation"]),
            info.cost_kind,
        )

    def outputs(self, x: FloatArray) -> list[FloatArray]:
        """Activations (S, B, n) of every layer, inputs first, for (B, n_in) or (S, B, n_in) inputs."""
        signals = [x]
        for w, b, name in zip(self.weights, self.biases, self.activations, strict=True):
            signals.append(ACTIVATIONS[name][0](signals[-1] @ w.swapaxes(-1, -2) + b))
        return signals

    def slopes(self, x: FloatArray, targets: FloatArray) -> list[FloatArray]:
        """The cost's gradient by every array of `parameters`, for (S, B, n_in) inputs and (S, B, n_out) targets."""
        signals = self.outputs(x)
        y = signals.pop()
        if self.cost == "mse":
            error = 2.0 / y.shape[-1] * (y - targets)
        else:
            exponentials = np.exp(y - y.max(axis=-1, keepdims=True))
            error = exponentials / exponentials.sum(axis=-1, keepdims=True) - targets
        delta = error * ACTIVATIONS[self.activations[-1]][1](y) / y.shape[-2]
        weights: list[FloatArray] = []
        biases: list[FloatArray] = []
        for number in reversed(range(len(self.weights))):
            x = signals[number]
            weights.insert(0, delta.swapaxes(-1, -2) @ x)
            biases.insert(0, delta.sum(axis=-2, keepdims=True))
            if number:
                delta = delta @ self.weights[number] * ACTIVATIONS[self.activations[number - 1]][1](x)
        return weights + biases

    @property
    def parameters(self) -> list[FloatArray]:
        """All weights, then all biases."""
        return self.weights + self.biases


class AdamW:
    """Adam with decoupled weight decay, as Loshchilov and Hutter have it (and PyTorch), with its usual constants."""

    BETAS = 0.9, 0.999
    EPSILON = 1e-8

    def __init__(self, parameters: list[FloatArray], decay: float) -> None:
        self._decay, self._count = decay, 0
        self._mean = [np.zeros_like(one) for one in parameters]
        self._square = [np.zeros_like(one) for one in parameters]

    def update(self, parameters: list[FloatArray], slopes: list[FloatArray], eta: float) -> None:
        """One update, in place."""
        self._count += 1
        first, second = self.BETAS
        of_mean, of_square = 1.0 - first**self._count, 1.0 - second**self._count
        for theta, slope, mean, square in zip(parameters, slopes, self._mean, self._square, strict=True):
            mean += (1.0 - first) * (slope - mean)
            square += (1.0 - second) * (slope * slope - square)
            theta *= 1.0 - eta * self._decay
            theta -= eta / of_mean * mean / (np.sqrt(square / of_square) + self.EPSILON)


class Sgd:
    """Plain steps against the gradient."""

    def update(self, parameters: list[FloatArray], slopes: list[FloatArray], eta: float) -> None:
        """One update, in place."""
        for theta, slope in zip(parameters, slopes, strict=True):
            theta -= eta * slope


def backprop(uri: str, dataset: Dataset, seeds: Sequence[int], setting: Setting) -> FloatArray:
    """Train the network of the chip at `uri` with each seed.

    Returns:
        (S,) test accuracies at the end.
    """
    network = Network.like(uri, seeds)
    method = Sgd() if setting.decay is None else AdamW(network.parameters, setting.decay)
    values: FloatArray = dataset.values(np.arange(dataset.n_samples))
    targets = dataset.targets
    updates, batch = setting.updates(dataset.n_train), setting.batch
    orders = [SampleOrder(seed, dataset.n_train, batch) for seed in seeds]
    samples: NDArray[Any] = np.empty(0, dtype=np.int64)
    for update in range(updates):
        if update % ORDER_CHUNK == 0:
            samples = np.stack([order.samples(update, ORDER_CHUNK) for order in orders], axis=1)
        chosen = samples[update % ORDER_CHUNK]
        eta = setting.eta * 0.5 * (1.0 + math.cos(math.pi * update / updates))
        method.update(network.parameters, network.slopes(values[chosen], targets[chosen]), eta)
    outputs = network.outputs(values[dataset.n_train :])[-1]
    return np.asarray((outputs.argmax(axis=-1) == targets[dataset.n_train :].argmax(axis=-1)).mean(axis=-1))
