"""What is nonideal about a chip: strengths, each off by default. `docs/chip.md` defines them."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from mgdhw.errors import ConfigError
from mgdhw.parsing import format_number

MAX_STEPS = 1 << 40
"""Longest time constant and period, in steps."""
THETA, SIGNAL, COST, RELATIVE = "θ", "signal", "cost", "relative"
"""Units; a "signal" is 1.0 of a pre-activation."""


def row(
    low: float,
    high: float,
    unit: str,
    doc: str,
    *,
    of_cells: bool = False,
    of_pulses: bool = False,
    noise: bool = False,
    default: float = 0.0,
) -> Any:
    """One row of the catalogue: all that anybody has to know of a nonideality but what it does.

    Args:
        low, high: range of its strength, both included.
        unit: of its strength.
        doc: one line about it.
        of_cells: whether it is on what is written, held or added to a cell, or a write interrupts it.
        of_pulses: whether only cells that move by pulses have it.
        noise: whether it makes a cost another one each time that it is measured.
        default: the strength at which there is none of it.
    """
    metadata = {
        "range": (low, high),
        "unit": unit,
        "doc": doc,
        "of_cells": of_cells,
        "of_pulses": of_pulses,
        "noise": noise,
    }
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Nonidealities:
    """Strengths of the nonidealities of a chip; zero is none of it.

    This is their catalogue: options of addresses, keys of chip files, `mgdhw sim show`, ranges and errors follow from
    its rows. A new one is a row here, what it does in `reference/`, and the same in `firmware/core/nonideal.c`; an
    engine that does not know it leaves such chips to the reference.

    `_std` and `_dtod` are standard deviations from cell to cell (or neuron to neuron), drawn once for a chip; `_noise`
    and `dw_min_std` are drawn anew each time. Relative ones are fractions.

    Raises:
        ConfigError: a strength outside its range.

    Sources: McCaughan et al., APL Machine Learning 1, 026118 (2023), for the neurons; Rasch et al., IBM's aihwkit, for
    the names and the form of soft bounds (`SoftBoundsDevice`).
    """

    dac_offset: float = row(-8, 8, THETA, "of the parameter DAC", of_cells=True)
    dac_gain: float = row(-0.5, 0.5, RELATIVE, "gain error of the parameter DAC", of_cells=True)
    dac_inl: float = row(
        -1024, 1024, "code", "integral non-linearity of the parameter DAC: the bow at mid-scale", of_cells=True
    )
    cell_gain_std: float = row(0, 0.25, RELATIVE, "spread of the cells' gain", of_cells=True)
    cell_offset_std: float = row(0, 1, THETA, "spread of the cells' offset", of_cells=True)
    stuck: float = row(0, 1, "of cells", "share of the cells that hold one random code for ever", of_cells=True)
    dead: float = row(0, 1, "of cells", "share of the cells that conduct nothing", of_cells=True)
    perturbation_std: float = row(0, 0.25, RELATIVE, "spread of the perturbation's amplitude", of_cells=True)
    input_noise: float = row(0, 0.125, "of full scale", "of each input line and sample", noise=True)
    read_noise: float = row(0, 1, SIGNAL, "of each column and sample", noise=True)
    ir_row: float = row(0, 0.5, RELATIVE, "share of the signal that is lost at the far end of a row", of_cells=True)
    ir_column: float = row(
        0, 0.5, RELATIVE, "share of the signal that is lost at the far end of a column", of_cells=True
    )
    neuron_std: float = row(
        0,
        1,
        f"{SIGNAL}, {RELATIVE}",
        "σ_a of the 2023 paper: spread of a neuron's midpoint, steepness, amplitude and offset",
    )
    midpoint_std: float = row(0, 1, SIGNAL, "spread of x₀")
    steepness_std: float = row(0, 1, RELATIVE, "spread of k")
    amplitude_std: float = row(0, 1, RELATIVE, "spread of L")
    offset_std: float = row(0, 1, SIGNAL, "spread of y₀")
    adc_noise: float = row(0, 1, SIGNAL, "of the output converter")
    adc_inl: float = row(-1024, 1024, "code", "bow of the output converter at mid-scale")
    cost_noise: float = row(0, 16, COST, "of each sample's cost", noise=True)
    write_noise: float = row(0, 8, THETA, "of each written parameter", of_cells=True)
    w_max: float = row(
        0,
        64,
        THETA,
        "upper bound of a cell that moves by pulses (soft bounds); 0 is a cell that is written by a DAC",
        of_cells=True,
    )
    w_min: float = row(-64, 0, THETA, "lower bound of such a cell")
    dw_min: float = row(0, 8, THETA, "what one pulse moves at θ = 0; 0 is one parameter code", of_pulses=True)
    up_down: float = row(-0.9, 0.9, RELATIVE, "up pulses are larger by this, down pulses smaller", of_pulses=True)
    w_max_dtod: float = row(0, 1, RELATIVE, "spread of w_max", of_pulses=True)
    w_min_dtod: float = row(0, 1, RELATIVE, "spread of w_min", of_pulses=True)
    dw_min_dtod: float = row(0, 1, RELATIVE, "spread of dw_min", of_pulses=True)
    up_down_dtod: float = row(0, 1, RELATIVE, "spread of up_down", of_pulses=True)
    dw_min_std: float = row(0, 8, "of dw_min", "noise of one pulse, relative to its size", of_pulses=True)
    retention: float = row(
        0, MAX_STEPS, "step", "time constant with which a cell decays towards `rest`; 0 is for ever", of_cells=True
    )
    rest: float = row(-64, 64, THETA, "what a cell decays to")
    drift_nu: float = row(
        0, 1, "exponent", "of a power-law drift (1 + ticks since programming)**-ν towards `rest`", of_cells=True
    )
    drift_nu_dtod: float = row(0, 1, RELATIVE, "spread of drift_nu")
    drift_every: int = row(1, MAX_STEPS, "step", "steps to a tick, at which ageing is looked at", default=1)
    temperature_std: float = row(0, 100, "K", "size of the chip's temperature steps")
    temperature_every: int = row(1, MAX_STEPS, "step", "steps from one temperature to the next", default=1)
    temperature_steepness: float = row(-0.01, 0.01, "1 / K", "what a kelvin does to the steepness of all neurons")
    temperature_midpoint: float = row(-0.1, 0.1, f"{SIGNAL} / K", "what a kelvin does to the midpoint of all neurons")
    settling: float = row(
        0, 0.9, RELATIVE, "share of the evaluation before that is still in an output, exp(-τ_p / τ_RC)", of_cells=True
    )
    endurance: float = row(0, 1e15, "write", "writes (pulses) after which a cell sticks; 0 is for ever", of_cells=True)
    endurance_dtod: float = row(0, 1, RELATIVE, "spread of endurance")

    def __post_init__(self) -> None:
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:  # also where it is not a number
                raise ConfigError(f"{name}={format_number(value)}: expected {low:g} ... {high:g}")
        if self.stuck + self.dead > 1:
            raise ConfigError(f"stuck={self.stuck:g} and dead={self.dead:g} are more than all cells")
        if self.pulsed != (self.w_min < 0):
            raise ConfigError(f"w_max={self.w_max:g}, w_min={self.w_min:g}: soft bounds need w_max > 0 and w_min < 0")
        if not self.pulsed and any(getattr(self, name) for name in OF_PULSES):
            given = next(name for name in OF_PULSES if getattr(self, name))
            raise ConfigError(f"{given}={getattr(self, given):g} is of cells that move by pulses; give w_max and w_min")

    @property
    def pulsed(self) -> bool:
        """Whether cells move by pulses rather than being written by the DAC."""
        return self.w_max > 0

    @property
    def noisy(self) -> bool:
        """Whether a cost is another one each time that it is measured, while nothing else changes."""
        return any(getattr(self, name) > 0 for name in NOISE)

    @property
    def ages(self) -> bool:
        """Whether what a cell holds changes with time."""
        return self.retention > 0 or self.drift_nu > 0

    @property
    def exact_writes(self) -> bool:
        """Whether the perturbed parameters of a probe can be written instead of added, to the same bits."""
        return all(getattr(self, name) == getattr(IDEAL, name) for name in OF_CELLS)

    def given(self) -> dict[str, float]:
        """Those that differ from an ideal chip's: name and strength."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}


RANGES: dict[str, tuple[float, float]] = {f.name: f.metadata["range"] for f in fields(Nonidealities)}
"""What each may be; what a chip can represent may be less."""
UNITS: dict[str, str] = {f.name: f.metadata["unit"] for f in fields(Nonidealities)}
OF_PULSES = tuple(f.name for f in fields(Nonidealities) if f.metadata["of_pulses"])
"""Only of cells that move by pulses."""
OF_CELLS = tuple(f.name for f in fields(Nonidealities) if f.metadata["of_cells"])
"""On what is written, held or added to a cell, or that a write interrupts."""

NOISE = tuple(f.name for f in fields(Nonidealities) if f.metadata["noise"])
"""What makes a cost another one each time that it is measured."""

IDEAL = Nonidealities()
