"""A referee for nonideal chips: the second part of docs/chip.md, and its noise, written a second time.

In the manner of `referee.py`, whose first part it builds on: it imports nothing of the project, was written from the
page alone, and is slow on purpose.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from functools import lru_cache
from math import isqrt

from tests.sim.reference.referee import (
    Answer,
    Fractions,
    Work,
    cost_code,
    curve_table,
    input_codes,
    logarithm_table,
    neuron,
    output_codes,
    parameter_codes,
    target_codes,
)
from tests.sim.reference.referee_arithmetic import clip, nearest, rshift, sat
from tests.sim.reference.referee_codes import layers, perturbation, sample_at
from tests.sim.reference.referee_variation import (
    ADC,
    COST,
    INPUT,
    READ,
    TEMPERATURE,
    WRITE,
    Fab,
    Neuron,
    Parameter,
    Spec,
    fix,
    gaussian,
    noise,
    size,
)

BASELINE, PLUS, MINUS, INFER = range(4)  # parts


# --- Ageing -----------------------------------------------------------------------------------------------------------


def logarithm(m: int) -> int:
    """ln(m) with 20 fraction bits."""
    N = logarithm_table(20)
    q = m.bit_length() - 1
    u = (m << (30 - q) if q <= 30 else m >> (q - 30)) - 2**30
    k = u >> 20
    return q * N[1024] + N[k] + rshift((N[k + 1] - N[k]) * (u - (k << 20)), 20)


@lru_cache
def decay_table() -> list[int]:
    with localcontext() as context:
        context.prec = 50
        return [nearest((-Decimal(k) / 64).exp() * 2**16) for k in range(1025)]


def decay(y: int) -> int:
    """e^-y with 16 fraction bits, for y with 20."""
    Y, k = decay_table(), y >> 14
    return Y[k] + rshift((Y[k + 1] - Y[k]) * (y - (k << 14)), 14)


# --- Cells and signals ------------------------------------------------------------------------------------------------


@dataclass
class Cell:
    """What a cell remembers."""

    asked: int | None = None
    v: int = 0
    tick: int = 0
    writes: int = 0


@dataclass
class Measurement:
    """Signals h of the last layer of every sample, and its costs after settling, summed."""

    towards: list[list[int]]
    cost: int = 0


@dataclass
class NonidealChip:
    """A nonideal chip with samples loaded and parameter codes written."""

    chip: Spec
    cells: list[Cell] = field(default_factory=list)
    written: int = 0
    now: int = 0

    def __post_init__(self) -> None:
        self.fx, self.bits, self.fab = self.chip.nonidealities, Fractions.of(self.chip), Fab(self.chip)
        self.G = max(0, 11 - self.chip.input_bits)
        self.parameters: list[Parameter] = []
        self.neurons: list[list[Neuron]] = []
        first = 0
        for layer in layers(self.chip.layers):
            rows, columns = layer.outputs, layer.inputs
            places = [(j, i) for j in range(rows) for i in range(columns)] + [(j, columns) for j in range(rows)]
            for j, i in places:
                self.parameters.append(self.fab.parameter(len(self.parameters), i, j, columns, rows))
            self.neurons.append([self.fab.neuron(first + j) for j in range(rows)])
            first += rows
        self.cells = [Cell() for _ in self.parameters]

    def load(self, inputs: Sequence[Sequence[float]], targets: Sequence[Sequence[float]]) -> None:
        self.inputs = [input_codes(self.chip, row) for row in inputs]
        self.targets = [target_codes(row) for row in targets]

    # Cells

    def tick(self, step: int) -> int:
        return step // self.fx.drift_every if self.fx.retention > 0 or self.fx.drift_nu > 0 else 0

    def converted(self, c: int) -> int:
        """D(c)."""
        top = fix(self.fx.dac_inl, 2**14)
        value = (c << 14) + fix(self.fx.dac_offset, self.fab.u) + rshift(c * fix(self.fx.dac_gain, 2**20), 6)
        value += top - rshift(top * c * c, 2 * (self.chip.weight_bits - 1))
        return clip(value, -self.fab.H, self.fab.H)

    def aged(self, n: int, tick: int) -> int:
        """v(a) of cell n."""
        parameter, cell = self.parameters[n], self.cells[n]
        if parameter.stuck is not None:
            return self.converted(parameter.stuck)
        a = clip(tick - cell.tick, 0, 2**40)
        rho = min(fix(self.fx.drift_every / self.fx.retention, 2**20), 2**24 - 1) if self.fx.retention else 0
        y = min(min(a, 2**24 - 1) * rho + rshift(parameter.nu * logarithm(1 + a), 16), 2**24 - 1)
        R = clip(fix(self.fx.rest, self.fab.u), -self.fab.H, self.fab.H)
        return R + rshift((cell.v - R) * decay(y), 16)

    def write(self, theta: Sequence[float], step: int) -> list[int]:
        """Codes asked for; see `held` for what the cells make of them."""
        codes = parameter_codes(self.chip, theta)
        for n, (code, cell, parameter) in enumerate(zip(codes, self.cells, self.parameters, strict=True)):
            if code == cell.asked:
                continue
            self.written = step
            before, cell.asked = cell.asked or 0, code
            worn = parameter.endurance is not None and cell.writes >= parameter.endurance
            if parameter.lives and not worn:
                self.write_cell(n, cell, code - before, step)
        self.now = max(self.now, step)
        return codes

    def write_cell(self, n: int, cell: Cell, change: int, step: int) -> None:
        fx, u, parameter = self.fx, self.fab.u, self.parameters[n]
        of_write = noise(size(fx.write_noise * u), self.gaussian(WRITE, step, 0, 0, 2 * n))
        if fx.w_max == 0:
            assert cell.asked is not None
            cell.v = clip(self.converted(cell.asked) + of_write, -self.fab.H, self.fab.H)
            cell.writes += 1
        else:
            pulses, f = abs(change), fix(fx.dw_min, u)
            if fx.dw_min:
                pulses = (2**14 * abs(change) + f // 2) // f
            v, low, high = self.aged(n, self.tick(step)), -parameter.W_down, parameter.W_up
            for _ in range(pulses):
                if change > 0:
                    v = clip(v + parameter.d_up - rshift(v * parameter.s_up, 20), low, high)
                else:
                    v = clip(v - parameter.d_down - rshift(v * parameter.s_down, 20), low, high)
            d = parameter.d_up if change > 0 else parameter.d_down
            S = (d * fix(fx.dw_min_std, 2**15) * isqrt(2**16 * pulses)) >> 20
            of_pulses = noise(S, self.gaussian(WRITE, step, 0, 0, 2 * n + 1))
            cell.v = clip(v + of_pulses + of_write, low, high)
            cell.writes += pulses
        cell.tick = self.tick(step)

    def held(self) -> list[int]:
        """What `read` answers, in cell units."""
        return [self.aged(n, self.tick(self.now)) for n in range(len(self.cells))]

    def weight(self, n: int, theta_tilde: int, tick: int) -> int:
        parameter, E, width = self.parameters[n], self.fab.E, self.chip.weight_bits + self.fab.E + 1
        w = sat(rshift(rshift(self.aged(n, tick), 14 - E) * parameter.K, 15) + parameter.O, width)
        change = rshift(2**E * abs(theta_tilde) * parameter.M, 15)
        return sat(w + (change if theta_tilde > 0 else -change), width)

    # Signals

    def gaussian(self, stream: int, step: int, layer: int, part: int, n: int) -> int:
        return gaussian(self.chip.seed, stream, step, layer, part, n)

    def row_noise(self, stream: int, S: int, step: int, layer: int, part: int, b: int, n: int) -> list[int]:
        """Of a row of n places, for sample b."""
        if S == 0:
            return [0] * n
        first = b * 8 * -(-n // 8)
        return [noise(S, self.gaussian(stream, step, layer, part, first + j)) for j in range(n)]

    def temperature(self, step: int) -> int:
        m = step // self.fx.temperature_every
        S = size(256 * self.fx.temperature_std)
        return noise(S, self.gaussian(TEMPERATURE, m, 0, 0, 0)) if m and S else 0

    def warm(self, neuron_: Neuron, T: int) -> Neuron:
        x0 = neuron_.x0 + rshift(T * fix(self.fx.temperature_midpoint, 2.0 ** (self.bits.s + 8)), 16)
        k = clip(neuron_.k + rshift(T * fix(self.fx.temperature_steepness, 2**20), 16), 0, 2**13 - 1)
        return Neuron(x0, k, neuron_.L, neuron_.y0)

    def signals(self, weights: Sequence[int], step: int, sample: int, part: int, b: int) -> list[int]:
        """h of the last layer at a step, with the noise of its part for row b."""
        chip, fx, bits, E = self.chip, self.fx, self.bits, self.fab.E
        n_in, X, F_in = chip.layers[0], 2 ** (chip.input_bits + self.G) - 1, bits.x + self.G
        added = self.row_noise(INPUT, size(fx.input_noise * 2.0**F_in), step, 0, part, b, n_in)
        x = [clip((value << self.G) + more, -X, X) for value, more in zip(self.inputs[sample], added, strict=True)]
        T = self.temperature(step)
        for number, layer in enumerate(layers(chip.layers)):
            last = number == len(chip.layers) - 2
            table = curve_table(chip, last)
            added = self.row_noise(READ, size(fx.read_noise * 2.0**bits.s), step, number, part, b, layer.outputs)
            result = []
            for j in range(layer.outputs):
                row = layer.first + j * layer.inputs
                a = sum(weights[row + i] * x[i] for i in range(layer.inputs))
                a += weights[layer.first + layer.outputs * layer.inputs + j] << F_in
                z = sat(rshift(a, F_in + bits.w + E - bits.s) + added[j], chip.signal_bits)
                own = self.warm(self.neurons[number][j], T)
                z = sat(rshift((z - own.x0) * own.k, 12), chip.signal_bits)
                h = neuron(table, z, chip.signal_bits, chip.lut_bits)
                result.append(sat(rshift(h * own.L, 12) + own.y0, chip.signal_bits))
            x, F_in = result, bits.s
        return x

    # Measurements

    def measure(
        self, tilde: Sequence[int], samples: Sequence[int], step: int, part: int, before: Measurement | None
    ) -> Measurement:
        """`before`: the measurement before, where something of it is left."""
        chip, weights = self.chip, [self.weight(n, t, self.tick(step)) for n, t in enumerate(tilde)]
        S, epsilon = size(self.fx.cost_noise * 2.0**self.bits.c), fix(self.fx.settling, 2**15)
        found = Measurement([])
        for b, sample in enumerate(samples):
            h = self.signals(weights, step, sample, part, b)
            found.towards.append(h)
            left = h if before is None else before.towards[b]
            h = [value + rshift(epsilon * (old - value), 15) for value, old in zip(h, left, strict=True)]
            code = cost_code(chip, h, self.targets[sample])
            code += self.row_noise(COST, S, step, 0, part, b, 1)[0]
            found.cost += clip(code, 0, 2**chip.cost_bits - 1)
        return found

    def anything_left(self, step: int) -> bool:
        """Whether something of the measurements of the step before is left at a step."""
        if step == 0 or step - 1 < self.written or self.tick(step) != self.tick(step - 1):
            return False
        return not (self.fx.temperature_std and step % self.fx.temperature_every == 0)

    def last_of(self, block: Work, step: int) -> Measurement:
        """The last measurement of the step before, made anew."""
        samples = self.samples(block, step - 1)
        tilde = perturbation(block.codes, self.chip.layers, step - 1)
        if block.baseline == "antithetic":
            return self.measure([-value for value in tilde], samples, step - 1, MINUS, None)
        return self.measure(tilde, samples, step - 1, PLUS, None)

    def samples(self, block: Work, step: int) -> list[int]:
        first = step // block.tau_x * block.batch
        return [sample_at(q, len(self.inputs), block.order_seed) for q in range(first, first + block.batch)]

    def probe(self, block: Work, carried: tuple[int, int] | None = None) -> Answer:
        """`carried`: batch and value of a baseline that was taken before the block, at the same θ."""
        held, perturbed, other = carried, [], []
        evaluations, zero = 0, [0] * len(self.cells)
        before: Measurement | None = None
        for step in range(block.first, block.first + block.count):
            batch, samples = step // block.tau_x, self.samples(block, step)
            tilde = perturbation(block.codes, self.chip.layers, step)
            if not self.anything_left(step):
                before = None
            elif step == block.first and fix(self.fx.settling, 2**15):
                before = self.last_of(block, step)
            measured = []
            for part in self.parts(block, held is not None and held[0] == batch):
                sign = {BASELINE: 0, PLUS: 1, MINUS: -1}[part]
                change = [sign * value for value in tilde] if sign else zero
                before = self.measure(change, samples, step, part, before)
                measured.append((part, before.cost))
                evaluations += 1
            costs = dict(measured)
            perturbed.append(costs[PLUS])
            if block.baseline == "held":
                held = (batch, costs[BASELINE]) if BASELINE in costs else held
                assert held is not None
                other.append(held[1])
            elif block.baseline != "none":
                other.append(costs[BASELINE if block.baseline == "every" else MINUS])
        self.now = max(self.now, block.first + block.count)
        return Answer(
            perturbed,
            None if block.baseline == "none" else other,
            evaluations,
            held if block.baseline == "held" else None,
        )

    @staticmethod
    def parts(block: Work, is_held: bool) -> Iterator[int]:
        """The measurements of a probe, in their order."""
        if block.baseline == "every" or (block.baseline == "held" and not is_held):
            yield BASELINE
        yield PLUS
        if block.baseline == "antithetic":
            yield MINUS

    def infer(self, samples: Sequence[int], step: int) -> list[list[int]]:
        chip, bits, fx = self.chip, self.bits, self.fx
        weights = [self.weight(n, 0, self.tick(step)) for n in range(len(self.cells))]
        S, B = size(fx.adc_noise * 2.0**bits.s), fix(fx.adc_inl, 2**8)
        lo = -(2 ** (chip.output_bits - 1)) if chip.output_activation in ("tanh", "identity") else 0
        hi = lo + 2**chip.output_bits - 1
        answer = []
        for sample in samples:
            h = self.signals(weights, step, sample, INFER, sample)
            added = self.row_noise(ADC, S, step, 0, INFER, sample, len(h))
            y = output_codes(chip, [value + more for value, more in zip(h, added, strict=True)])
            q = [2 * value - (lo + hi + 1) for value in y]
            bow = [rshift(B - rshift(B * each * each, 2 * chip.output_bits), 8) for each in q]
            answer.append([clip(value + more, lo, hi) for value, more in zip(y, bow, strict=True)])
        return answer
