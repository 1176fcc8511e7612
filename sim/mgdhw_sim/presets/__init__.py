"""Chips by name. A preset is a ChipSpec with a source for every number; options in an address change single fields."""

from __future__ import annotations

from mgdhw_sim import numbers
from mgdhw_sim.presets import converters, memory, paper, photonics
from mgdhw_sim.presets.preset import Preset
from mgdhw_sim.spec import ChipSpec

CATALOGUE: dict[str, Preset] = {
    preset.spec.name: preset for family in (converters, paper, memory, photonics) for preset in family.PRESETS
}
"""Every preset, by name."""

PRESETS: dict[str, ChipSpec] = {name: preset.spec for name, preset in CATALOGUE.items()}
"""The chip of every preset, by name."""

numbers.BEGAN.update({name: (numbers.values(preset.spec), preset.sources) for name, preset in CATALOGUE.items()})

__all__ = ["CATALOGUE", "PRESETS", "Preset"]
