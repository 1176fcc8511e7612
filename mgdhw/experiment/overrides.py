"""Changes to an experiment, as texts: "optimizer.eta=0.1"."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mgdhw.errors import ConfigError
from mgdhw.parsing import parse_toml, short_repr


def checked_overrides(overrides: Iterable[str]) -> tuple[str, ...]:
    """Changes to an experiment, one text each. Raises ConfigError for one text alone, and for what is no text."""
    if isinstance(overrides, str):
        raise ConfigError(f"overrides: expected a list of changes, such as [{short_repr(overrides)}]; this is one text")
    given = tuple(overrides)
    for override in given:
        if not isinstance(override, str):
            raise ConfigError(f"overrides: {short_repr(override)}: expected a text, such as 'optimizer.eta=0.1'")
    return given


def apply_override(values: dict[str, Any], override: str) -> str:
    """Change one value, and tell its dotted key."""
    key, equals, text = override.partition("=")
    *sections, name = (part.strip() for part in key.split("."))
    if not equals or not all((*sections, name)):
        raise ConfigError(f"{describe_override(override)}: expected KEY=VALUE, for example optimizer.eta=0.1")
    table: Any = values
    for section in sections:
        table = table.setdefault(section, {})
        if not isinstance(table, dict):
            raise ConfigError(f"{describe_override(override)}: {short_repr(section)} is a value, not a section")
    table[name] = _value(text)
    return ".".join((*sections, name))


def _value(text: str) -> Any:
    """The TOML value that a text is; the text itself, where it is none."""
    try:
        found = parse_toml(f"value = {text}", text)
    except ConfigError:
        return text.strip()
    return found["value"] if len(found) == 1 else text.strip()


def describe_override(override: str) -> str:
    return f"change {short_repr(override)}"
