"""Of the referee (`referee.py`): random numbers, perturbation codes and the order of samples."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import lru_cache
from itertools import pairwise
from math import floor
from typing import Protocol

from tests.sim.reference.referee_arithmetic import nearest, rshift

CODES, ORDER = 1, 2  # streams
MASK = 0xFFFFFFFF


@lru_cache(maxsize=1 << 16)
def philox(seed: int, stream: int, step: int, block: int) -> tuple[int, int, int, int]:
    """Philox4x32-10 (Salmon et al., SC'11)."""
    c0, c1, c2, c3 = step & MASK, step >> 32, block, stream
    k0, k1 = seed & MASK, seed >> 32
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & MASK, (p0 >> 32) ^ c3 ^ k1, p0 & MASK
        k0, k1 = (k0 + 0x9E3779B9) & MASK, (k1 + 0xBB67AE85) & MASK
    return c0, c1, c2, c3


def word(seed: int, stream: int, step: int, i: int) -> int:
    return philox(seed, stream, step, i // 4)[i % 4]


def bit(seed: int, stream: int, step: int, i: int) -> int:
    return word(seed, stream, step, i // 32) >> (i % 32) & 1


class Codes(Protocol):
    """What names the perturbation codes of a run."""

    family: str
    amplitude: int
    seed: int
    groups: str
    parameters: Sequence[float]


@dataclass(frozen=True)
class Layer:
    """Where a layer's parameters and its perturbation lines begin, and its sizes."""

    first: int
    line: int
    inputs: int
    outputs: int

    @property
    def size(self) -> int:
        return self.outputs * (self.inputs + 1)


def layers(sizes: Sequence[int]) -> list[Layer]:
    found, first, line = [], 0, 0
    for inputs, outputs in pairwise(sizes):
        found.append(Layer(first, line, inputs, outputs))
        first += outputs * (inputs + 1)
        line += outputs + inputs + 1
    return found


@lru_cache
def sine_table() -> list[int]:
    with localcontext() as context:
        context.prec = 50
        # Machin's formula, then the series of sin on the whole turn
        pi = 4 * (4 * arctangent(Decimal(1) / 5) - arctangent(Decimal(1) / 239))
        return [nearest(32767 * sine(2 * pi * k / 4096)) for k in range(4096)]


def arctangent(x: Decimal) -> Decimal:
    total, power, n = Decimal(0), x, 1
    while abs(power) > Decimal("1e-55"):
        total += power / n if n % 4 == 1 else -power / n
        power, n = power * x * x, n + 2
    return total


def sine(x: Decimal) -> Decimal:
    total, term, n = Decimal(0), x, 1
    while abs(term) > Decimal("1e-45"):
        total += term
        term, n = -term * x * x / ((n + 1) * (n + 2)), n + 2
    return total


def power_of_two(at_least: int) -> int:
    power = 1
    while power < at_least:
        power *= 2
    return power


def perturbation(codes: Codes, sizes: Sequence[int], step: int) -> list[int]:
    """θ̃ of one probe: one integer number of parameter codes for each parameter."""
    network = layers(sizes)
    total = sum(layer.size for layer in network)
    if codes.groups == "all":
        first, n, t = 0, total, step
    else:
        group = network[step % len(network)]
        first, n, t = group.first, group.size, step // len(network)
    values = [0] * total
    for i in range(first, first + n):
        values[i] = one_code(codes, network, i, i - first, n, t)
    return values


def one_code(codes: Codes, network: Sequence[Layer], i: int, g: int, n: int, t: int) -> int:
    A, seed = codes.amplitude, codes.seed
    match codes.family:
        case "random":
            return A if bit(seed, CODES, t, i) else -A
        case "sequential":
            return A if g == t % n else 0
        case "sparse":
            field = word(seed, CODES, t, i // 2) >> (16 * (i % 2)) & 0xFFFF
            if field & 0x7FFF >= floor(codes.parameters[0] * 2**15):
                return 0
            return A if field >> 15 else -A
        case "walsh":
            T = power_of_two(n + 1)
            parity = ((g + 1) & (t % T)).bit_count() % 2
            return A if parity ^ bit(seed, CODES, t // T, i) else -A
        case "sinusoidal":
            T = power_of_two(4 * (n + 1))
            phase = (t % T) * (T // 8 + 1 + g) * (2**32 // T) + word(seed, CODES, 0, i)
            return rshift(A * sine_table()[(phase & MASK) >> 20], 15)
        case "rank1":
            layer = next(layer for layer in network if layer.first <= i < layer.first + layer.size)
            j, column = divmod(i - layer.first, layer.inputs)
            if i - layer.first >= layer.outputs * layer.inputs:
                j, column = i - layer.first - layer.outputs * layer.inputs, layer.inputs
            row_bit = bit(seed, CODES, t, layer.line + j)
            column_bit = bit(seed, CODES, t, layer.line + layer.outputs + column)
            return A * (1 if row_bit else -1) * (1 if column_bit else -1)
    raise AssertionError(codes.family)


def sample_at(position: int, samples: int, seed: int) -> int:
    epoch, x = divmod(position, samples)
    bits = max(1, (samples - 1).bit_length())
    while True:
        for r in range(8):
            x = (x + word(seed, ORDER, epoch, r)) * (word(seed, ORDER, epoch, 8 + r) | 1) % 2**bits
            x ^= x >> -(-bits // 2)
        if x < samples:
            return x
