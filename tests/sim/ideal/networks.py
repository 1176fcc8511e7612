"""Networks and data that the tests of ideal networks share."""

from dataclasses import replace

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.datasets import Dataset
from mgdhw_sim.ideal import address
from mgdhw_sim.ideal.engines import Engine, make_engine
from mgdhw_sim.ideal.spec import IdealSpec

DENSE = "sim:ideal?layers=5-4-3&theta_lsb=2^-12"
CONVOLUTIONS = (
    "sim:ideal?input=7x6x2&layers=conv3x3:3,maxpool2,conv2x3:5:valid,flatten,dense:3&cost=xent&activation=tanh"
    "&theta_lsb=2^-12"
)
MIXED = (
    "sim:ideal?input=9x8x2&layers=conv3x3:3:stride2,avgpool2:stride1,conv2x3:5:relu,maxpool2:stride1,dense:4,dense:3"
    "&cost=xent&theta_lsb=2^-12"
)
VARIED = f"{MIXED}&neuron_std=0.2&seed=3"
NETWORKS = (DENSE, CONVOLUTIONS, MIXED, VARIED)
UNIT_ROUNDOFF = 2.0**-24
"""Of float32."""


def parts_of(uri: str, seed: int = 0, samples: int = 40) -> tuple[IdealSpec, FloatArray, Dataset]:
    """A network, parameters for it, and random data; targets of the study's kind, which do not add up to 1."""
    spec, generator = address.parse(uri), np.random.default_rng(seed)
    network = spec.network
    theta = generator.normal(scale=0.4, size=network.topology.n_parameters)
    inputs = generator.integers(256, size=(samples, network.n_inputs), dtype=np.uint8)
    targets = 0.01 + 0.99 * np.eye(network.n_outputs)[generator.integers(network.n_outputs, size=samples)]
    return spec, theta, Dataset("random", inputs, 1 / 255, targets, samples - 5)


def engine_of(name: str, spec: IdealSpec, dataset: Dataset) -> Engine:
    """An engine with data."""
    engine = make_engine(replace(spec, engine=name))
    engine.load(dataset)
    return engine


def rounding_of(spec: IdealSpec) -> float:
    """What float32 may add to a sample's cost, for signals, weights and outputs of the order of 1.

    A sum of n products is off by √n units of roundoff, as roundings go; four more are its activation's and its
    weights', and every layer passes on what came before it. Costs add up some outputs. Twice that, for the tails.
    """
    layers = spec.network.topology.layers
    return 2 * UNIT_ROUNDOFF * spec.network.n_outputs * sum(4 + np.sqrt(layer.n_in) for layer in layers)


def chances(uris: tuple[str, ...]) -> list[tuple[str, int]]:
    """Each address with a few seeds."""
    return [(uri, seed) for uri in uris for seed in range(3)]
