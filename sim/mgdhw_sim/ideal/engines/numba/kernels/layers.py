"""The layers, for sixteen samples side by side."""

from __future__ import annotations

from numba import njit

from mgdhw.compiled.kernels.simd import broadcast, load, store
from mgdhw.compiled.kernels.vector_math import f32, multiply_add, select
from mgdhw.compiled.options import INLINE, JIT
from mgdhw_sim.ideal.engines.numba.kernels.activations import activate
from mgdhw_sim.ideal.engines.numba.program import LANES, TILE, Column, Kind

KIND, HEIGHT, WIDTH, CHANNELS, ROWS, COLUMNS, OUTPUTS = (int(column) for column in list(Column)[:7])
KERNEL_HEIGHT, KERNEL_WIDTH, STRIDE, TOP, LEFT, ACTIVATION = (int(column) for column in list(Column)[7:13])
WEIGHTS, BIASES, NODES, THETA, KEPT = (int(column) for column in list(Column)[13:])
OF_WEIGHTS, OF_MAX, OF_AVG = int(Kind.WEIGHTS), int(Kind.MAX), int(Kind.AVG)


@njit(**JIT)
def pack(program, theta, weights, biases):
    """Lay out θ, float32, by tiles: the weights of four output channels to one input beside each other."""
    for stage in program:
        if stage[KIND] != OF_WEIGHTS:
            continue
        n_in, n_out = stage[KERNEL_HEIGHT] * stage[KERNEL_WIDTH] * stage[CHANNELS], stage[OUTPUTS]
        first = stage[THETA]
        for output in range((n_out + TILE - 1) // TILE * TILE):
            tile, lane = output // TILE, output % TILE
            place = stage[WEIGHTS] + tile * TILE * n_in + lane
            for k in range(n_in):
                weights[place + TILE * k] = theta[first + output * n_in + k] if output < n_out else 0.0
            biases[stage[BIASES] + output] = theta[first + n_out * n_in + output] if output < n_out else 0.0


@njit(**INLINE)
def store_tile(signals, at, z0, z1, z2, z3, count):
    """The pre-activations of up to four channels at a position."""
    store(signals, at, z0)
    if count > 1:
        store(signals, at + LANES, z1)
    if count > 2:
        store(signals, at + 2 * LANES, z2)
    if count > 3:
        store(signals, at + 3 * LANES, z3)


@njit(**JIT)
def weighted(stage, weights, biases, signals, source, target):
    """Pre-activations of a dense layer or a convolution: four channels at two neighbouring positions at a time.

    For these eight sums each weight and each signal is read once; where a kernel reaches beyond the edge, one position
    is done at a time, with what of the kernel lies inside.
    """
    height, width, channels = stage[HEIGHT], stage[WIDTH], stage[CHANNELS]
    rows, columns, outputs = stage[ROWS], stage[COLUMNS], stage[OUTPUTS]
    kernel_height, kernel_width, stride = stage[KERNEL_HEIGHT], stage[KERNEL_WIDTH], stage[STRIDE]
    run = kernel_width * channels
    neighbour = stride * channels * LANES
    for first in range(0, outputs, TILE):
        packed = stage[WEIGHTS] + first * kernel_height * run
        count = min(TILE, outputs - first)
        bias = stage[BIASES] + first
        b0, b1, b2, b3 = (
            broadcast(biases, bias),
            broadcast(biases, bias + 1),
            broadcast(biases, bias + 2),
            broadcast(biases, bias + 3),
        )
        for row in range(rows):
            top = row * stride - stage[TOP]
            begin, end = max(0, -top), min(kernel_height, height - top)
            column = 0
            while column < columns:
                left = column * stride - stage[LEFT]
                place = target + ((row * columns + column) * outputs + first) * LANES
                if left >= 0 and left + stride + kernel_width <= width and column + 1 < columns:
                    y0, y1, y2, y3 = b0, b1, b2, b3
                    z0, z1, z2, z3 = b0, b1, b2, b3
                    for i in range(begin, end):
                        x = source + ((top + i) * width + left) * channels * LANES
                        w = packed + i * run * TILE
                        for _ in range(run):
                            one, other = load(signals, x), load(signals, x + neighbour)
                            w0, w1 = broadcast(weights, w), broadcast(weights, w + 1)
                            w2, w3 = broadcast(weights, w + 2), broadcast(weights, w + 3)
                            y0, z0 = multiply_add(w0, one, y0), multiply_add(w0, other, z0)
                            y1, z1 = multiply_add(w1, one, y1), multiply_add(w1, other, z1)
                            y2, z2 = multiply_add(w2, one, y2), multiply_add(w2, other, z2)
                            y3, z3 = multiply_add(w3, one, y3), multiply_add(w3, other, z3)
                            x += LANES
                            w += TILE
                    store_tile(signals, place, y0, y1, y2, y3, count)
                    store_tile(signals, place + outputs * LANES, z0, z1, z2, z3, count)
                    column += 2
                else:
                    y0, y1, y2, y3 = b0, b1, b2, b3
                    near, far = max(0, -left), min(kernel_width, width - left)
                    for i in range(begin, end):
                        x = source + ((top + i) * width + left + near) * channels * LANES
                        w = packed + (i * run + near * channels) * TILE
                        for _ in range((far - near) * channels):
                            one = load(signals, x)
                            y0 = multiply_add(broadcast(weights, w), one, y0)
                            y1 = multiply_add(broadcast(weights, w + 1), one, y1)
                            y2 = multiply_add(broadcast(weights, w + 2), one, y2)
                            y3 = multiply_add(broadcast(weights, w + 3), one, y3)
                            x += LANES
                            w += TILE
                    store_tile(signals, place, y0, y1, y2, y3, count)
                    column += 1


@njit(**JIT)
def pooled(stage, signals, source, target):
    """The largest or the mean of squares of positions."""
    width, channels, size, stride = stage[WIDTH], stage[CHANNELS], stage[KERNEL_HEIGHT], stage[STRIDE]
    is_max, share = stage[KIND] == OF_MAX, f32(1.0 / (size * size))
    for row in range(stage[ROWS]):
        for column in range(stage[COLUMNS]):
            corner = source + (row * stride * width + column * stride) * channels * LANES
            place = target + (row * stage[COLUMNS] + column) * channels * LANES
            for channel in range(channels):
                first = corner + channel * LANES
                found = load(signals, first)
                for at in range(1, size * size):
                    i, j = at // size, at % size
                    other = load(signals, first + (i * width + j) * channels * LANES)
                    found = maximum(found, other) if is_max else found + other
                store(signals, place + channel * LANES, found if is_max else found * share)


@njit(**INLINE)
def maximum(one, other):
    """The larger of each lane; something that is no number where the second is none."""
    return select(one > other, one, other)


@njit(**JIT)
def run_stage(stage, weights, biases, nodes, signals, source, target):
    """One stage; signals are read and written at `source` and `target`, in float32."""
    if stage[KIND] == OF_WEIGHTS:
        weighted(stage, weights, biases, signals, source, target)
        activate(stage[ACTIVATION], nodes, stage[NODES], signals, target, stage[ROWS] * stage[COLUMNS] * stage[OUTPUTS])
    elif stage[KIND] == OF_MAX or stage[KIND] == OF_AVG:
        pooled(stage, signals, source, target)
    else:
        for at in range(LANES * stage[HEIGHT] * stage[WIDTH] * stage[CHANNELS]):
            signals[target + at] = signals[source + at]
