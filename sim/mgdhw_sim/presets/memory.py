"""Chips whose parameters are cells of an analog memory: filamentary RRAM, PCM, capacitors, floating gates.

Cells are those that IBM's aihwkit has fitted to measurements, in the numbers of its presets (`ReRamSBPresetDevice`,
`PCMPresetDevice`, `CapacitorPresetDevice`). A normalised weight of 1 there is θ = 1 for PCM, whose bounds are ±2, and
θ = 2 for the others (assumed: networks without scaling factors need weights of that size). Its `write_noise_std` is
left out: there it is noise of each reading of a persistent weight, which a chip here has no effect for.
"""

from __future__ import annotations

from mgdhw.timing import Timing
from mgdhw_sim.nonidealities import Nonidealities
from mgdhw_sim.presets.literature import (
    AIHWKIT,
    BAYAT,
    BEZ,
    GOKMEN,
    GONG,
    GUO,
    LE_GALLO,
    LEE,
    LI,
    NANDAKUMAR_2019,
    NANDAKUMAR_2020,
    PCM_REVIEW,
)
from mgdhw_sim.presets.preset import Preset
from mgdhw_sim.spec import ChipSpec

MAC = "2 operations at 9.76 TOPS/W; " + LE_GALLO
DAC = "assumed: one conversion of an 8-bit DAC"
READ = "assumed: as long as a read of PCM"
RRAM = f"soft bounds (ReRamSBPresetDevice), {AIHWKIT}; {GONG}"
PCM = f"PCMPresetDevice, {AIHWKIT}; {NANDAKUMAR_2020}"
DRIFT = f"PCMLikeNoiseModel, {AIHWKIT}; {NANDAKUMAR_2019}"
CAPACITOR = f"CapacitorPresetDevice, {AIHWKIT}; {LI}"
READ_NOISE = "noise of 0.1 of a column, in normalised weights (assumed in aihwkit's PresetIOParameters)"
SERIAL = "assumed: cells are written one after another; "

PRESETS = (
    Preset(
        spec=ChipSpec(
            name="rram",
            nonidealities=Nonidealities(
                read_noise=0.2,
                w_max=2.5,
                w_min=-1.5,
                dw_min=0.004,
                w_max_dtod=0.24,
                w_min_dtod=0.4,
                dw_min_dtod=0.3,
                up_down_dtod=0.01,
                dw_min_std=3.75,
                endurance=1e6,
            ),
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
            "read_noise": READ_NOISE,
            **dict.fromkeys(
                (
                    "w_max",
                    "w_min",
                    "dw_min",
                    "w_max_dtod",
                    "w_min_dtod",
                ),
                RRAM,
            ),
            **dict.fromkeys(("dw_min_dtod", "up_down_dtod", "dw_min_std"), RRAM),
            "endurance": "more than 10⁶ switching cycles, taken as pulses (assumed); " + LEE,
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
            nonidealities=Nonidealities(
                read_noise=0.1,
                w_max=2.0,
                w_min=-2.0,
                dw_min=0.01,
                w_max_dtod=0.1,
                w_min_dtod=0.1,
                dw_min_dtod=0.2,
                up_down_dtod=0.05,
                dw_min_std=0.6,
                drift_nu=0.049,
                drift_nu_dtod=0.16,
                drift_every=1000,
                endurance=1e9,
            ),
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
            "read_noise": READ_NOISE,
            "w_min": "a pair of cells of either sign, taken as one with symmetric bounds (assumed); " + PCM,
            "w_min_dtod": "assumed: as that of w_max",
            **dict.fromkeys(
                (
                    "w_max",
                    "dw_min",
                    "w_max_dtod",
                    "dw_min_dtod",
                ),
                PCM,
            ),
            **dict.fromkeys(("up_down_dtod", "dw_min_std"), PCM),
            "drift_nu": "at high conductance; " + DRIFT,
            "drift_nu_dtod": "0.008 of 0.049; " + DRIFT,
            "drift_every": "assumed: a tick of 50 to 100 µs, from which on conductances drift",
            "endurance": "10⁹ cycles, taken as pulses (assumed); " + PCM_REVIEW,
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
            nonidealities=Nonidealities(cell_gain_std=0.07, read_noise=0.2, write_noise=0.005, retention=1e6),
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
            "read_noise": READ_NOISE,
            "cell_gain_std": "the spread of the cells' range; " + CAPACITOR,
            "write_noise": "0.3 of a pulse's 0.01 times √3, for the three pulses of a code; " + CAPACITOR,
            "retention": "10⁶ mini-batches (assumed there), taken as probes; " + CAPACITOR,
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
            nonidealities=Nonidealities(write_noise=0.04, endurance=1e5),
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
            "write_noise": "cells are tuned to about 1 % of their range; " + BAYAT,
            "endurance": "10⁵ cycles; " + BEZ,
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
