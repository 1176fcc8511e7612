"""What chips there are, for people who look for one."""

from __future__ import annotations

from mgdhw_sim.ideal import presets as ideal
from mgdhw_sim.presets import CATALOGUE, PRESETS
from mgdhw_sim.spec import ChipSpec


def presets() -> dict[str, str]:
    """Address of each preset and what it is (entry point of group `mgdhw.presets`)."""
    chips = {f"sim:{name}": f"{CATALOGUE[name].about}; {widths(spec)}" for name, spec in PRESETS.items()}
    return chips | ideal.presets()


def widths(spec: ChipSpec) -> str:
    """The converters and the network of a chip in a line."""
    return (
        f"simulated chip: {spec.weight_bits}-bit parameters, {spec.input_bits}-bit inputs, {spec.signal_bits}-bit"
        f" signals, {spec.output_bits}-bit outputs, {spec.cost_bits}-bit cost; layers {spec.topology}"
    )
