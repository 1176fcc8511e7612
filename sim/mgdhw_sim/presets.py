"""Chips by name. A preset is a ChipSpec; options in an address change single fields of it."""

from __future__ import annotations

from mgdhw_sim.spec import ChipSpec

PRESETS: dict[str, ChipSpec] = {
    spec.name: spec
    for spec in (
        ChipSpec(name="analog-8bit"),
        ChipSpec(
            name="ideal-16bit",
            weight_bits=16,
            input_bits=16,
            signal_bits=24,
            lut_bits=12,
            output_bits=16,
            cost_bits=20,
        ),
    )
}
"""analog-8bit: 8-bit parameters, inputs and outputs, 16-bit signals, a 12-bit cost converter: what small mixed-signal
chips have. ideal-16bit: 16-bit converters, 24-bit signals and a 20-bit cost converter, so that quantisation hardly
matters: for studying the method rather than the hardware."""
