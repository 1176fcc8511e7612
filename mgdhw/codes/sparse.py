"""Random signs on a random few of the parameters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mgdhw.arrays import IntArray
from mgdhw.block import CodeSpec
from mgdhw.codes.base import CodeArray, CodeFamily, Group
from mgdhw.random.philox import Stream, words
from mgdhw.variants import Interval, number

FIELD_BITS = 16  # random bits for each parameter: the highest is the sign, the others decide whether it is perturbed
FIELDS_PER_BLOCK = 8
DECISION_BITS = FIELD_BITS - 1


def threshold(density: float) -> int:
    """A parameter is perturbed if its 15 decision bits are below this."""
    return int(density * (1 << DECISION_BITS))


@dataclass(frozen=True)
class Sparse(CodeFamily):
    """Parameter i is perturbed with probability `density`, then by +Δ or -Δ.

    Field i of 16 bits of stream CODES at step t: eight to a Philox call, the low half of a word first.
    Between `sequential` (one at a time) and `random` (all at once): less crosstalk, fewer parameters per probe.
    """

    name = "sparse"
    link_number = 2

    density: float = number(
        0.1,
        Interval(low=2.0**-DECISION_BITS, high=1.0, text="from 2^-15 to 1"),
        "share of the parameters that a probe perturbs",
    )

    def values(self, spec: CodeSpec, group: Group, steps: IntArray) -> CodeArray:
        first_block, skip = divmod(group.start, FIELDS_PER_BLOCK)
        drawn = words(spec.seed, Stream.CODES, steps, -(-(skip + group.size) // 2), first_block=first_block)
        fields = np.ascontiguousarray(drawn.astype("<u4")).view("<u2")[:, skip : skip + group.size]
        chosen = (fields & ((1 << DECISION_BITS) - 1)) < threshold(self.density)
        sign = (fields >> DECISION_BITS).astype(np.int16) * 2 - 1
        return np.asarray(chosen * sign * np.int16(spec.amplitude), dtype=np.int16)

    def mean_square(self, spec: CodeSpec, group: Group) -> float:
        return spec.amplitude**2 * threshold(self.density) / (1 << DECISION_BITS)
