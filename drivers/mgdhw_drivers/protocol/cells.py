"""What cells remember, as bytes of area CELLS: arrays by name."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.errors import LinkCorrupt
from mgdhw.report.console import printable

HEAD = struct.Struct("<BBBx")
MOST_DIMENSIONS = 8
KIND = re.compile(r"[<|][biuf]\d")
"""How numpy calls a kind of numbers, little-endian."""
NAME = re.compile(r"\w[\w.-]{0,63}")
"""How an array may be called: it will be called so in a checkpoint, too."""


def pack(memory: Mapping[str, NDArray[Any]]) -> bytes:
    """Arrays as bytes."""
    parts: list[bytes] = []
    for name, array in memory.items():
        little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        kind = little.dtype.str.encode()
        encoded = name.encode()
        parts.append(HEAD.pack(len(encoded), len(kind), array.ndim))
        parts.append(struct.pack(f"<{array.ndim}I", *array.shape))
        parts += (encoded, kind, little.tobytes())
    return b"".join(parts)


def unpack(content: bytes) -> dict[str, NDArray[Any]]:
    """Arrays from bytes. Raises LinkCorrupt if they are none."""
    memory: dict[str, NDArray[Any]] = {}
    position = 0
    try:
        while position < len(content):
            name_size, kind_size, dimensions = HEAD.unpack_from(content, position)
            position += HEAD.size
            if dimensions > MOST_DIMENSIONS:
                raise LinkCorrupt("cells of too many dimensions")
            shape = struct.unpack_from(f"<{dimensions}I", content, position)
            position += 4 * dimensions
            name = content[position : position + name_size].decode()
            if not NAME.fullmatch(name):  # it will be one in a checkpoint, too
                raise LinkCorrupt(f"cells called {printable(name)!r}")
            position += name_size
            kind = content[position : position + kind_size].decode()
            position += kind_size
            if not KIND.fullmatch(kind):
                raise LinkCorrupt("cells that are no array of numbers")
            dtype = np.dtype(kind)
            count = math.prod(shape)
            memory[name] = np.frombuffer(content, dtype, count, position).reshape(shape).astype(dtype.newbyteorder("="))
            position += count * dtype.itemsize
    except (struct.error, ValueError, TypeError, OverflowError) as error:
        raise LinkCorrupt(f"what the cells remember makes no sense: {error}") from None
    return memory
