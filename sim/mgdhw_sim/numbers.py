"""Everything that a chip is, with units and sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from mgdhw.report import markup
from mgdhw_sim.nonidealities import COST, SIGNAL, THETA
from mgdhw_sim.nonidealities import UNITS as NONIDEALITY_UNITS

if TYPE_CHECKING:
    from mgdhw_sim.spec import ChipSpec

UNITS = {
    "weight_bits": "bit",
    "weight_range": THETA,
    "input_bits": "bit",
    "signal_bits": "bit",
    "signal_range": SIGNAL,
    "lut_bits": "bit",
    "output_bits": "bit",
    "cost_bits": "bit",
    "cost_range": COST,
    **{f"nonidealities.{name}": unit for name, unit in NONIDEALITY_UNITS.items()},
    "timing.baseline_seconds": "s",
    "timing.baseline_joules": "J / parameter",
    "timing.probe_seconds": "s",
    "timing.probe_joules": "J / parameter",
    "timing.settling_seconds": "s",
    "timing.settling_joules": "J / parameter",
    "timing.input_seconds": "s",
    "timing.input_joules": "J / input",
    "timing.update_seconds": "s",
    "timing.write_seconds": "s / parameter",
    "timing.write_joules": "J / parameter",
}
"""Unit of every number that has one, by its name."""
SECTIONS = ("nonidealities", "timing")
"""Fields of a chip that are tables in its file."""
BEGAN: dict[str, tuple[dict[str, Any], Mapping[str, str]]] = {}
"""Values of the presets, and where they come from, by the chip's name; filled by `mgdhw_sim.presets`."""
DEFAULT = "assumed"
"""Where the numbers of a chip come from that a preset leaves as they are."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number of a chip: its name ("weight_bits", "timing.probe_seconds"), value, unit, and where it comes from."""

    name: str
    value: Any
    unit: str
    source: str


def numbers(spec: ChipSpec) -> list[Number]:
    """Everything that a chip is, in order; what is off is left out.

    Sources are those of the preset that the chip began as, for the values that it still has.
    """
    began, sources = BEGAN.get(spec.name, ({}, {}))
    found = []
    for name, value in values(spec).items():
        kept = name in began and began[name] == value
        source = sources.get(name.removeprefix("nonidealities."), DEFAULT if name in UNITS else "") if kept else "given"
        found.append(Number(name, value, UNITS.get(name, ""), source))
    return found


def values(spec: ChipSpec) -> dict[str, Any]:
    """Every field of a chip by its name, those of sections that are not off as "section.field"."""
    flat: dict[str, Any] = {}
    for field in fields(spec):
        value = getattr(spec, field.name)
        if field.name == "tables":
            flat |= {f"tables.{name}": str(points) for name, points in spec.tables.given().items()}
        elif field.name not in SECTIONS:
            flat[field.name] = value
        elif value is not None:
            given = [f.name for f in fields(value) if getattr(value, f.name) != f.default]
            flat |= {f"{field.name}.{name}": getattr(value, name) for name in given}
    return flat


def html(spec: ChipSpec) -> str:
    """The numbers of a chip as a table, for notebooks."""
    rows = []
    for number in numbers(spec):
        value = "-".join(map(str, number.value)) if isinstance(number.value, tuple) else number.value
        rows.append((number.name, value, number.unit, number.source))
    return markup.table(rows, caption=f"{spec.name}, {spec.topology}", headings=("", "value", "unit", "source"))
