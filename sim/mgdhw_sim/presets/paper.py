"""The three hardware classes of the 2023 paper, with its times: τ_p, the time of an update, the time of an input.

Its table of training times (10⁷ steps: 5.6 h, 200 ms, 4 ms) is what `examples/paper-timing.toml` and `mgdhw estimate`
print. The paper has no energies; those are of single devices of the class, from the sources named, or assumed.
"""

from __future__ import annotations

from mgdhw.timing import Timing
from mgdhw_sim.presets.literature import HARRIS, LE_GALLO, LIKHAREV, MCCAUGHAN
from mgdhw_sim.presets.preset import Preset
from mgdhw_sim.spec import ChipSpec

TIMES = {
    "timing.baseline_seconds": f"τ_p: a measurement takes as long with a perturbation as without; {MCCAUGHAN}",
    "timing.probe_seconds": f"τ_p; {MCCAUGHAN}",
    "timing.input_seconds": f"time of an input; {MCCAUGHAN}",
    "timing.update_seconds": f"time of an update; {MCCAUGHAN}",
}
HEATER = "a phase shifter at π/2 (assumed mean), half of 24.77 mW, for 1 ms; " + HARRIS
MAC = "2 operations at 9.76 TOPS/W; " + LE_GALLO
JUNCTION = "one Josephson junction switches: I_c Φ₀ with I_c = 100 µA (assumed), without refrigeration; " + LIKHAREV

PRESETS = (
    Preset(
        spec=ChipSpec(
            name="thermo-optic",
            timing=Timing(
                baseline_seconds=1e-3,
                baseline_joules=12.4e-6,
                probe_seconds=1e-3,
                probe_joules=12.4e-6,
                input_seconds=100e-9,
                input_joules=1e-9,
                update_seconds=1e-3,
                write_joules=12.4e-6,
            ),
        ),
        about="photonics tuned by heaters, after the 2023 paper: τ_p 1 ms, update 1 ms, input 100 ns",
        sources={
            **TIMES,
            "timing.baseline_joules": HEATER,
            "timing.probe_joules": HEATER,
            "timing.input_joules": "assumed: a modulator's driver of 10 mW for 100 ns",
            "timing.write_joules": "the heater stays on during the update; " + HEATER,
        },
    ),
    Preset(
        spec=ChipSpec(
            name="mixed-signal",
            timing=Timing(
                baseline_seconds=10e-9,
                baseline_joules=0.205e-12,
                probe_seconds=10e-9,
                probe_joules=0.205e-12,
                input_seconds=1e-9,
                input_joules=1e-12,
                update_seconds=1e-6,
                write_joules=10e-12,
            ),
        ),
        about="analog memory beside VLSI, after the 2023 paper: τ_p 10 ns, update 1 µs, input 1 ns",
        sources={
            **TIMES,
            "timing.baseline_joules": MAC,
            "timing.probe_joules": MAC,
            "timing.input_joules": "assumed: one conversion of an 8-bit DAC",
            "timing.write_joules": "assumed: 10 µA at 1 V for 1 µs",
        },
    ),
    Preset(
        spec=ChipSpec(
            name="superconducting",
            timing=Timing(
                baseline_seconds=200e-12,
                baseline_joules=2.07e-19,
                probe_seconds=200e-12,
                probe_joules=2.07e-19,
                input_seconds=10e-12,
                input_joules=2.07e-19,
                update_seconds=200e-12,
                write_joules=2.07e-19,
            ),
        ),
        about="superconducting electronics, after the 2023 paper: τ_p 200 ps, update 200 ps, input 10 ps",
        sources={
            **TIMES,
            "timing.baseline_joules": JUNCTION,
            "timing.probe_joules": JUNCTION,
            "timing.input_joules": JUNCTION,
            "timing.write_joules": JUNCTION,
        },
    ),
)
