"""Walsh functions: orthogonal square waves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mgdhw.arrays import FloatArray, IntArray
from mgdhw.block import CodeSpec
from mgdhw.codes.base import CodeArray, CodeFamily, Group, signs
from mgdhw.codes.random import BITS_PER_BLOCK
from mgdhw.random.philox import Stream, bits


@dataclass(frozen=True)
class Walsh(CodeFamily):
    """The group's parameter i follows row i + 1 of a Hadamard matrix, in natural order.

    With T the smallest power of two above n, the sign at step t is (-1)^popcount((i + 1) & (t mod T)), turned over
    for a whole period by a random bit (stream CODES, step = period t div T). Exactly orthogonal over a period;
    the random signs keep windows shorter than that unbiased in the long run.
    Source: the "code multiplexed" perturbations of McCaughan et al. 2023 (Walsh codes, as in CDMA).
    """

    name = "walsh"
    link_number = 3
    two_level = True

    def values(self, spec: CodeSpec, group: Group, steps: IntArray) -> CodeArray:
        period, phase = np.divmod(steps, self.window(group))
        rows = np.arange(1, group.size + 1, dtype=np.uint32)
        odd = np.bitwise_count(rows & phase.astype(np.uint32)[:, None]) & np.uint8(1)
        periods, which = np.unique(period, return_inverse=True)
        first_block, skip = divmod(group.start, BITS_PER_BLOCK)
        flips = bits(spec.seed, Stream.CODES, periods, skip + group.size, first_block=first_block)[:, skip:]
        return signs(odd ^ flips[which], spec.amplitude)

    def gain(self, group: Group, keep: float, spacing: int) -> FloatArray:
        """Of rows that change sign seldom it is small. A period and the next are independent, thanks to random signs.

        pairs = Σ αᵗ⁻ˢ w(t) w(s) over all s < t of a stretch, α = a**spacing. A row's stretch of twice the length is the
        stretch, then the stretch again, turned over where the row's next bit is set.
        """
        rows = np.arange(1, group.size + 1)
        decay = keep
        for _ in range(spacing - 1):
            decay *= keep
        pairs, leading, trailing = np.zeros(group.size), np.ones(group.size), np.full(group.size, decay)
        period = self.window(group)
        for bit in range(period.bit_length() - 1):
            sign = np.where(rows >> bit & 1, -1.0, 1.0)
            pairs = 2.0 * pairs + sign * leading * trailing
            leading, trailing = leading * (1.0 + sign * decay), trailing * (decay + sign)
            decay *= decay
        return keep - (1.0 - keep) * pairs / period

    def window(self, group: Group) -> int:
        return 1 << group.size.bit_length()
