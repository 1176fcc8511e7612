"""Chips whose parameters are cells of an analog memory: filamentary RRAM, PCM, capacitors, floating gates.

A cell's normalised weight, -1 ... 1 in the literature, is taken as θ / 2 where a source gives numbers in it (assumed).
"""

from __future__ import annotations

from mgdhw.timing import Timing
from mgdhw_sim.presets.literature import BEZ, GOKMEN, GUO, LE_GALLO, LEE, PCM_REVIEW
from mgdhw_sim.presets.preset import Preset
from mgdhw_sim.spec import ChipSpec

MAC = "2 operations at 9.76 TOPS/W; " + LE_GALLO
DAC = "assumed: one conversion of an 8-bit DAC"
READ = "assumed: as long as a read of PCM"
SERIAL = "assumed: cells are written one after another; "

PRESETS = (
    Preset(
        spec=ChipSpec(
            name="rram",
            timing=Timing(
                baseline_seconds=50e-9,
                baseline_joules=0.205e-12,
                probe_seconds=50e-9,
                probe_joules=0.205e-12,
                input_seconds=1e-9,
                input_joules=1e-12,
                write_seconds=5e-9,
                write_joules=0.125e-12,
            ),
        ),
        about="filamentary RRAM (HfO2)",
        sources={
            "timing.baseline_seconds": READ,
            "timing.baseline_joules": "assumed: as PCM. " + MAC,
            "timing.probe_seconds": READ,
            "timing.probe_joules": "assumed: as PCM. " + MAC,
            "timing.input_seconds": "assumed",
            "timing.input_joules": DAC,
            "timing.write_seconds": SERIAL + "a pulse of 5 ns; " + LEE,
            "timing.write_joules": "25 µA at 1 V (assumed) for 5 ns; " + LEE,
        },
    ),
    Preset(
        spec=ChipSpec(
            name="pcm",
            timing=Timing(
                baseline_seconds=50e-9,
                baseline_joules=0.205e-12,
                probe_seconds=50e-9,
                probe_joules=0.205e-12,
                input_seconds=1e-9,
                input_joules=1e-12,
                write_seconds=100e-9,
                write_joules=10e-12,
            ),
        ),
        about="phase-change memory (Ge2Sb2Te5)",
        sources={
            "timing.baseline_seconds": "a read of 50 ns; " + PCM_REVIEW,
            "timing.baseline_joules": MAC,
            "timing.probe_seconds": "a read of 50 ns; " + PCM_REVIEW,
            "timing.probe_joules": MAC,
            "timing.input_seconds": "assumed",
            "timing.input_joules": DAC,
            "timing.write_seconds": SERIAL + "a write of 100 ns; " + PCM_REVIEW,
            "timing.write_joules": "assumed: 100 µA at 1 V for 100 ns",
        },
    ),
    Preset(
        spec=ChipSpec(
            name="capacitor",
            timing=Timing(
                baseline_seconds=80e-9,
                baseline_joules=0.205e-12,
                probe_seconds=80e-9,
                probe_joules=0.205e-12,
                input_seconds=1e-9,
                input_joules=1e-12,
                update_seconds=20e-9,
                write_joules=10e-15,
            ),
        ),
        about="capacitor cells (trench capacitors beside 14 nm logic)",
        sources={
            "timing.baseline_seconds": "integration for 80 ns; " + GOKMEN,
            "timing.baseline_joules": "assumed: as PCM. " + MAC,
            "timing.probe_seconds": "integration for 80 ns; " + GOKMEN,
            "timing.probe_joules": "assumed: as PCM. " + MAC,
            "timing.input_seconds": "assumed",
            "timing.input_joules": DAC,
            "timing.update_seconds": "assumed: ten pulses of 1 ns of either sign, all cells at once, as proposed in "
            + GOKMEN,
            "timing.write_joules": "assumed: 10 fF charged to 1 V",
        },
    ),
    Preset(
        spec=ChipSpec(
            name="floating-gate",
            timing=Timing(
                baseline_seconds=1e-6,
                baseline_joules=0.197e-12,
                probe_seconds=1e-6,
                probe_joules=0.197e-12,
                input_seconds=10e-9,
                input_joules=1e-12,
                write_seconds=10e-6,
                write_joules=5e-9,
            ),
        ),
        about="floating gates (180 nm embedded NOR flash)",
        sources={
            "timing.baseline_seconds": "a pattern in less than 1 µs; " + GUO,
            "timing.baseline_joules": "a pattern takes 20 nJ in 101,780 cells; " + GUO,
            "timing.probe_seconds": "a pattern in less than 1 µs; " + GUO,
            "timing.probe_joules": "a pattern takes 20 nJ in 101,780 cells; " + GUO,
            "timing.input_seconds": "assumed",
            "timing.input_joules": DAC,
            "timing.write_seconds": SERIAL + "hot electrons for some microseconds, 10 µs assumed; " + BEZ,
            "timing.write_joules": "assumed: 100 µA at 5 V for 10 µs",
        },
    ),
)
