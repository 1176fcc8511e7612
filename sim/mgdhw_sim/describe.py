"""What chips there are, for people who look for one."""

from __future__ import annotations

from mgdhw_sim.presets import PRESETS


def presets() -> dict[str, str]:
    """Address of each preset and what it is (entry point of group `mgdhw.presets`)."""
    return {
        f"sim:{name}": (
            f"simulated chip: {spec.weight_bits}-bit parameters, {spec.input_bits}-bit inputs, {spec.signal_bits}-bit"
            f" signals, {spec.output_bits}-bit outputs, {spec.cost_bits}-bit cost; layers {spec.topology}"
        )
        for name, spec in PRESETS.items()
    }
