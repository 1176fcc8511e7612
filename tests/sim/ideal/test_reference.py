"""The reference in numpy: what it computes, and that its gradient is the slope of its cost."""

import math

import numpy as np
import pytest

from mgdhw.arrays import FloatArray
from mgdhw_sim.ideal import reference
from mgdhw_sim.ideal.address import parse
from mgdhw_sim.ideal.layers import Conv2d, Pool
from mgdhw_sim.ideal.network import Network, Stage
from mgdhw_sim.ideal.variation import node_variation

from .networks import CONVOLUTIONS, MIXED, NETWORKS, chances, parts_of


def by_hand(network: Network, theta: FloatArray, x: FloatArray) -> FloatArray:
    """Outputs of one sample, (n_out,), position by position and weight by weight."""
    functions = {
        "tanh": math.tanh,
        "relu": lambda z: max(z, 0.0),
        "identity": lambda z: z,
        "logistic": lambda z: 1 / (1 + math.exp(-z)),
    }
    signals = x.reshape(network.shape)
    for stage in network.stages:
        after = np.zeros(stage.shape_out)
        own, layer = stage.parameters, stage.layer
        for row, column, channel in np.ndindex(*stage.shape_out):
            if own is None and isinstance(layer, Pool):
                i, j = row * layer.stride, column * layer.stride
                square = signals[i : i + layer.size, j : j + layer.size, channel]
                after[row, column, channel] = square.max() if layer.kind == "max" else square.mean()
            elif own is None:
                after = signals.reshape(stage.shape_out)
            else:
                weights = theta[own.weights].reshape(own.n_out, own.n_in)[channel]
                z = theta[own.biases][channel]
                if isinstance(layer, Conv2d):
                    z += at_position(stage, layer, weights, signals, row, column)
                else:
                    z += float(weights @ signals.ravel())
                after[row, column, channel] = functions[stage.activation](z)
        signals = after
    return signals.ravel()


def at_position(stage: Stage, layer: Conv2d, weights: FloatArray, signals: FloatArray, row: int, column: int) -> float:
    """What a convolution adds to a bias; inputs beyond the edge are zero."""
    (top, _), (left, _) = layer.padded(stage.shape_in)
    height, width, channels = stage.shape_in
    total = 0.0
    kernel = weights.reshape(*layer.kernel, channels)
    for i, j in np.ndindex(*layer.kernel):
        y, x = row * layer.stride + i - top, column * layer.stride + j - left
        if 0 <= y < height and 0 <= x < width:
            total += float(kernel[i, j] @ signals[y, x])
    return total


@pytest.mark.parametrize("uri", [*NETWORKS[:3], "sim:ideal?input=5x5&layers=conv2x2:2:stride3,conv4x4:1,dense:2"])
def test_outputs_are_those_computed_by_hand(uri: str) -> None:
    spec, theta, dataset = parts_of(uri)
    x = dataset.values(np.arange(3))
    found = reference.forward(spec.network, theta, x).outputs
    for sample, outputs in zip(x, found, strict=True):
        np.testing.assert_allclose(outputs, by_hand(spec.network, theta, sample), rtol=0, atol=1e-13)


@pytest.mark.parametrize(("uri", "seed"), chances(NETWORKS))
def test_the_gradient_is_the_slope_of_the_cost(uri: str, seed: int) -> None:
    spec, theta, dataset = parts_of(uri, seed, samples=9)
    network, variation = spec.network, node_variation(spec)
    x, targets = dataset.values(np.arange(9)), dataset.targets

    def cost(at: FloatArray) -> float:
        outputs = reference.forward(network, at, x, variation=variation).outputs
        return float(reference.costs(spec.cost, outputs, targets).mean())

    found = reference.gradient(network, theta, x, targets, spec.cost, variation)
    step = 1e-5  # error of a central difference: step² from the third derivative, and 1e-16 / step from rounding
    slopes = [(cost(theta + step * one) - cost(theta - step * one)) / (2 * step) for one in np.eye(theta.size)]
    np.testing.assert_allclose(found, slopes, rtol=0, atol=1e-8)


@pytest.mark.parametrize("uri", NETWORKS)
def test_the_network_can_be_run_from_any_layer_on(uri: str) -> None:
    spec, theta, dataset = parts_of(uri)
    network, variation, x = spec.network, node_variation(spec), dataset.values(np.arange(6))
    whole = reference.forward(network, theta, x, variation=variation)
    for number, layer in enumerate(network.topology.layers):
        changed = theta.copy()
        changed[layer.parameters] += 0.1
        rest = reference.forward(network, changed, whole.inputs[number], start=number, variation=variation)
        again = reference.forward(network, changed, x, variation=variation)
        np.testing.assert_array_equal(rest.outputs, again.outputs)


@pytest.mark.parametrize("uri", [CONVOLUTIONS, MIXED])
def test_pre_activations_can_be_shifted(uri: str) -> None:
    """The same shift at all positions is that of a bias; a shift of one node is a part of it."""
    spec, theta, dataset = parts_of(uri)
    network, x = spec.network, dataset.values(np.arange(4))
    for number, layer in enumerate(network.topology.layers):
        bias, changed = np.linspace(-0.3, 0.2, layer.n_out), theta.copy()
        changed[layer.biases] += bias
        shift = np.tile(bias, layer.positions)
        shifted = reference.forward(network, theta, x, shifts={number: shift}).outputs
        np.testing.assert_allclose(shifted, reference.forward(network, changed, x).outputs, rtol=0, atol=1e-13)
        each = reference.forward(network, theta, x, shifts={number: np.tile(shift, (4, 1))}).outputs
        np.testing.assert_allclose(each, shifted, rtol=0, atol=1e-13)


def test_cross_entropy_of_targets_that_do_not_add_up_to_one() -> None:
    outputs, targets = np.array([[1.0, 2.0, -1.0]]), np.array([[1.0, 0.01, 0.01]])
    probabilities = np.exp(outputs) / np.exp(outputs).sum()
    expected = -(targets * np.log(probabilities)).sum()
    assert reference.costs("xent", outputs, targets)[0] == pytest.approx(expected, abs=1e-14)
    assert reference.costs("xent", 1000 * outputs, targets)[0] < 1e5  # no overflow
    assert reference.costs("mse", outputs, targets)[0] == pytest.approx(np.square(outputs - targets).mean())


def test_nodes_vary_as_the_chip_s_do() -> None:
    spec = parse("sim:ideal?layers=30-3000-2&neuron_std=0.1&seed=5")
    found = node_variation(spec)
    assert found is not None
    for values, mean in ((found.midpoint, 0), (found.steepness, 1), (found.amplitude, 1), (found.offset, 0)):
        assert values.shape == (3002,)
        assert abs(values.mean() - mean) < 0.01
        assert abs(values.std() - 0.1) < 0.01
    assert node_variation(parse("sim:ideal?layers=3-2-1")) is None
