"""Addresses of ideal networks: sim:ideal?layers=2-3-1&option=value, or sim:PRESET?d=4&option=value."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from mgdhw.device.uri import shorten_uri, split_uri
from mgdhw.errors import ConfigError
from mgdhw.parsing import did_you_mean, short_repr
from mgdhw_sim.ideal.layer_words import activation_of, parse_layers, parse_shape
from mgdhw_sim.ideal.layers import Dense
from mgdhw_sim.ideal.network import Network
from mgdhw_sim.ideal.presets import PRESETS, WIDEST
from mgdhw_sim.ideal.spec import IdealSpec

NAME = "ideal"
LAYERS = ("input", "layers")
"""Options of `sim:ideal` alone: a preset has its own."""
ACTIVATIONS = ("activation", "last")
VALUES = ("cost", "cost_noise", "write_noise", "neuron_std", "seed", "theta_lsb", "engine")
DEFAULT_LAYERS = "64-16-10"
WIDTH = "d"

_POWER = re.compile(r"2(?:\^|\*\*)(-?\d{1,3})")


def is_ideal(place: str) -> bool:
    """Whether the place of an address is that of an ideal network."""
    return place == NAME or place in PRESETS


def parse(uri: str) -> IdealSpec:
    """The network that an address asks for.

    Without layers it is that of the preset chips, 64-16-10; like theirs, `activation` is also that of the last layer,
    and `cost=xent`, which takes logits, means `last=linear`, unless the address says otherwise.

    Raises:
        ConfigError: an unknown option, a value that is not of its kind, or layers that make no network.
    """
    _, place, options = split_uri(uri)
    try:
        return _of_options(place, options)
    except ConfigError as error:
        raise ConfigError(f"{shorten_uri(uri)}: {error}") from None


def _of_options(place: str, options: dict[str, str]) -> IdealSpec:
    preset = PRESETS.get(place)
    known = (*(LAYERS if preset is None else ()), *ACTIVATIONS, *VALUES)
    if preset is not None and preset.width:
        known = (WIDTH, *known)
    for key in options:
        if key not in known:
            raise ConfigError(f"no option {short_repr(key)}{did_you_mean(key, known)} ({', '.join(known)})")
    if preset is None:
        shape = parse_shape(options["input"]) if "input" in options else None
        shape, layers = parse_layers(options.get("layers", DEFAULT_LAYERS), shape)
        began = IdealSpec(network=Network((1, 1, 1), (Dense(1),), "logistic", "logistic"))
    else:
        began = preset.make(_width(options[WIDTH]) if WIDTH in options else preset.width)
        shape, layers = began.network.shape, began.network.layers
    activation = activation_of(options.get("activation", began.network.activation))
    last = began.network.last
    if options.get("cost") == "xent":
        last = "identity"
    elif "activation" in options and preset is None:
        last = activation
    network = Network(shape, layers, activation, activation_of(options.get("last", last)))
    changes: dict[str, Any] = {key: _value(key, options[key]) for key in VALUES if key in options}
    return replace(began, network=network, **changes)


def _width(text: str) -> int:
    if not re.fullmatch(r"\d{1,4}", text) or not 1 <= int(text) <= WIDEST:
        raise ConfigError(f"{WIDTH}={short_repr(text)}: expected a width of 1 ... {WIDEST}")
    return int(text)


def _value(key: str, text: str) -> str | int | float:
    if key in ("cost", "engine"):
        return text
    power = _POWER.fullmatch(text)
    if key == "theta_lsb" and power:
        return 2.0 ** int(power[1])
    try:
        return int(text) if key == "seed" else float(text)
    except ValueError:
        kind = "a whole number" if key == "seed" else "a number"
        raise ConfigError(f"{key}={short_repr(text)}: expected {kind}") from None
