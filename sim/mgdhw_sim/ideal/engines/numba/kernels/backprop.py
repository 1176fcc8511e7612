"""Convolutions and pools forwards and backwards, for true gradients. A batch's samples lie side by side: (H, W, C, B).

So the innermost loops run over samples, whatever the number of channels, and become vector instructions. Signals are
float32. Inputs of convolutions are padded by the caller.
"""

from __future__ import annotations

import numpy as np
from numba import njit

FAST = {"reassoc", "contract", "nsz"}
"""Sums over samples may be taken in any order; NaN and infinity stay what they are."""


@njit(cache=True, nogil=True, fastmath=FAST)
def conv_forward(x, weights, biases, z, stride):
    """z (H', W', O, B) from padded x (H, W, C, B), weights (O, KH, KW, C) and biases (O,)."""
    rows, columns, outs, batch = z.shape
    _, height, width, channels = weights.shape
    for i in range(rows):
        for j in range(columns):
            for o in range(outs):
                total = z[i, j, o]
                total[:] = biases[o]
                for a in range(height):
                    for b in range(width):
                        for c in range(channels):
                            weight = weights[o, a, b, c]
                            signal = x[i * stride + a, j * stride + b, c]
                            for s in range(batch):
                                total[s] += weight * signal[s]


@njit(cache=True, nogil=True, fastmath=FAST)
def conv_backward(x, weights, delta, dx, d_weights, d_biases, stride, need_inputs):
    """From delta (H', W', O, B), the gradient by z, adds to those by x, weights and biases (the last in float64)."""
    rows, columns, outs, batch = delta.shape
    _, height, width, channels = weights.shape
    for i in range(rows):
        for j in range(columns):
            for o in range(outs):
                error = delta[i, j, o]
                total = np.float32(0.0)
                for s in range(batch):
                    total += error[s]
                d_biases[o] += total
                for a in range(height):
                    for b in range(width):
                        for c in range(channels):
                            signal = x[i * stride + a, j * stride + b, c]
                            product = np.float32(0.0)
                            for s in range(batch):
                                product += error[s] * signal[s]
                            d_weights[o, a, b, c] += product
                            if need_inputs:
                                weight = weights[o, a, b, c]
                                back = dx[i * stride + a, j * stride + b, c]
                                for s in range(batch):
                                    back[s] += weight * error[s]


@njit(cache=True, nogil=True)
def max_pool(x, y, chosen, size, stride):
    """y (H', W', C, B), and which of the size² positions was the largest (of equals the first)."""
    rows, columns, channels, batch = y.shape
    for i in range(rows):
        for j in range(columns):
            for c in range(channels):
                for s in range(batch):
                    best, place = x[i * stride, j * stride, c, s], 0
                    for at in range(1, size * size):
                        value = x[i * stride + at // size, j * stride + at % size, c, s]
                        if value > best:
                            best, place = value, at
                    y[i, j, c, s] = best
                    chosen[i, j, c, s] = place


@njit(cache=True, nogil=True)
def max_pool_backward(delta, chosen, dx, size, stride):
    """Adds delta (H', W', C, B) to dx where the largest were."""
    rows, columns, channels, batch = delta.shape
    for i in range(rows):
        for j in range(columns):
            for c in range(channels):
                for s in range(batch):
                    at = chosen[i, j, c, s]
                    dx[i * stride + at // size, j * stride + at % size, c, s] += delta[i, j, c, s]
