"""Layers as words of an address: conv3x3:4, maxpool2, dense:10, or 64-16-10 for dense layers alone."""

from __future__ import annotations

import re
from typing import cast

from mgdhw.errors import ConfigError
from mgdhw.parsing import did_you_mean, short_repr
from mgdhw_sim.ideal.layers import Conv2d, Dense, Flatten, Layer, Padding, Pool, Shape
from mgdhw_sim.reference.tables import ACTIVATIONS

LARGEST = 1 << 20
"""Number in a word."""
MOST_LAYERS = 250
"""A stream of random numbers counts layers in a byte."""
KINDS = ("dense:N", "convHxW:CHANNELS", "maxpoolN", "avgpoolN", "flatten")
LINEAR = "linear"
"""What most people call the identity."""

_SIZES = re.compile(r"\d{1,7}(-\d{1,7})+")
_CONV = re.compile(r"conv(\d{1,3})(?:x(\d{1,3}))?")
_POOL = re.compile(r"(max|avg)pool(\d{1,3})")
_STRIDE = re.compile(r"stride(\d{1,3})")
_NUMBER = re.compile(r"\d{1,7}")


def activation_of(name: str) -> str:
    """The activation that a name means: "linear" is the identity."""
    return "identity" if name == LINEAR else name


def parse_layers(text: str, shape: Shape | None) -> tuple[Shape, tuple[Layer, ...]]:
    """The inputs' shape and the layers that a text means.

    Args:
        text: sizes of a dense network, inputs first (64-16-10), or words with commas between them.
        shape: of the inputs, where it is known.

    Raises:
        ConfigError: it names no layers; says which word is wrong, and what was expected.
    """
    if _SIZES.fullmatch(text):
        first, *sizes = (int(size) for size in text.split("-"))
        shape = (1, 1, first) if shape is None else shape
        if shape[0] * shape[1] * shape[2] != first:
            given = "x".join(map(str, shape))
            raise ConfigError(f"layers={text}: begins with {first} inputs, and input={given}; remove one of them")
        layers: tuple[Layer, ...] = tuple(Dense(size) for size in sizes)
    else:
        words = text.split(",")
        if len(words) > MOST_LAYERS:
            raise ConfigError(f"layers: {len(words):,} of them; expected at most {MOST_LAYERS}")
        layers = tuple(_layer(number, word) for number, word in enumerate(words, start=1))
        if shape is None:
            raise ConfigError("input: what is the shape of an input? expected input=HEIGHTxWIDTHxCHANNELS, or input=N")
    return shape, layers


def parse_shape(text: str) -> Shape:
    """28x28x1, 28x28 or 784. Raises ConfigError."""
    sizes = [int(size) for size in text.split("x") if _NUMBER.fullmatch(size)]
    if not 1 <= len(sizes) <= 3 or len(sizes) != text.count("x") + 1:
        raise ConfigError(f"input={short_repr(text)}: expected HEIGHTxWIDTHxCHANNELS, such as 28x28x1, or a number")
    if len(sizes) == 1:
        return 1, 1, sizes[0]
    return sizes[0], sizes[1], (sizes[2] if len(sizes) == 3 else 1)


def _layer(number: int, word: str) -> Layer:
    kind, *arguments = word.split(":")
    where = f"layers: layer {number}, {short_repr(word)}: "
    if kind == "flatten" and not arguments:
        return Flatten()
    pool = _POOL.fullmatch(kind)
    if pool:
        return _pool(where, pool, arguments)
    conv = _CONV.fullmatch(kind)
    if kind != "dense" and not conv:
        hint = did_you_mean(kind, ("dense", "conv3x3", "maxpool2", "avgpool2", "flatten"))
        raise ConfigError(f"{where}no such layer{hint} ({', '.join(KINDS)})")
    if not arguments or not _NUMBER.fullmatch(arguments[0]):
        wanted = "channels, such as conv3x3:8" if conv else "outputs, such as dense:10"
        raise ConfigError(f"{where}expected a number of {wanted}")
    size = _size(where, arguments[0])
    if not conv:
        activation, _, _ = _modifiers(where, arguments[1:], ())
        return Dense(size, activation)
    height = _size(where, conv[1])
    width = height if conv[2] is None else _size(where, conv[2])
    activation, padding, stride = _modifiers(where, arguments[1:], ("same", "valid", "strideN"))
    return Conv2d((height, width), size, cast(Padding, padding or "same"), stride or 1, activation)


def _pool(where: str, kind: re.Match[str], arguments: list[str]) -> Pool:
    size = _size(where, kind[2])
    stride = size
    for argument in arguments:
        found = _STRIDE.fullmatch(argument)
        if not found:
            raise ConfigError(f"{where}no {short_repr(argument)} here; expected strideN, or nothing")
        stride = _size(where, found[1])
    return Pool("max" if kind[1] == "max" else "avg", size, stride)


def _modifiers(where: str, arguments: list[str], allowed: tuple[str, ...]) -> tuple[str, str, int]:
    """Activation, padding and stride; "" and 0 where they are not given."""
    activation, padding, stride = "", "", 0
    for argument in arguments:
        name = activation_of(argument)
        found = _STRIDE.fullmatch(argument)
        if name in ACTIVATIONS and not activation:
            activation = name
        elif argument in ("same", "valid") and argument in allowed and not padding:
            padding = argument
        elif found and "strideN" in allowed and not stride:
            stride = _size(where, found[1])
        else:
            known = (*allowed, *ACTIVATIONS, LINEAR)
            hint = did_you_mean(argument, known)
            raise ConfigError(f"{where}no {short_repr(argument)} here{hint} (each once: {', '.join(known)})")
    return activation, padding, stride


def _size(where: str, text: str) -> int:
    size = int(text)
    if not 1 <= size <= LARGEST:
        raise ConfigError(f"{where}a size of {size}; expected 1 ... {LARGEST:,}")
    return size
