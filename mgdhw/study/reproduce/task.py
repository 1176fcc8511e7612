"""The study itself: network, data, codes and learning rate, as an experiment and a dataset of mgdhw."""

from __future__ import annotations

from typing import Any

import numpy as np

from mgdhw.datasets import Dataset
from mgdhw.device import open_device
from mgdhw.experiment.load import check_experiment
from mgdhw.experiment.schema import LARGEST_PERIOD, Experiment

METHODS = {"fig3": ("weight", "node"), "fig4": ("weight", "node", "backprop")}
BATCH = 100
ETA = 1e-3
AMPLITUDE = 0.01
"""Of a layer of N parameters or nodes, times √N."""
SMOOTHING = 0.01
LISTED = {
    "fig3": (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 30_000),
    "fig4": (1, 10, 100, 300, 1000, 3000, 10_000, 30_000, 100_000),
}
"""Iterations after which the paper's data are compared."""
URI = "sim:ideal-fashion?d={d}"


def study_data(data: Dataset) -> Dataset:
    """The data with the published targets: 1.00 and 0.01 of training, 0.991 and 0.001 of test samples.

    Those of training were smoothed value by value, so that they add up to 1.09; those of testing as usual.
    """
    targets = np.array(data.targets)
    train, test = targets[: data.n_train], targets[data.n_train :]
    train[:] = np.where(train > 0.5, 1.0, SMOOTHING)
    test[:] = (1.0 - SMOOTHING) * test + SMOOTHING / data.n_outputs
    return Dataset(data.name, data.inputs, data.input_scale, targets, data.n_train, data.classes)


def experiment_of(figure: str, method: str, d: int, seed: int, iterations: int, uri: str = URI) -> Experiment:
    """One run of a figure; a probe of each layer is an iteration.

    Args:
        figure: "fig3" holds θ and one mini-batch, "fig4" trains.
        method: "weight", "node" or "backprop".
        d: width.
        seed: of parameters, data order and codes.
        iterations: how many.
        uri: of the network, with {d} for its width.
    """
    address = uri.replace("{d}", str(d))
    layers = open_device(address).info.topology.layers
    sizes = [layer.n_nodes if method == "node" else layer.n_parameters for layer in layers]
    codes: dict[str, Any] = {"groups": "layer", "delta": [AMPLITUDE / np.sqrt(size) for size in sizes]}
    if method == "node":
        codes["target"] = "nodes"
    training: dict[str, Any] = {"batch": BATCH, "probes": len(layers) * iterations}
    eta = 0.0
    if figure == "fig3":
        training |= {"tau_x": LARGEST_PERIOD, "tau_theta": LARGEST_PERIOD}
    else:
        training |= {"tau_x": len(layers), "tau_theta": len(layers), "normalise": "oripov"}
        eta = ETA
        if method != "backprop":
            # The paper's C̃ is multiplied by codes of ±1, not by θ̃, which is smaller by the layer's amplitude. With one
            # amplitude for all layers that is a factor of η; how small it is changes nothing else to first order.
            codes["delta"] = AMPLITUDE / float(np.sqrt(max(sizes)))
            eta = ETA / codes["delta"]
    return check_experiment(
        {
            "name": f"{figure}-{method}-d{d}",
            "seed": seed,
            "device": {"uri": address},
            "training": training,
            "codes": codes,
            "optimizer": {"name": "sgd", "eta": float(eta)},
            "evaluation": {"every": LARGEST_PERIOD},
        },
        source="reproduce",
    )
