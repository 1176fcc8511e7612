"""Outputs of many samples at once, for evaluations: `Chip.infer` on an ideal chip of small numbers."""

from __future__ import annotations

from numba import njit

from mgdhw.compiled.options import ENTRY
from mgdhw_sim.engines.numba.kernels.large_batch import Rank1Lines, load_batch, load_weights, tile_cost


@njit(**ENTRY)
def infer(setup, requested, samples, count, words, tile, team, out):
    """Signals of the last layer, as many samples at a time as the tile has room for.

    Args:
        requested: (P,) parameter codes, padded.
        samples: (count,) and room for a vector more.
        words: (1,) of no code.
        out: (count, n_out).
    """
    net, no_code = setup.net, Rank1Lines(words, 0, 0, 0)
    if tile.bytes:
        load_weights(requested, 0, net.sizes[0] * net.sizes[1], tile.weights)
    for start in range(0, count, tile.width):
        chosen = samples[start : min(start + tile.width, count)]
        load_batch(setup.inputs, setup.targets, chosen, tile, 0, tile.width)
        tile_cost(
            net, setup.costs, setup.plan, requested, tile.weights, no_code, False, False, tile, chosen.size, team
        )  # fmt: skip
        for j in range(net.sizes[-1]):
            for k in range(chosen.size):
                out[start + k, j] = tile.outputs[j * tile.width + k]
