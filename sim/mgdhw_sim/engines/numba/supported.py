"""Which nonidealities the kernels know: a chip with another one runs on the reference."""

from __future__ import annotations

from functools import lru_cache

from mgdhw_sim.spec import ChipSpec

NONIDEALITIES = frozenset(
    (
        "dac_offset",
        "dac_gain",
        "dac_inl",
        "cell_gain_std",
        "cell_offset_std",
        "stuck",
        "dead",
        "perturbation_std",
        "input_noise",
        "read_noise",
        "ir_row",
        "ir_column",
        "neuron_std",
        "midpoint_std",
        "steepness_std",
        "amplitude_std",
        "offset_std",
        "adc_noise",
        "adc_inl",
        "cost_noise",
        "write_noise",
        "w_max",
        "w_min",
        "dw_min",
        "up_down",
        "w_max_dtod",
        "w_min_dtod",
        "dw_min_dtod",
        "up_down_dtod",
        "dw_min_std",
        "retention",
        "rest",
        "drift_nu",
        "drift_nu_dtod",
        "drift_every",
        "temperature_std",
        "temperature_every",
        "temperature_steepness",
        "temperature_midpoint",
        "settling",
        "endurance",
        "endurance_dtod",
    )
)


@lru_cache(maxsize=16)
def unsupported_nonideality(spec: ChipSpec) -> str | None:
    """The name of a nonideality of a chip that no kernel knows, None if there is none."""
    return next((name for name in spec.nonidealities.given() if name not in NONIDEALITIES), None)
