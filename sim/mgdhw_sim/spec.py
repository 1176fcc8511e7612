"""The definition of a chip: its sizes, converters and widths. `docs/chip.md` says what each of them means."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field, fields
from typing import Any

from mgdhw.costs import COSTS
from mgdhw.errors import ConfigError
from mgdhw.parsing import format_number
from mgdhw.timing import Timing
from mgdhw.topology import Topology
from mgdhw_sim.nonidealities import Nonidealities
from mgdhw_sim.numbers import html
from mgdhw_sim.points import TABLE, Points, Tables
from mgdhw_sim.reference.tables import ACTIVATIONS

ACTIVATION_NAMES = (*ACTIVATIONS, TABLE)
COST_UNITS = (*COSTS, TABLE)
ENGINE_NAMES = ("auto", "numba", "reference")
MAX_PARAMETERS = 1 << 27
MAX_ACCUMULATOR_BITS = 62
"""Widest sum that an int64 holds with a bit to spare for rounding."""
TARGET_FRACTION_BITS = 12
"""Fraction bits of a target code: 1.0 is 4096."""
CELL_FRACTION_BITS = 14
"""Fraction bits that a cell's value has more than a parameter code."""
PULSED_BITS = 10
"""Most bits of a parameter that is moved by pulses: a write takes so many of them, one after the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipSpec:
    """A multilayer analog network with digital converters around it.

    Args:
        name: preset that it began as; for people.
        layers: sizes, inputs first: (64, 16, 10).
        activation: of the hidden layers: logistic, tanh, relu, identity, or table.
        output_activation: of the last layer.
        weight_bits: parameter DAC, 4 ... 16 bits, two's complement.
        weight_range: parameters lie in [-range, range); a power of two, 0.25 ... 64.
        input_bits: input DAC, 1 ... 16 bits.
        input_bipolar: inputs in [-1, 1) rather than [0, 1).
        signal_bits: width of the analog signals' fixed-point form, 12 ... 24 bits.
        signal_range: signals lie in [-range, range) and saturate there; a power of two, 1 ... 64.
        lut_bits: segments of an activation curve, as a power of two, 4 ... 12.
        output_bits: output ADC, 4 ... 16 bits.
        cost: the cost unit: mse, xent (softmax cross-entropy), or table.
        cost_bits: cost ADC, 4 ... 20 bits.
        cost_range: full scale of the cost ADC; a power of two, 2**-6 ... 64.
        seed: which chip of its kind this is.
        nonidealities: what is nonideal about it.
        tables: what "table" means, as points that a chip file gives.
        timing: what its work would take on hardware; None where nobody knows.
        engine: what computes it here: "numba", "reference", or "auto" for the faster that can be had; all give the
            same bits.
        codes: "chip" if it has its own code generator, "host" if the host must make the codes.
    """

    name: str = "analog-8bit"
    layers: tuple[int, ...] = (64, 16, 10)
    activation: str = "logistic"
    output_activation: str = "logistic"
    weight_bits: int = 8
    weight_range: float = 4.0
    input_bits: int = 8
    input_bipolar: bool = False
    signal_bits: int = 16
    signal_range: float = 8.0
    lut_bits: int = 8
    output_bits: int = 8
    cost: str = "mse"
    cost_bits: int = 12
    cost_range: float = 1.0
    seed: int = 0
    nonidealities: Nonidealities = field(default_factory=Nonidealities)
    tables: Tables = field(default_factory=Tables)
    codes: str = "chip"
    engine: str = "auto"
    timing: Timing | None = None

    def __post_init__(self) -> None:
        if len(self.layers) < 2 or not all(1 <= n <= 1 << 16 for n in self.layers):
            raise ConfigError(
                f"layers={'-'.join(map(format_number, self.layers))}: expected two or more sizes of 1 ... 65536"
            )
        if self.topology.n_parameters > MAX_PARAMETERS:
            raise ConfigError(f"layers={self.topology}: {self.topology.n_parameters:,} parameters are too many")
        self._one_of("activation", ACTIVATION_NAMES)
        self._one_of("output_activation", ACTIVATION_NAMES)
        self._one_of("cost", COST_UNITS)
        self._one_of("codes", ("chip", "host"))
        self._one_of("engine", ENGINE_NAMES)
        self._within("weight_bits", 4, 16)
        self._within("input_bits", 1, 16)
        self._within("signal_bits", 12, 24)
        self._within("lut_bits", 4, 12)
        self._within("output_bits", 4, 16)
        self._within("cost_bits", 4, 20)
        self._within("seed", 0, (1 << 64) - 1)
        self._power_of_two("weight_range", 0.25, 64)
        self._power_of_two("signal_range", 1, 64)
        self._power_of_two("cost_range", 2**-6, 64)
        self._check_tables()
        if self.cost_fraction_bits > 2 * self.signal_fraction_bits:
            raise ConfigError(
                f"cost_bits={self.cost_bits} with cost_range={self.cost_range:g} is finer than a product of two"
                f" signals of signal_bits={self.signal_bits}; lower cost_bits or raise signal_bits"
            )
        weight_bits, input_bits = self.weight_bits, self.input_bits
        if not self.ideal:
            weight_bits, input_bits = self.fine_weight_bits, self.input_bits + self.input_fine_bits
            self._check_pulses()
        widest = max(n + 1 for n in self.layers).bit_length() + weight_bits + max(self.signal_bits, input_bits)
        if self.cost == "mse":
            widest = max(widest, 2 * self.signal_bits + self.layers[-1].bit_length())  # |h - t| <= 2**signal_bits
        if widest > MAX_ACCUMULATOR_BITS:
            raise ConfigError(f"sums of this chip need {widest} bits, more than {MAX_ACCUMULATOR_BITS}")

    @property
    def topology(self) -> Topology:
        """Layers with their parameters and nodes."""
        return Topology.dense(self.layers)

    @property
    def weight_fraction_bits(self) -> int:
        """Fraction bits of a parameter code; negative if one code is more than 1."""
        return self.weight_bits - 1 - _log2(self.weight_range)

    @property
    def input_fraction_bits(self) -> int:
        """Fraction bits of an input code."""
        return self.input_bits - 1 if self.input_bipolar else self.input_bits

    @property
    def signal_fraction_bits(self) -> int:
        """Fraction bits of a pre-activation and of an activation."""
        return self.signal_bits - 1 - _log2(self.signal_range)

    @property
    def cost_fraction_bits(self) -> int:
        """Fraction bits of a cost code."""
        return self.cost_bits - _log2(self.cost_range)

    @property
    def ideal(self) -> bool:
        """Whether nothing is nonideal about it."""
        return not self.nonidealities.given()

    @property
    def fine_bits(self) -> int:
        """Fraction bits that a fine weight has more than a parameter code."""
        return max(1, 12 - self.weight_bits)

    @property
    def fine_weight_bits(self) -> int:
        """Width of a fine weight: with room for twice the range."""
        return self.weight_bits + self.fine_bits + 1

    @property
    def fine_fraction_bits(self) -> int:
        """Fraction bits of a fine weight."""
        return self.weight_fraction_bits + self.fine_bits

    @property
    def input_fine_bits(self) -> int:
        """Fraction bits that a noisy input has more than an input code."""
        return max(0, 11 - self.input_bits)

    @property
    def cell_limit(self) -> int:
        """Largest value of a cell, and minus the smallest, in cell units."""
        return 1 << (self.weight_bits - 1 + CELL_FRACTION_BITS)

    @property
    def rest(self) -> int:
        """What cells decay to, in cell units."""
        value = math.floor(self.nonidealities.rest * 2.0 ** (self.weight_fraction_bits + CELL_FRACTION_BITS) + 0.5)
        return min(max(value, -self.cell_limit), self.cell_limit)

    @property
    def weight_lsb(self) -> float:
        """One parameter code."""
        return 2.0**-self.weight_fraction_bits

    @property
    def cost_lsb(self) -> float:
        """One cost code."""
        return 2.0**-self.cost_fraction_bits

    def identity(self) -> str:
        """Hash of everything that decides a bit of the chip's answers."""
        others = ("name", "codes", "engine", "timing", "nonidealities", "tables")
        decisive = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in others}
        decisive |= self.nonidealities.given()  # so that one that is added later changes no other chip's identity
        for name, points in self.points().items():
            decisive[f"tables.{name}"] = [points.inputs, points.outputs]
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]

    def _repr_html_(self) -> str:
        """For notebooks."""
        return html(self)

    def points(self) -> dict[str, Points]:
        """The tables that it is made with, by what they are for: "activation", "output_activation", "cost"."""
        found = {}
        if self.activation == TABLE and self.tables.activation is not None:
            found["activation"] = self.tables.activation
        last = self.tables.output_activation or self.tables.activation
        if self.output_activation == TABLE and last is not None:
            found["output_activation"] = last
        if self.cost == TABLE and self.tables.cost is not None:
            found["cost"] = self.tables.cost
        return found

    def _check_tables(self) -> None:
        points = self.points()
        for name in ("activation", "output_activation", "cost"):
            if getattr(self, name) == TABLE and name not in points:
                raise ConfigError(
                    f'{name}=table: the chip has no such table; a chip file gives one: [tables] {name} = "FILE.csv"'
                )
        for name, one in points.items():
            low, high = (0.0, math.inf) if name == "cost" else (-self.signal_range, self.signal_range)
            for z, f in zip(one.inputs, one.outputs, strict=True):
                if not low <= f <= high:
                    wanted = "0 or more" if name == "cost" else f"what signals can be, {low:g} ... {high:g}"
                    raise ConfigError(f"tables.{name}: {f:g} at {z:g}: expected {wanted}")

    def _check_pulses(self) -> None:
        nonidealities = self.nonidealities
        if not nonidealities.pulsed:
            return
        if self.weight_bits > PULSED_BITS:
            raise ConfigError(f"weight_bits={self.weight_bits}: cells that move by pulses have {PULSED_BITS} at most")
        if nonidealities.dw_min and not self.weight_lsb / 8 <= nonidealities.dw_min <= self.weight_lsb:
            raise ConfigError(self._pulses_do_not_fit())

    def _pulses_do_not_fit(self) -> str:
        """What to do where a pulse is no such share of a code: usually the width was given, and the pulse was not."""
        code, pulse = self.weight_lsb, self.nonidealities.dw_min
        fits = (pulse <= self.weight_range * 2.0 ** (1 - bits) <= 8 * pulse for bits in range(PULSED_BITS + 1))
        widths = [bits for bits, good in enumerate(fits) if good and bits >= 4]
        others = f", or weight_bits={widths[0]} ... {widths[-1]}" if widths else ""
        return (
            f"dw_min={pulse:g} does not go with weight_bits={self.weight_bits}: a code of so many bits is {code:g}, and"
            " a pulse has to move an eighth of a code at least and a whole one at most; give"
            f" dw_min={min(max(pulse, code / 8), code)!r} ({code / 8:g} ... {code:g}){others}"
        )

    def _one_of(self, name: str, choices: Any) -> None:
        if getattr(self, name) not in choices:
            raise ConfigError(f"{name}={getattr(self, name)}: expected one of {', '.join(choices)}")

    def _within(self, name: str, low: int, high: int) -> None:
        if not low <= getattr(self, name) <= high:
            raise ConfigError(f"{name}={format_number(getattr(self, name))}: expected {low} ... {high}")

    def _power_of_two(self, name: str, low: float, high: float) -> None:
        value = getattr(self, name)
        if not low <= value <= high or 2.0 ** _log2(value) != value:
            raise ConfigError(f"{name}={format_number(value)}: expected a power of two, {low:g} ... {high:g}")


def _log2(power: float) -> int:
    """Exponent of a power of two, exactly (its neighbours' for anything else)."""
    numerator, denominator = float(power).as_integer_ratio()
    return numerator.bit_length() - denominator.bit_length()


FIELDS = {f.name: f for f in fields(ChipSpec)}
