"""What is imperfect about a chip: strengths of its non-idealities, each off by default. `docs/chip.md` defines them."""

from __future__ import annotations

from dataclasses import dataclass, fields

from mgdhw.errors import ConfigError
from mgdhw.parsing import format_number

MAX_STEPS = 1 << 40
"""Longest time constant and period, in steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """Strengths of the non-idealities of a chip; zero is none of it.

    `_std` and `_dtod` are standard deviations from cell to cell (or neuron to neuron), drawn once for a chip; `_noise`
    and `dw_min_std` are drawn anew each time. Relative ones are fractions; a "signal unit" is 1.0 of a pre-activation.

    Args:
        dac_offset: of the parameter DAC, in units of θ.
        dac_gain: its gain error, relative.
        dac_inl: its integral non-linearity: the bow at mid-scale, in parameter codes.
        cell_gain_std: relative spread of the cells' gain.
        cell_offset_std: spread of the cells' offset, in units of θ.
        stuck: share of the cells that hold one random code for ever.
        dead: share of the cells that conduct nothing.
        perturbation_std: relative spread of the perturbation's amplitude.
        input_noise: of each input line and sample, as a fraction of full scale.
        read_noise: of each column and sample, in signal units.
        ir_row, ir_column: share of the signal that is lost at the far end of a row, and of a column.
        neuron_std: spread of a neuron's midpoint, steepness, amplitude and offset, where they have none of their own:
            the σ_a of the 2023 paper.
        midpoint_std, offset_std: the paper's x₀ and y₀, in signal units.
        steepness_std, amplitude_std: the paper's k and L, relative.
        adc_noise: of the output converter, in signal units.
        adc_inl: its bow at mid-scale, in output codes.
        cost_noise: of each sample's cost, in units of the cost.
        write_noise: of each written parameter, in units of θ.
        w_max, w_min: bounds of a cell that moves by pulses ("soft bounds"), in units of θ; w_max = 0 is a cell that is
            written by a DAC.
        dw_min: what one pulse moves at θ = 0, in units of θ; 0 is one parameter code.
        up_down: up pulses are larger by this, down pulses smaller, relative.
        w_max_dtod, w_min_dtod, dw_min_dtod: their relative spreads; up_down_dtod: spread of up_down.
        dw_min_std: noise of one pulse, relative to its size.
        retention: time constant with which a cell decays towards `rest`, in steps; 0 is for ever.
        rest: what it decays to, in units of θ.
        drift_nu: exponent of a power-law drift (1 + ticks since programming)**-ν towards `rest`; drift_nu_dtod: spread.
        drift_every: steps to a tick, at which ageing is looked at.
        temperature_std: size of the chip's temperature steps, in kelvin.
        temperature_every: steps from one to the next.
        temperature_steepness, temperature_midpoint: what a kelvin does to all neurons: relative, and in signal units.
        settling: share of the evaluation before that is still in an output, exp(-τ_p / τ_RC).
        endurance: writes (pulses) after which a cell sticks; 0 is for ever. endurance_dtod: its relative spread.

    Raises:
        ConfigError: a strength outside its range.

    Sources: McCaughan et al., APL Machine Learning 1, 026118 (2023), for the neurons; Rasch et al., IBM's aihwkit, for
    the names and the form of soft bounds (`SoftBoundsDevice`).
    """

    dac_offset: float = 0.0
    dac_gain: float = 0.0
    dac_inl: float = 0.0
    cell_gain_std: float = 0.0
    cell_offset_std: float = 0.0
    stuck: float = 0.0
    dead: float = 0.0
    perturbation_std: float = 0.0
    input_noise: float = 0.0
    read_noise: float = 0.0
    ir_row: float = 0.0
    ir_column: float = 0.0
    neuron_std: float = 0.0
    midpoint_std: float = 0.0
    steepness_std: float = 0.0
    amplitude_std: float = 0.0
    offset_std: float = 0.0
    adc_noise: float = 0.0
    adc_inl: float = 0.0
    cost_noise: float = 0.0
    write_noise: float = 0.0
    w_max: float = 0.0
    w_min: float = 0.0
    dw_min: float = 0.0
    up_down: float = 0.0
    w_max_dtod: float = 0.0
    w_min_dtod: float = 0.0
    dw_min_dtod: float = 0.0
    up_down_dtod: float = 0.0
    dw_min_std: float = 0.0
    retention: float = 0.0
    rest: float = 0.0
    drift_nu: float = 0.0
    drift_nu_dtod: float = 0.0
    drift_every: int = 1
    temperature_std: float = 0.0
    temperature_every: int = 1
    temperature_steepness: float = 0.0
    temperature_midpoint: float = 0.0
    settling: float = 0.0
    endurance: float = 0.0
    endurance_dtod: float = 0.0

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
        return self.input_noise > 0 or self.read_noise > 0 or self.cost_noise > 0

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


OF_PULSES = ("dw_min", "up_down", "w_max_dtod", "w_min_dtod", "dw_min_dtod", "up_down_dtod", "dw_min_std")
OF_CELLS = (
    *("dac_offset", "dac_gain", "dac_inl", "cell_gain_std", "cell_offset_std", "stuck", "dead", "perturbation_std"),
    *("ir_row", "ir_column", "write_noise", "w_max", "retention", "drift_nu", "settling", "endurance"),
)
"""Effects on what is written, held or added to a cell, or that a write interrupts."""

RANGES: dict[str, tuple[float, float]] = {
    "dac_offset": (-8, 8),
    "dac_gain": (-0.5, 0.5),
    "dac_inl": (-1024, 1024),
    "cell_gain_std": (0, 0.25),
    "cell_offset_std": (0, 1),
    "stuck": (0, 1),
    "dead": (0, 1),
    "perturbation_std": (0, 0.25),
    "input_noise": (0, 0.125),
    "read_noise": (0, 1),
    "ir_row": (0, 0.5),
    "ir_column": (0, 0.5),
    **dict.fromkeys(("neuron_std", "midpoint_std", "steepness_std", "amplitude_std", "offset_std"), (0, 1)),
    "adc_noise": (0, 1),
    "adc_inl": (-1024, 1024),
    "cost_noise": (0, 16),
    "write_noise": (0, 8),
    "w_max": (0, 64),
    "w_min": (-64, 0),
    "dw_min": (0, 8),
    "up_down": (-0.9, 0.9),
    **dict.fromkeys(("w_max_dtod", "w_min_dtod", "dw_min_dtod", "up_down_dtod"), (0, 1)),
    "dw_min_std": (0, 8),
    "retention": (0, MAX_STEPS),
    "rest": (-64, 64),
    "drift_nu": (0, 1),
    "drift_nu_dtod": (0, 1),
    "drift_every": (1, MAX_STEPS),
    "temperature_std": (0, 100),
    "temperature_every": (1, MAX_STEPS),
    "temperature_steepness": (-0.01, 0.01),
    "temperature_midpoint": (-0.1, 0.1),
    "settling": (0, 0.9),
    "endurance": (0, 1e15),
    "endurance_dtod": (0, 1),
}
"""What each may be; what a chip can represent may be less."""

IDEAL = Effects()
