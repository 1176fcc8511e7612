"""Of the referee (`referee_nonideal.py`): noise, and what is particular about each cell and neuron."""

from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import lru_cache
from math import floor
from statistics import NormalDist
from typing import Any, Protocol

from tests.sim.reference.referee import Fractions, Widths
from tests.sim.reference.referee_arithmetic import clip, nearest, rshift
from tests.sim.reference.referee_codes import arctangent, word

MISMATCH, WRITE, INPUT, READ, COST, ADC, TEMPERATURE, TAIL = range(7, 15)  # streams


class Spec(Widths, Protocol):
    """The numbers that describe a nonideal chip; its effects have the names of the page."""

    seed: int
    nonidealities: Any


def fix(a: float, s: float) -> int:
    return floor(a * s + 0.5)


DIGITS = 70


def pi() -> Decimal:
    return 4 * (4 * arctangent(Decimal(1) / 5) - arctangent(Decimal(1) / 239))


def phi(x: Decimal, root: Decimal) -> Decimal:
    """√(2/π) e^(-x²/2); `root` is √(2/π)."""
    return root * (-x * x / 2).exp()


def inside(x: Decimal, root: Decimal) -> Decimal:
    """P(|Z| <= x), by a series without cancellation."""
    total, term, n = Decimal(0), x, 1
    while term > Decimal("1e-60"):
        total += term
        n += 2
        term = term * x * x / n
    return phi(x, root) * total


def quantile(p: Decimal, root: Decimal) -> Decimal:
    """x(p): the number with P(|Z| > x) = p."""
    if p == 1:
        return Decimal(0)
    x = Decimal(-NormalDist().inv_cdf(float(p) / 2))
    for _ in range(3):  # Newton's steps: 15, 30, 60 digits; fewer in the tails, where less is known of p
        x += (1 - p - inside(x, root)) / phi(x, root)
    return x


@lru_cache
def noise_tables() -> tuple[list[int], list[int], list[int]]:
    """L, T and U."""
    with localcontext() as context:
        context.prec = DIGITS
        root = (2 / pi()).sqrt()

        def t(x: Decimal) -> int:
            return nearest(4096 * x * 249999 / 250000)

        border, curved = [], Decimal(0)
        heights = [phi(quantile(1 - Decimal(k) / 128, root), root) for k in range(128)]
        for k in range(128):
            border.append(t(curved))
            if k < 127:
                curved = 2 * 128 * (heights[k] - heights[k + 1]) - curved
        steps = [t(quantile(Decimal(511 - 2 * r) / 2**16, root)) for r in range(240)]
        far = [t(quantile(Decimal(16 + j % 16) * Decimal(2) ** (j // 16 - 47), root)) for j in range(512)]
        return border, steps, [*far, t(quantile(Decimal(2) ** -11, root))]


def draw_of(field_: int, second: int) -> int:
    """The draw of a 16-bit field, and of a second word where that is asked for."""
    L, T, U = noise_tables()
    s, k, r = field_ >> 15, field_ >> 8 & 127, field_ & 255
    if k < 127:
        size = L[k] + rshift((L[k + 1] - L[k]) * (2 * r + 1), 9)
    elif r < 240:
        size = T[r]
    else:
        w = max(1, second)
        e = 32 - w.bit_length()
        v = (w << (e + 1)) % 2**32
        j, q = 16 * (31 - e) + (v >> 28), v >> 20 & 255
        size = U[j] + rshift((U[j + 1] - U[j]) * (2 * q + 1), 9)
    return -size if s else size


def gaussian(seed: int, stream: int, step: int, layer: int, part: int, n: int) -> int:
    last = (layer << 8) + (part << 16)
    drawn = word(seed, stream + last, step, n // 2) >> 16 * (n % 2) & 0xFFFF
    far = drawn & 0x7FFF >= 127 * 256 + 240
    return draw_of(drawn, word(seed, TAIL + last + (stream << 24), step, n) if far else 0)


def noise(S: int, g: int) -> int:
    return rshift(g * S, 15)


def size(sigma: float) -> int:
    return fix(sigma, 8)


@dataclass(frozen=True)
class Parameter:
    """What is particular about one cell."""

    lives: bool
    stuck: int | None
    K: int
    O: int  # noqa: E741
    M: int
    W_up: int
    W_down: int
    d_up: int
    d_down: int
    s_up: int
    s_down: int
    nu: int
    endurance: int | None


@dataclass(frozen=True)
class Neuron:
    """What is particular about one neuron."""

    x0: int
    k: int
    L: int
    y0: int


class Fab:
    """Draws of a chip's mismatch."""

    def __init__(self, chip: Spec) -> None:
        self.chip, self.nonidealities, self.bits = chip, chip.nonidealities, Fractions.of(chip)
        self.E = max(1, 12 - chip.weight_bits)
        self.H = 2 ** (chip.weight_bits + 13)
        self.u = 2.0 ** (self.bits.w + 14)

    def draw(self, q: int, sigma: float, n: int) -> int:
        S = size(sigma)
        return noise(S, gaussian(self.chip.seed, MISMATCH, 0, q, 0, n)) if S else 0

    def spread(self, q: int, b: int, sigma: float, n: int) -> int:
        return b + rshift(b * self.draw(q, 2**15 * sigma, n), 15)

    def parameter(self, n: int, i: int, j: int, inputs: int, outputs: int) -> Parameter:
        """Of parameter n, which is that of row j and input i."""
        fx, u = self.nonidealities, self.u
        random = word(self.chip.seed, MISMATCH, 0, n)
        low, high = random & 0xFFFF, random >> 16
        s, d = fix(fx.stuck, 2**16), fix(fx.dead, 2**16)
        stuck, dead = low < s, s <= low < s + d
        lost = (fix(fx.ir_row, 2**15) * (2 * i + 1)) // (2 * (inputs + 1))
        lost += (fix(fx.ir_column, 2**15) * (2 * j + 1)) // (2 * outputs)
        gain = clip(2**15 + self.draw(1, 2**15 * fx.cell_gain_std, n), 0, 2**16 - 1)
        K = 0 if dead else rshift(gain * (2**15 - lost), 15)
        amplitude = clip(2**15 + self.draw(3, 2**15 * fx.perturbation_std, n), 0, 2**16 - 1)
        W_up = clip(self.spread(4, fix(fx.w_max, u), fx.w_max_dtod, n), 2**14, self.H)
        W_down = clip(self.spread(5, fix(-fx.w_min, u), fx.w_min_dtod, n), 2**14, self.H)
        step = clip(self.spread(6, fix(fx.dw_min, u) if fx.dw_min else 2**14, fx.dw_min_dtod, n), 1, 2**14)
        beta = clip(fix(fx.up_down, 2**15) + self.draw(7, 2**15 * fx.up_down_dtod, n), 1 - 2**15, 2**15 - 1)
        d_up = max(1, rshift(step * (2**15 + beta), 15))
        d_down = max(1, rshift(step * (2**15 - beta), 15))
        e, r = fix(fx.endurance, 1), 2**15 + self.draw(9, 2**15 * fx.endurance_dtod, n)
        return Parameter(
            lives=not stuck and not dead,
            stuck=((high << self.chip.weight_bits) >> 16) - 2 ** (self.chip.weight_bits - 1) if stuck else None,
            K=K,
            O=0 if dead else self.draw(2, fx.cell_offset_std * 2.0 ** (self.bits.w + self.E), n),
            M=0 if stuck or dead else rshift(K * amplitude, 15),
            W_up=W_up,
            W_down=W_down,
            d_up=d_up,
            d_down=d_down,
            s_up=(2**20 * d_up) // W_up,
            s_down=(2**20 * d_down) // W_down,
            nu=clip(self.spread(8, fix(fx.drift_nu, 2**16), fx.drift_nu_dtod, n), 0, 2**16),
            endurance=max(1, (e >> 15) * r + (((e % 2**15) * r) >> 15)) if fx.endurance else None,
        )

    def neuron(self, n: int) -> Neuron:
        fx, signal = self.nonidealities, 2.0**self.bits.s
        return Neuron(
            x0=self.draw(10, (fx.midpoint_std or fx.neuron_std) * signal, n),
            k=clip(2**12 + self.draw(11, 2**12 * (fx.steepness_std or fx.neuron_std), n), 0, 2**13 - 1),
            L=clip(2**12 + self.draw(12, 2**12 * (fx.amplitude_std or fx.neuron_std), n), 0, 2**13 - 1),
            y0=self.draw(13, (fx.offset_std or fx.neuron_std) * signal, n),
        )
