"""Sine waves: one frequency for each parameter."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mgdhw.arrays import FloatArray, IntArray
from mgdhw.block import CodeSpec
from mgdhw.codes.base import CodeArray, CodeFamily, Group
from mgdhw.random.philox import Stream, words

TABLE_BITS = 12  # entries of one turn
VALUE_BITS = 15  # fraction bits of an entry
TURN_BITS = 32  # a phase is a 32-bit fraction of a turn


@lru_cache(maxsize=1)
def sine_table() -> IntArray:
    """sin(2πj / 4096) for j = 0 ... 4095, rounded to 15 fraction bits (half up), |entry| <= 32767.

    Made with integers alone, so that it is the same everywhere: Taylor's series to 128 fraction bits, over the first
    quarter of the turn; the others mirror it (no entry lies halfway between two integers, so rounding does, too).
    """
    bits = 128
    one = 1 << bits

    # 2π to 128 fraction bits by Machin's formula, 16 atan(1/5) - 4 atan(1/239) = π
    def arctangent(inverse: int) -> int:
        total = term = one // inverse
        n, sign = 3, -1
        while term:
            term //= inverse * inverse
            total += sign * (term // n)
            n, sign = n + 2, -sign
        return total

    turn = 2 * (16 * arctangent(5) - 4 * arctangent(239))
    quarter = []
    for j in range((1 << TABLE_BITS) // 4 + 1):
        x = turn * j >> TABLE_BITS
        square = x * x >> bits
        total = term = x
        n = 1
        while term:
            term = (term * square >> bits) // ((n + 1) * (n + 2))
            n += 2
            total += -term if n % 4 == 3 else term
        quarter.append((total * ((1 << VALUE_BITS) - 1) * 2 + one) >> (bits + 1))
    half = quarter[:-1] + quarter[:0:-1]
    entries = np.array(half + [-value for value in half], dtype=np.int64)
    entries.flags.writeable = False
    return entries


@dataclass(frozen=True)
class Sinusoidal(CodeFamily):
    """The group's parameter i follows Δ·sin(2π(mᵢ t / T + φᵢ)), rounded to code units.

    T is the smallest power of two >= 4 (n + 1) and mᵢ = T/8 + 1 + i, so that all frequencies are distinct, lie
    between 1/8 and 3/8 of the probe rate, and are orthogonal over T steps. φᵢ is word i of stream CODES at step 0.
    Amplitudes below about 4 code units make crude sines. Source: the "frequency multiplexed" codes of McCaughan et
    al. 2023.
    """

    name = "sinusoidal"
    link_number = 4
    least_amplitude = 8  # a sine of one step is no sine

    def values(self, spec: CodeSpec, group: Group, steps: IntArray) -> CodeArray:
        window = self.window(group)
        turns_per_step = (window // 8 + 1 + np.arange(group.size)) * ((1 << TURN_BITS) // window)
        first_block, skip = divmod(group.start, 4)
        drawn = words(spec.seed, Stream.CODES, [0], skip + group.size, first_block=first_block)[0, skip:]
        phase = ((steps % window)[:, None] * turns_per_step + drawn.astype(np.int64)) % (1 << TURN_BITS)
        sine = sine_table()[phase >> (TURN_BITS - TABLE_BITS)]
        return _scaled(sine, spec.amplitude).astype(np.int16)

    def mean_square(self, spec: CodeSpec, group: Group) -> float:
        return float(np.square(_scaled(sine_table(), spec.amplitude)).mean())  # A²/2, but for the rounding

    def gain(self, group: Group, keep: float, spacing: int) -> FloatArray:
        """That of the sine itself; rounding changes it by up to 8 % at an amplitude of 1, less than 0.5 % from 8 on."""
        decay = keep
        for _ in range(spacing - 1):
            decay *= keep
        window = self.window(group)
        cosine = _cosine((window // 8 + 1 + np.arange(group.size)) / window)
        return keep - (1.0 - keep) * decay * (cosine - decay) / (1.0 - 2.0 * decay * cosine + decay * decay)

    def mixed_up(self, groups: int) -> str | None:
        if groups == 1:
            return None
        return (
            "sinusoidal codes of layers that take turns are mixed up: they have the same frequencies, and the high-pass"
            " still feels the layer before; use codes.groups=all, codes.family=random, or training.mode=discrete"
        )

    def window(self, group: Group) -> int:
        return 1 << (4 * (group.size + 1) - 1).bit_length()


def _cosine(turns: FloatArray) -> FloatArray:
    """cos(2π turns) for 1/8 ... 3/8 of a turn, by Taylor's series: the same everywhere, which a library's is not."""
    x = 6.283185307179586 * (0.25 - turns)
    square = x * x
    series = np.ones_like(x)
    for n in range(18, 0, -2):
        series = 1.0 - square / (n * (n + 1)) * series
    return np.asarray(x * series)


def _scaled(sine: IntArray, amplitude: int) -> IntArray:
    """A · sine in whole code units, rounded half up."""
    return np.asarray((sine * amplitude + (1 << (VALUE_BITS - 1))) >> VALUE_BITS)
