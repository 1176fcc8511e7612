"""Photonic chips whose parameters are microring resonators, tuned by heaters."""

from __future__ import annotations

from mgdhw.timing import Timing
from mgdhw_sim.nonidealities import Nonidealities
from mgdhw_sim.presets.literature import ATABAKI, DAI, ECHEVERRIA, PADMARAJU, ZHANG
from mgdhw_sim.presets.preset import Preset
from mgdhw_sim.spec import ChipSpec

HEATER = "0.25 mW for 4 µs: a resonance moved by 1 nm (assumed) where 20 nm take 5 mW; " + DAI
SETTLED = "the heater settles in 4 µs; " + ATABAKI
DETECTOR = "assumed: a photodetector and its converter at 100 MHz"

PRESETS = (
    Preset(
        spec=ChipSpec(
            name="microring",
            weight_bits=9,
            nonidealities=Nonidealities(
                write_noise=0.016,
                temperature_std=0.1,
                temperature_every=100_000,
                temperature_midpoint=0.1,
            ),
            timing=Timing(
                baseline_seconds=10e-9,
                baseline_joules=1e-12,
                probe_seconds=10e-9,
                probe_joules=1e-12,
                settling_seconds=4e-6,
                settling_joules=1e-9,
                input_seconds=0.5e-9,
                input_joules=1e-12,
                update_seconds=4e-6,
                write_joules=1e-9,
            ),
        ),
        about="silicon microring weight bank with heaters",
        sources={
            "weight_bits": "9 bits of precision; " + ZHANG,
            "write_noise": "one step of 9 bits; " + ZHANG,
            "temperature_std": "assumed: a controller that holds 0.1 K",
            "temperature_every": "assumed: every 0.4 s",
            "temperature_midpoint": (
                "about 0.1 nm/K, and a neuron of microrings that swings within 1 nm (assumed); " + PADMARAJU
            ),
            "timing.baseline_seconds": DETECTOR,
            "timing.baseline_joules": "assumed",
            "timing.probe_seconds": DETECTOR,
            "timing.probe_joules": "assumed",
            "timing.settling_seconds": SETTLED,
            "timing.settling_joules": HEATER,
            "timing.input_seconds": "2 Gb/s; " + ECHEVERRIA,
            "timing.input_joules": "assumed: 1 pJ for a modulator's symbol",
            "timing.update_seconds": SETTLED,
            "timing.write_joules": HEATER,
        },
    ),
)
