"""The ideal network in numpy and float64: the definition, readable. Engines agree with it up to their rounding.

Signals are (B, height, width, channels), and (B, 1, 1, n) in dense layers. Forward, the network keeps what its layers
with parameters take in; from there a layer can be run again with other parameters or other pre-activations, and all
that comes after it (`forward(start=...)`), which is what perturbing one layer costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from mgdhw.arrays import FloatArray
from mgdhw.costs import COSTS
from mgdhw_sim.ideal.activations import ACTIVATIONS
from mgdhw_sim.ideal.layers import Conv2d, Dense, Pool
from mgdhw_sim.ideal.network import Network, Stage
from mgdhw_sim.ideal.variation import NodeVariation


@dataclass(frozen=True, slots=True)
class Trace:
    """What a forward pass saw.

    Args:
        inputs: of each layer with parameters, by its number among those (from 0): (B, height, width, channels).
        signals: of every stage that was run, by its number (from 0): its input, pre-activations and outputs.
        outputs: (B, n_out).
    """

    inputs: Mapping[int, FloatArray]
    signals: Mapping[int, tuple[FloatArray, FloatArray, FloatArray]]
    outputs: FloatArray


def forward(
    network: Network,
    theta: FloatArray,
    x: FloatArray,
    *,
    start: int = 0,
    shifts: Mapping[int, FloatArray] | None = None,
    variation: NodeVariation | None = None,
) -> Trace:
    """Run the network, or what of it follows from one of its layers on.

    Args:
        network: what to run.
        theta: (P,).
        x: (B, n_in) inputs; if `start` is not 0, `Trace.inputs[start]` of a run before.
        start: number, among the layers with parameters, of the one to begin with.
        shifts: what is added to pre-activations, by the number of the layer with parameters: (n_nodes,) or
            (B, n_nodes).
        variation: of the nodes.
    """
    shifts = {} if shifts is None else shifts
    numbers = _numbers(network)
    first = next(at for at, number in enumerate(numbers) if number == start) if start else 0
    signals = x.reshape(x.shape[0], *network.stages[first].shape_in)
    inputs: dict[int, FloatArray] = {}
    seen: dict[int, tuple[FloatArray, FloatArray, FloatArray]] = {}
    for at, stage in enumerate(network.stages[first:], start=first):
        own, number = stage.parameters, numbers[at]
        if own is None or number is None:
            after = _unweighted(stage, signals)
            seen[at] = signals, after, after
        else:
            inputs[number] = signals
            z = _columns(stage, signals) @ theta[own.weights].reshape(own.n_out, own.n_in).T + theta[own.biases]
            if number in shifts:
                z = z + shifts[number].reshape(-1, *stage.shape_out)
            after = _activate(stage, z, variation)
            seen[at] = signals, z, after
        signals = after
    return Trace(inputs, seen, signals.reshape(signals.shape[0], -1))


def taken_in(network: Network, trace: Trace) -> tuple[FloatArray, ...]:
    """For each layer with parameters (B, positions, n_in): what each of its positions takes in."""
    stages = [stage for stage in network.stages if stage.parameters is not None]
    found = []
    for number, stage in enumerate(stages):
        columns = _columns(stage, trace.inputs[number])
        found.append(columns.reshape(columns.shape[0], -1, columns.shape[-1]))
    return tuple(found)


def costs(kind: str, outputs: FloatArray, targets: FloatArray) -> FloatArray:
    """(B,) costs of (B, n_out) outputs and targets; "xent" is -Σ t log softmax(y), also where Σ t is not 1."""
    if kind == "xent":
        return np.asarray(-(targets * _log_softmax(outputs)).sum(axis=1))
    return COSTS[kind](outputs, targets)


def gradient(
    network: Network,
    theta: FloatArray,
    x: FloatArray,
    targets: FloatArray,
    cost: str,
    variation: NodeVariation | None = None,
) -> FloatArray:
    """(P,) true gradient of the mean cost of a batch, by back-propagation. Arguments as for `forward` and `costs`."""
    trace = forward(network, theta, x, variation=variation)
    found = np.zeros_like(theta)
    delta = _output_error(cost, trace.outputs, targets) / x.shape[0]
    for at in reversed(range(len(network.stages))):
        stage = network.stages[at]
        before, z, after = trace.signals[at]
        delta = delta.reshape(after.shape)
        own = stage.parameters
        if own is None:
            delta = _unweighted_backwards(stage, before, after, delta)
            continue
        delta = delta * _slope(stage, z, variation)
        rows = delta.reshape(-1, own.n_out)
        found[own.weights] = (rows.T @ _columns(stage, before).reshape(-1, own.n_in)).ravel()
        found[own.biases] = rows.sum(axis=0)
        if at:
            weights = theta[own.weights].reshape(own.n_out, own.n_in)
            delta = _columns_backwards(stage, delta @ weights, before.shape)
    return found


# --- layers -----------------------------------------------------------------------------------------------------------


def _numbers(network: Network) -> list[int | None]:
    """For each stage its number among those with parameters."""
    count, numbers = 0, list[int | None]()
    for stage in network.stages:
        numbers.append(None if stage.parameters is None else count)
        count += stage.parameters is not None
    return numbers


def _columns(stage: Stage, signals: FloatArray) -> FloatArray:
    """(B, height, width, n_in) what each output position sees, in the order of a row of the weight matrix."""
    layer = stage.layer
    if isinstance(layer, Dense):
        return signals.reshape(signals.shape[0], 1, 1, -1)
    assert isinstance(layer, Conv2d)
    padded = np.pad(signals, ((0, 0), *layer.padded(stage.shape_in), (0, 0)))
    windows = sliding_window_view(padded, layer.kernel, axis=(1, 2))  # B, H, W, C, kernel height, kernel width
    windows = windows[:, :: layer.stride, :: layer.stride].transpose(0, 1, 2, 4, 5, 3)
    return windows.reshape(*windows.shape[:3], -1)


def _columns_backwards(stage: Stage, delta: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """The gradient by the inputs, from that by what each output position sees."""
    layer = stage.layer
    if isinstance(layer, Dense):
        return delta.reshape(shape)
    assert isinstance(layer, Conv2d)
    (top, bottom), (left, right) = layer.padded(stage.shape_in)
    height, width, channels = stage.shape_in
    total = np.zeros((shape[0], height + top + bottom, width + left + right, channels))
    rows, columns, _ = stage.shape_out
    delta = delta.reshape(shape[0], rows, columns, *layer.kernel, channels)
    step = layer.stride
    for i in range(layer.kernel[0]):
        for j in range(layer.kernel[1]):
            _strided(total, (i, j), (rows, columns), step)[...] += delta[:, :, :, i, j]
    return total[:, top : top + height, left : left + width]


def _unweighted(stage: Stage, signals: FloatArray) -> FloatArray:
    """Pooling, or nothing but another shape."""
    if not isinstance(stage.layer, Pool):
        return signals.reshape(signals.shape[0], *stage.shape_out)
    windows = _squares(stage.layer, signals)
    return np.asarray(windows.max(axis=-1) if stage.layer.kind == "max" else windows.mean(axis=-1))


def _squares(layer: Pool, signals: FloatArray) -> FloatArray:
    """(B, height, width, C, size²) what is pooled."""
    windows = sliding_window_view(signals, (layer.size, layer.size), axis=(1, 2))
    windows = windows[:, :: layer.stride, :: layer.stride]
    return windows.reshape(*windows.shape[:4], -1)


def _unweighted_backwards(stage: Stage, before: FloatArray, after: FloatArray, delta: FloatArray) -> FloatArray:
    if not isinstance(stage.layer, Pool):
        return delta.reshape(before.shape)
    layer = stage.layer
    squares = _squares(layer, before)
    if layer.kind == "max":  # of equals the first takes it all
        share = (np.arange(layer.size**2) == squares.argmax(axis=-1)[..., None]) * delta[..., None]
    else:
        share = np.broadcast_to(delta[..., None] / layer.size**2, squares.shape)
    total = np.zeros_like(before)
    rows, columns, step = stage.shape_out[0], stage.shape_out[1], layer.stride
    for at in range(layer.size**2):
        i, j = divmod(at, layer.size)
        _strided(total, (i, j), (rows, columns), step)[...] += share[..., at]
    return total


def _strided(signals: FloatArray, first: tuple[int, int], count: tuple[int, int], step: int) -> FloatArray:
    """View of the signals at `count` rows and columns of positions from the first on."""
    (i, j), (rows, columns) = first, count
    return signals[:, i : i + rows * step : step, j : j + columns * step : step]


# --- nodes ------------------------------------------------------------------------------------------------------------


def _activate(stage: Stage, z: FloatArray, variation: NodeVariation | None) -> FloatArray:
    function = ACTIVATIONS[stage.activation][0]
    if variation is None:
        return function(z)
    own = _of_stage(stage, variation)
    return own.offset + own.amplitude * function(own.steepness * (z - own.midpoint))


def _slope(stage: Stage, z: FloatArray, variation: NodeVariation | None) -> FloatArray:
    function, slope = ACTIVATIONS[stage.activation]
    if variation is None:
        return slope(function(z))
    own = _of_stage(stage, variation)
    inner = slope(function(own.steepness * (z - own.midpoint)))
    return np.asarray(own.amplitude * own.steepness * inner)


def _of_stage(stage: Stage, variation: NodeVariation) -> NodeVariation:
    assert stage.parameters is not None
    nodes, shape = stage.parameters.nodes, stage.shape_out
    return NodeVariation(
        variation.midpoint[nodes].reshape(shape),
        variation.steepness[nodes].reshape(shape),
        variation.amplitude[nodes].reshape(shape),
        variation.offset[nodes].reshape(shape),
    )


# --- costs ------------------------------------------------------------------------------------------------------------


def _log_softmax(outputs: FloatArray) -> FloatArray:
    shifted = outputs - outputs.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def _output_error(cost: str, outputs: FloatArray, targets: FloatArray) -> FloatArray:
    """(B, n_out) gradient of each sample's cost by its outputs."""
    if cost == "xent":
        return np.asarray(np.exp(_log_softmax(outputs)) * targets.sum(axis=1, keepdims=True) - targets)
    return np.asarray(2.0 / outputs.shape[1] * (outputs - targets))
