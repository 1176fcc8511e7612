"""Stand-in until the definition lands."""

import numpy as np
from mgdhw.philox import words


def strength(sigma):
    return int(np.floor(sigma * 8 + 0.5))


def scaled(g, size):
    return (g * size + (1 << 14)) >> 15


def gaussian(seed, stream, steps, count, *, layer=0, part=0, first=0):
    from scipy.stats import norm

    w = words(seed, stream, steps, (count + 1) // 2, layer=layer, part=part)
    f = np.stack([w & 0xFFFF, w >> 16], axis=-1).reshape(w.shape[0], -1)[:, :count].astype(np.int64)
    m = ((f & 0x7FFF) + 0.5) / 32768
    mag = np.floor(norm.isf((1 - m) / 2) * 4096 + 0.5).astype(np.int64)
    return np.where(f >> 15, -mag, mag)
