"""Chips that have only converters: nothing about them is physical but their widths, so their timing is unknown.

analog-8bit: 8-bit parameters, inputs and outputs, 16-bit signals, a 12-bit cost converter: what small mixed-signal
chips have. ideal-16bit: 16-bit converters, 24-bit signals and a 20-bit cost converter, so that quantisation hardly
matters: for studying the method rather than the hardware. All widths are assumed.
"""

from __future__ import annotations

from mgdhw_sim.presets.preset import Preset
from mgdhw_sim.spec import ChipSpec

WIDE = "assumed: wide enough for quantisation hardly to matter"

PRESETS = (
    Preset(spec=ChipSpec(name="analog-8bit"), about="8-bit converters, as small mixed-signal chips have them"),
    Preset(
        spec=ChipSpec(
            name="ideal-16bit",
            weight_bits=16,
            input_bits=16,
            signal_bits=24,
            lut_bits=12,
            output_bits=16,
            cost_bits=20,
        ),
        about="16-bit converters: the method rather than the hardware",
        sources=dict.fromkeys(
            ("weight_bits", "input_bits", "signal_bits", "lut_bits", "output_bits", "cost_bits"), WIDE
        ),
    ),
)
