"""Addresses of simulated chips: sim:PRESET?option=value&option=value, or sim:FILE.toml?option=value."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from mgdhw.device.uri import expand_path, shorten_uri, split_uri
from mgdhw.errors import ConfigError
from mgdhw.parsing import did_you_mean, short_repr
from mgdhw_sim.chip_file import load_chip
from mgdhw_sim.ideal.address import NAME, is_ideal
from mgdhw_sim.ideal.presets import PRESETS as IDEAL_PRESETS
from mgdhw_sim.nonidealities import IDEAL, Nonidealities
from mgdhw_sim.presets import PRESETS
from mgdhw_sim.spec import FIELDS, ChipSpec

FILE = ".toml"
NONIDEALITIES = sorted(f.name for f in fields(Nonidealities))
OPTIONS = sorted([*(set(FIELDS) - {"name", "nonidealities", "tables", "timing"}), *NONIDEALITIES])


def parse(uri: str) -> ChipSpec:
    """The chip that an address asks for.

    Raises:
        ConfigError: an unknown preset or option, an option that is given twice, a value that is not of its kind, or a
            file that describes no chip.
    """
    _, preset, options = split_uri(uri)
    uri = shorten_uri(uri)
    if preset.endswith(FILE):
        spec = load_chip(expand_path(uri, preset))
    elif preset in PRESETS:
        spec = PRESETS[preset]
    elif is_ideal(preset):
        raise ConfigError(f"{uri}: an ideal network, and what is asked for needs a chip ({', '.join(PRESETS)})")
    else:
        first, names = preset.partition("&")[0], (*PRESETS, NAME, *IDEAL_PRESETS)
        hint = did_you_mean(preset, names)
        if "&" in preset and first in names:
            hint = f"; options begin with a ?: sim:{preset.replace('&', '?', 1)}"
        raise ConfigError(f"{uri}: no preset {short_repr(preset)}{hint} ({', '.join(names)})")
    changes: dict[str, Any] = {}
    nonidealities: dict[str, Any] = {}
    for key, value in options.items():
        if key not in OPTIONS:
            raise ConfigError(f"{uri}: no option {short_repr(key)}{did_you_mean(key, OPTIONS)} ({', '.join(OPTIONS)})")
        if key in NONIDEALITIES:
            nonidealities[key] = _value(uri, key, value, getattr(IDEAL, key))
        else:
            changes[key] = _value(uri, key, value, getattr(spec, key))
    # Cross-entropy takes logits and goes up to several nats; an address that says cost=xent means all three.
    if changes.get("cost") == "xent":
        changes.setdefault("output_activation", "identity")
        changes.setdefault("cost_range", 8.0)
    elif "activation" in changes:
        changes.setdefault("output_activation", changes["activation"])
    try:
        return replace(spec, **changes, nonidealities=replace(spec.nonidealities, **nonidealities))
    except ConfigError as error:
        raise ConfigError(f"{uri}: {error}") from None


def anchored(uri: str) -> str:
    """The same address from wherever it is used: the path of a file made absolute."""
    scheme, colon, rest = uri.partition(":")
    path, question, query = rest.partition("?")
    if not path.endswith(FILE):
        return uri
    return f"{scheme}{colon}{expand_path(uri, path).resolve()}{question}{query}"


def _value(uri: str, key: str, text: str, default: Any) -> Any:
    try:
        if isinstance(default, bool):
            return {"true": True, "false": False, "1": True, "0": False}[text.lower()]
        if isinstance(default, tuple):
            return tuple(int(size) for size in text.split("-"))
        return type(default)(text)
    except (ValueError, KeyError):
        wanted = {bool: "true or false", int: "a whole number", float: "a number", tuple: "sizes such as 64-16-10"}
        raise ConfigError(f"{uri}: {key}={short_repr(text)}: expected {wanted[type(default)]}") from None
