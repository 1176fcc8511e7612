"""A referee for the simulated chip: docs/chip.md written a second time, in plain Python integers.

It imports nothing of the project and was written from the page alone, so that the page, the package and this file
have to agree. Slow on purpose: no numpy, no vectors, one sample and one parameter at a time, in the order of the page.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal, localcontext
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from math import floor
from typing import Protocol

# --- Notation ---------------------------------------------------------------------------------------------------------


def rshift(a: int, n: int) -> int:
    return (a + (1 << (n - 1))) >> n if n > 0 else a << -n


def clip(a: int, lo: int, hi: int) -> int:
    return min(max(a, lo), hi)


def sat(a: int, bits: int) -> int:
    return clip(a, -(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def dac(value: float, fraction_bits: int, lo: int, hi: int) -> int:
    return clip(floor(value * 2.0**fraction_bits + 0.5), lo, hi)


def log2(power_of_two: float) -> int:
    exponent = 0
    while power_of_two > 2**exponent:
        exponent += 1
    while power_of_two < 2.0**exponent:
        exponent -= 1
    assert power_of_two == 2.0**exponent
    return exponent


def nearest(value: Decimal) -> int:
    return int((value + Decimal("0.5")).to_integral_value(rounding=ROUND_FLOOR))


# --- Sizes and widths -------------------------------------------------------------------------------------------------


class Points(Protocol):
    """A curve by points."""

    inputs: tuple[float, ...]
    outputs: tuple[float, ...]


class Tables(Protocol):
    """What a chip file gives by points."""

    activation: Points | None
    output_activation: Points | None
    cost: Points | None


class Widths(Protocol):
    """The numbers that describe a chip, under the page's names."""

    layers: tuple[int, ...]
    activation: str
    output_activation: str
    weight_bits: int
    weight_range: float
    input_bits: int
    input_bipolar: bool
    signal_bits: int
    signal_range: float
    lut_bits: int
    output_bits: int
    cost: str
    cost_bits: int
    cost_range: float
    tables: Tables


@dataclass(frozen=True)
class Fractions:
    """Fraction bits: of a parameter, an input, a signal and a cost."""

    w: int
    x: int
    s: int
    c: int

    @classmethod
    def of(cls, chip: Widths) -> "Fractions":
        signal = chip.signal_bits - 1 - log2(chip.signal_range)
        return cls(
            w=chip.weight_bits - 1 - log2(chip.weight_range),
            x=chip.input_bits - 1 if chip.input_bipolar else chip.input_bits,
            s=signal,
            c=min(chip.cost_bits - log2(chip.cost_range), 2 * signal),
        )


# --- Converters in ----------------------------------------------------------------------------------------------------


def parameter_codes(chip: Widths, theta: Sequence[float]) -> list[int]:
    half = 1 << (chip.weight_bits - 1)
    return [dac(float(value), Fractions.of(chip).w, -half, half - 1) for value in theta]


def input_codes(chip: Widths, values: Sequence[float]) -> list[int]:
    full = 1 << chip.input_bits
    lo, hi = (-full // 2, full // 2 - 1) if chip.input_bipolar else (0, full - 1)
    return [dac(float(value), Fractions.of(chip).x, lo, hi) for value in values]


def target_codes(values: Sequence[float]) -> list[int]:
    return [dac(float(value), 12, -(1 << 15), (1 << 15) - 1) for value in values]


# --- Crossbar and neurons ---------------------------------------------------------------------------------------------


def curve(activation: str, z: Decimal) -> Decimal:
    match activation:
        case "logistic":
            return 1 / (1 + (-z).exp())
        case "tanh":
            return 1 - 2 / (1 + (2 * z).exp())
        case "relu":
            return max(z, Decimal(0))
        case "identity":
            return z
    raise AssertionError(activation)


@lru_cache
def neuron_table(activation: str, signal_bits: int, fraction_bits: int, lut_bits: int, digits: int = 50) -> list[int]:
    with localcontext() as context:
        context.prec = digits
        table = []
        for k in range(2**lut_bits + 1):
            z = Decimal(k * 2 ** (signal_bits - lut_bits) - 2 ** (signal_bits - 1)) / 2**fraction_bits
            table.append(min(2 ** (signal_bits - 1) - 1, nearest(curve(activation, z) * 2**fraction_bits)))
        return table


def straight(points: Points, z: Fraction) -> Fraction:
    """Through the points, straight between them; outside of them as at the nearest."""
    known = [(Fraction(at), Fraction(value)) for at, value in zip(points.inputs, points.outputs, strict=True)]
    if z <= known[0][0] or z >= known[-1][0]:
        return known[0][1] if z <= known[0][0] else known[-1][1]
    (z0, f0), (z1, f1) = next(pair for pair in pairwise(known) if pair[0][0] <= z <= pair[1][0])
    return (f0 * (z1 - z) + f1 * (z - z0)) / (z1 - z0)


@lru_cache
def curve_table(chip: Widths, last: bool) -> list[int]:
    """T of the last layer, or of the hidden ones."""
    name, bits, fraction = chip.output_activation if last else chip.activation, chip.signal_bits, Fractions.of(chip).s
    if name != "table":
        return neuron_table(name, bits, fraction, chip.lut_bits)
    points = (chip.tables.output_activation if last else None) or chip.tables.activation
    assert points is not None
    table = []
    for k in range(2**chip.lut_bits + 1):
        z = Fraction(k * 2 ** (bits - chip.lut_bits) - 2 ** (bits - 1), 2**fraction)
        entry = floor(straight(points, z) * 2**fraction + Fraction(1, 2))
        table.append(clip(entry, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1))
    return table


def neuron(table: Sequence[int], z: int, signal_bits: int, lut_bits: int) -> int:
    p = z + 2 ** (signal_bits - 1)
    k = p >> (signal_bits - lut_bits)
    r = p - (k << (signal_bits - lut_bits))
    return table[k] + rshift((table[k + 1] - table[k]) * r, signal_bits - lut_bits)


def signals(chip: Widths, codes: Sequence[int], x: Sequence[int]) -> list[int]:
    """The signals h of the last layer, for parameter codes and one sample's input codes."""
    bits = Fractions.of(chip)
    fraction_in = bits.x
    values, first = list(x), 0
    for layer in range(1, len(chip.layers)):
        inputs, outputs = chip.layers[layer - 1], chip.layers[layer]
        last = layer == len(chip.layers) - 1
        table = curve_table(chip, last)
        result = []
        for j in range(outputs):
            total = sum(codes[first + j * inputs + i] * values[i] for i in range(inputs))
            total += codes[first + outputs * inputs + j] << fraction_in
            z = sat(rshift(total, fraction_in + bits.w - bits.s), chip.signal_bits)
            result.append(neuron(table, z, chip.signal_bits, chip.lut_bits))
        first += outputs * (inputs + 1)
        values, fraction_in = result, bits.s
    return values


# --- Output converter and cost unit -----------------------------------------------------------------------------------


def swing_of_table(chip: Widths) -> tuple[float, bool]:
    """2**u, and whether it swings below zero."""
    table = curve_table(chip, True)
    u = -6
    while max(1, *map(abs, table)) > 2 ** Fraction(u + Fractions.of(chip).s):
        u += 1
    return 2.0**u, min(table) < 0


def output_codes(chip: Widths, h: Sequence[int]) -> list[int]:
    upper, negative = (
        swing_of_table(chip)
        if chip.output_activation == "table"
        else {
            "logistic": (1, False),
            "tanh": (1, True),
            "relu": (chip.signal_range, False),
            "identity": (chip.signal_range, True),
        }[chip.output_activation]
    )
    fraction = chip.output_bits - log2(upper) - (1 if negative else 0)
    lo = -(2 ** (chip.output_bits - 1)) if negative else 0
    hi = lo + 2**chip.output_bits - 1
    return [clip(rshift(value, Fractions.of(chip).s - fraction), lo, hi) for value in h]


def mean_squares(chip: Widths, h: Sequence[int], t: Sequence[int]) -> int:
    bits = Fractions.of(chip)
    squares = sum((a - rshift(b, 12 - bits.s)) ** 2 for a, b in zip(h, t, strict=True))
    divisor = len(h) * 2 ** (2 * bits.s - bits.c)
    return (squares + divisor // 2) // divisor


@lru_cache
def exponential_table(signal_bits: int, fraction_bits: int) -> list[int]:
    with localcontext() as context:
        context.prec = 50
        step = Decimal(2) ** (signal_bits - 10 - fraction_bits)
        return [nearest((-k * step).exp() * 2**16) for k in range(1025)]


@lru_cache
def logarithm_table(fraction_bits: int) -> list[int]:
    with localcontext() as context:
        context.prec = 50
        return [nearest((1 + Decimal(k) / 1024).ln() * 2**fraction_bits) for k in range(1025)]


def cross_entropy(chip: Widths, h: Sequence[int], t: Sequence[int]) -> int:
    bits, wide = Fractions.of(chip), chip.signal_bits - 10
    fraction = bits.s + 12
    E, N = exponential_table(chip.signal_bits, bits.s), logarithm_table(fraction)
    m, s = max(h), 0
    for value in h:
        d = m - value
        k = d >> wide
        s += E[k] + rshift((E[k + 1] - E[k]) * (d - (k << wide)), wide)
    q = s.bit_length() - 1
    u = (s << (30 - q) if q <= 30 else s >> (q - 30)) - 2**30
    k = u >> 20
    L = (q - 16) * N[1024] + N[k] + rshift((N[k + 1] - N[k]) * (u - (k << 20)), 20)
    correct = sum(a * b for a, b in zip(t, h, strict=True))
    return rshift(m * 2**12 + L - correct, fraction - bits.c)


@lru_cache
def error_table(chip: Widths) -> list[int]:
    bits, full = Fractions.of(chip), 2 ** (chip.cost_bits + 8)
    table, points = [], chip.tables.cost
    assert points is not None
    for k in range(2 ** (chip.lut_bits + 1) + 1):
        error = Fraction(k * 2 ** (chip.signal_bits - chip.lut_bits) - 2**chip.signal_bits, 2**bits.s)
        table.append(min(full, floor(straight(points, error) * Fraction(2) ** (bits.c + 8) + Fraction(1, 2))))
    return table


def tabulated(chip: Widths, h: Sequence[int], t: Sequence[int]) -> int:
    G, wide, total = error_table(chip), chip.signal_bits - chip.lut_bits, 0
    for a, b in zip(h, t, strict=True):
        p = sat(a - rshift(b, 12 - Fractions.of(chip).s), chip.signal_bits + 1) + 2**chip.signal_bits
        k = p >> wide
        total += G[k] + rshift((G[k + 1] - G[k]) * (p - (k << wide)), wide)
    return rshift(total, 8)


def cost_code(chip: Widths, h: Sequence[int], t: Sequence[int]) -> int:
    unit = {"mse": mean_squares, "xent": cross_entropy, "table": tabulated}[chip.cost]
    return clip(unit(chip, h, t), 0, 2**chip.cost_bits - 1)


# --- Random numbers ---------------------------------------------------------------------------------------------------

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


# --- Perturbation codes -----------------------------------------------------------------------------------------------


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


# --- Order of samples -------------------------------------------------------------------------------------------------


def sample_at(position: int, samples: int, seed: int) -> int:
    epoch, x = divmod(position, samples)
    bits = max(1, (samples - 1).bit_length())
    while True:
        for r in range(8):
            x = (x + word(seed, ORDER, epoch, r)) * (word(seed, ORDER, epoch, 8 + r) | 1) % 2**bits
            x ^= x >> -(-bits // 2)
        if x < samples:
            return x


# --- A block ----------------------------------------------------------------------------------------------------------


class Work(Protocol):
    """Probes first … first + count − 1, on batches of a sample order."""

    codes: Codes
    first: int
    count: int
    batch: int
    tau_x: int
    order_seed: int
    baseline: str


@dataclass(frozen=True)
class Answer:
    """Cost codes of a block: C(θ + θ̃) and, where the baseline asks for one, C₀ or C(θ − θ̃); and what it cost."""

    perturbed: list[int]
    other: list[int] | None
    evaluations: int
    held: tuple[int, int] | None  # batch and value of the baseline in force after the last probe


class Chip:
    """A chip with samples loaded and parameter codes written."""

    def __init__(self, widths: Widths) -> None:
        self.widths = widths

    def load(self, inputs: Sequence[Sequence[float]], targets: Sequence[Sequence[float]]) -> None:
        self.inputs = [input_codes(self.widths, row) for row in inputs]
        self.targets = [target_codes(row) for row in targets]

    def write(self, theta: Sequence[float]) -> list[int]:
        self.codes = parameter_codes(self.widths, theta)
        return self.codes

    def infer(self, samples: Sequence[int], step: int) -> list[list[int]]:
        return [output_codes(self.widths, signals(self.widths, self.codes, self.inputs[n])) for n in samples]

    def cost(self, theta_tilde: Sequence[int], samples: Sequence[int]) -> int:
        codes = [code + tilde for code, tilde in zip(self.codes, theta_tilde, strict=True)]
        return sum(
            cost_code(self.widths, signals(self.widths, codes, self.inputs[n]), self.targets[n]) for n in samples
        )

    def probe(self, block: Work, carried: tuple[int, int] | None = None) -> Answer:
        """`carried`: batch and value of a baseline that was taken before the block, at the same θ."""
        zero, held = [0] * len(self.codes), carried
        perturbed: list[int] = []
        other: list[int] = []
        evaluations = 0
        for step, batch, samples in self.batches(block):
            tilde = perturbation(block.codes, self.widths.layers, step)
            perturbed.append(self.cost(tilde, samples))
            evaluations += 1
            match block.baseline:
                case "held":
                    if held is None or held[0] != batch:
                        held = batch, self.cost(zero, samples)
                        evaluations += 1
                    other.append(held[1])
                case "every":
                    other.append(self.cost(zero, samples))
                    evaluations += 1
                case "antithetic":
                    other.append(self.cost([-value for value in tilde], samples))
                    evaluations += 1
        if block.baseline == "none":
            return Answer(perturbed, None, evaluations, None)
        return Answer(perturbed, other, evaluations, held if block.baseline == "held" else None)

    def batches(self, block: Work) -> Iterator[tuple[int, int, list[int]]]:
        for step in range(block.first, block.first + block.count):
            batch = step // block.tau_x
            positions = range(batch * block.batch, (batch + 1) * block.batch)
            yield step, batch, [sample_at(q, len(self.inputs), block.order_seed) for q in positions]
