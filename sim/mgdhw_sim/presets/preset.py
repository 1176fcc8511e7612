"""What a preset is: a chip, and where its numbers come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mgdhw_sim.spec import ChipSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A chip by name.

    Args:
        spec: the chip.
        about: what it is, in a line.
        sources: where each number comes from that is not a default of the chip, by its name: "weight_bits",
            "dw_min", "timing.probe_seconds". What no source is known for says "assumed".
    """

    spec: ChipSpec
    about: str
    sources: Mapping[str, str] = field(default_factory=dict)
