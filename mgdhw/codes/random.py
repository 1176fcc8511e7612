"""Independent random signs: every parameter by +Δ or -Δ in every probe."""

from __future__ import annotations

from dataclasses import dataclass

from mgdhw.arrays import IntArray
from mgdhw.block import CodeSpec
from mgdhw.codes.base import CodeArray, CodeFamily, Group, signs
from mgdhw.random.philox import Stream, bits

BITS_PER_BLOCK = 128  # one Philox call answers four 32-bit words


@dataclass(frozen=True)
class Random(CodeFamily):
    """Sign of parameter i of θ at step t: bit i of stream CODES at step t, 128 parameters to a Philox call.

    Orthogonal in the mean; over a window of τ steps the estimate's cosine with the gradient is about 1/√(1 + n/τ).
    Source: the "statistically orthogonal" codes of McCaughan et al. 2023; Spall's SPSA (1992) is the same law.
    """

    name = "random"
    link_number = 0
    two_level = True

    def values(self, spec: CodeSpec, group: Group, steps: IntArray) -> CodeArray:
        first_block, skip = divmod(group.start, BITS_PER_BLOCK)
        drawn = bits(spec.seed, Stream.CODES, steps, skip + group.size, first_block=first_block)
        return signs(drawn[:, skip:], spec.amplitude)
