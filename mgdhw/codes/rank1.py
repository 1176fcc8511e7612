"""Outer products of random signs: N + M perturbation lines for an N × M crossbar."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mgdhw.arrays import IntArray
from mgdhw.block import CodeSpec
from mgdhw.codes.base import CodeArray, CodeFamily, Group, signs
from mgdhw.errors import ConfigError
from mgdhw.random.philox import Stream, bits


@dataclass(frozen=True)
class Rank1(CodeFamily):
    """Weight (j, i) is perturbed by Δ rⱼ cᵢ, with a random sign for each row line and each column line.

    The bias is the column n_in. Lines count through the network, layer by layer, rows before columns; the sign of
    line number m at step t is bit m of stream CODES at step t. Products of independent signs are uncorrelated, so
    the estimate is unbiased; a crossbar needs n_out + n_in + 1 perturbation lines instead of one for each cell.
    """

    name = "rank1"
    link_number = 5
    needs_layers = True
    two_level = True

    def values(self, spec: CodeSpec, group: Group, steps: IntArray) -> CodeArray:
        last = group.matrices[-1]
        lines = bits(spec.seed, Stream.CODES, steps, last.first_line + last.n_out + last.n_in + 1)
        codes = np.empty((steps.size, group.size), dtype=np.int16)
        for matrix in group.matrices:
            n_out, n_in = matrix.n_out, matrix.n_in
            own = signs(lines[:, matrix.first_line : matrix.first_line + n_out + n_in + 1], 1)
            row, column = own[:, :n_out], own[:, n_out:] * np.int16(spec.amplitude)
            weights = codes[:, matrix.start : matrix.start + n_out * n_in]
            np.multiply(
                row[:, :, None], column[:, None, :n_in], out=weights.reshape(steps.size, n_out, n_in, copy=False)
            )
            codes[:, matrix.start + n_out * n_in : matrix.start + n_out * (n_in + 1)] = row * column[:, n_in:]
        return codes

    def check(self, spec: CodeSpec, group: Group) -> None:
        if not group.matrices:
            raise ConfigError(
                "codes.family: rank1 needs to know the device's weight matrices, and this device only says how many"
                " parameters it has; use random, walsh, sparse, sequential or sinusoidal"
            )
