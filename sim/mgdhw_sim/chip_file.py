"""Chips as TOML files: every number of a ChipSpec that is not off, and back to the same chip."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from mgdhw.errors import ConfigError
from mgdhw.parsing import did_you_mean, parse_toml, short_repr
from mgdhw.report.text import read_text, readable
from mgdhw.timing import Timing
from mgdhw_sim.nonidealities import Nonidealities
from mgdhw_sim.points import TABLE, Points, Tables, points_of
from mgdhw_sim.spec import ChipSpec

log = logging.getLogger("mgdhw.sim")

SECTIONS: dict[str, Any] = {"nonidealities": Nonidealities, "timing": Timing}
"""Fields of a chip that are tables of their own, and what they become."""
OLD_SECTION = "effects"
"""What [nonidealities] was called; still read."""
LARGEST_WHOLE = 1 << 1000
"""Of an integer where a number is expected; Python has no float of more."""
KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a string", tuple: "sizes: [64, 16, 10]"}


def to_toml(spec: ChipSpec, comments: Mapping[str, str] | None = None) -> str:
    """The chip as a TOML file; of nonidealities and timing what is not off, of tables every point.

    Args:
        spec: the chip.
        comments: what to say beside a number, by its name: "weight_bits", "timing.probe_seconds".
    """

    def line(name: str, value: Any) -> str:
        comment = (comments or {}).get(name, "")
        return f"{name.rpartition('.')[2]} = {_text(value)}{comment and f'  # {comment}'}"

    lines = [line(f.name, getattr(spec, f.name)) for f in fields(spec) if f.name not in {*SECTIONS, "tables"}]
    for name, kind in SECTIONS.items():
        table = getattr(spec, name)
        if table is not None and (name == "timing" or table != kind()):
            given = [f.name for f in fields(table) if getattr(table, f.name) != f.default]
            lines += ["", f"[{name}]", *(line(f"{name}.{field}", getattr(table, field)) for field in given)]
    if spec.tables.given():
        lines += ["", "[tables]", *(f"{name} = {_text(points)}" for name, points in spec.tables.given().items())]
    return "\n".join(lines) + "\n"


def load_chip(path: Path) -> ChipSpec:
    """The chip that a TOML file describes; what it leaves out is as in `ChipSpec`.

    Raises:
        ConfigError: names the file, the key, and what was expected.
    """
    text = read_text(path, if_absent=f"`mgdhw sim show analog-8bit --toml > {path}` writes one to begin with")
    values = parse_toml(text, str(path))
    values.setdefault("name", readable(path.stem))
    if OLD_SECTION in values:
        if "nonidealities" in values:
            raise ConfigError(f"{path}: [{OLD_SECTION}] is the old name of [nonidealities]; put all into the latter")
        log.warning("%s: [%s] is now called [nonidealities]", path, OLD_SECTION)
        values["nonidealities"] = values.pop(OLD_SECTION)
    found: dict[str, Any] = {}
    for name, kind in SECTIONS.items():
        if name in values:
            table = values.pop(name)
            if not isinstance(table, dict):
                raise ConfigError(f"{path}: {name}: expected a section, [{name}], with keys of its own")
            found[name] = _built(path, f"{name}.", kind, table)
    if "tables" in values:
        found["tables"] = _tables(path, values.pop("tables"), values)
    return _built(path, "", ChipSpec, values, found)  # type: ignore[no-any-return]


def _tables(path: Path, given: Any, values: dict[str, Any]) -> Tables:
    """The section [tables]. What it names and the file says nothing of is a "table" then.

    Args:
        path: of the chip file.
        given: the section.
        values: the file's other keys; those of tables are added.
    """
    known = [f.name for f in fields(Tables)]
    if not isinstance(given, dict):
        raise ConfigError(f"{path}: tables: expected a section, [tables], with keys of its own")
    reach = values.get("signal_range", ChipSpec.__dataclass_fields__["signal_range"].default)
    found: dict[str, Points] = {}
    for name, value in given.items():
        if name not in known:
            raise ConfigError(f"{path}: tables.{name}: no such key; expected one of {', '.join(known)}")
        values.setdefault(name, TABLE)
        # What is no range is refused below.
        span = float(reach) if isinstance(reach, int | float) and 0 < reach < LARGEST_WHOLE else 1.0
        try:
            found[name] = points_of(value, 2 * span if name == "cost" else span, path.parent)
        except ConfigError as error:
            raise ConfigError(f"{path}: tables.{name}: {error}") from None
    return Tables(**found)


def _built(path: Path, prefix: str, kind: Any, values: dict[str, Any], made: dict[str, Any] | None = None) -> Any:
    """A dataclass from a table, checked field by field."""
    own = {*SECTIONS, "tables"} if kind is ChipSpec else ()
    known = {f.name: f.default for f in fields(kind) if f.name not in own}
    for key in values:
        if key not in known:
            hint = did_you_mean(key, known) or f"; expected one of {', '.join(known)}"
            raise ConfigError(f"{path}: {prefix}{key}: no such key{hint}")
    try:
        checked = {key: _checked(path, prefix + key, value, type(known[key])) for key, value in values.items()}
        return kind(**checked, **(made or {}))
    except ConfigError as error:
        message = str(error)
        raise ConfigError(message if message.startswith(f"{path}: ") else f"{path}: {message}") from None


def _checked(path: Path, key: str, value: Any, kind: type) -> Any:
    if kind is tuple and isinstance(value, list) and all(type(size) is int for size in value):
        return tuple(value)
    if kind is float and type(value) is int and abs(value) < LARGEST_WHOLE:
        return float(value)
    if type(value) is kind:
        return value
    raise ConfigError(f"{path}: {key}: expected {KINDS[kind]} (got {short_repr(value)})")


def _text(value: Any) -> str:
    if isinstance(value, Points):
        return f"[{', '.join(f'[{z!r}, {f!r}]' for z, f in zip(value.inputs, value.outputs, strict=True))}]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
