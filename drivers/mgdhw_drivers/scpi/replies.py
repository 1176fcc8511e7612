"""Answers as bytes: text, numbers, blocks, and arrays as `FORMat` has it (IEEE 488.2, 8.7; SCPI-99, volume 2, 9)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mgdhw_drivers.scpi.blocks import definite_block
from mgdhw_drivers.scpi.call import INFINITY, NOT_A_NUMBER
from mgdhw_drivers.scpi.errors import ScpiError

Single = str | int | float | bytes | NDArray[Any]
Reply = Single | tuple[Single, ...] | None
"""Of a handler: text as it is sent (see `quoted`), a number, a block, an array, or several; None for a command."""


class DataType(StrEnum):
    """How arrays are sent."""

    ASCII = "ASC"
    REAL32 = "REAL,32"
    REAL64 = "REAL,64"
    INT16 = "INT,16"
    INT32 = "INT,32"


_NUMPY: Final = {DataType.REAL32: "f4", DataType.REAL64: "f8", DataType.INT16: "i2", DataType.INT32: "i4"}


@dataclass(slots=True)
class DataFormat:
    """An instrument's `FORMat[:DATA]` and `FORMat:BORDer`."""

    type: DataType = DataType.ASCII
    swapped: bool = False
    """Least significant byte first."""

    def dtype(self) -> np.dtype[Any]:
        """Of a block's numbers; ASCII has none (KeyError)."""
        return np.dtype(("<" if self.swapped else ">") + _NUMPY[self.type])

    def to_bytes(self, values: NDArray[Any]) -> bytes:
        """An array's answer.

        Raises:
            ScpiError: a number does not fit (-222).
        """
        if self.type is DataType.ASCII:
            return ",".join(map(number_text, values.ravel().tolist())).encode()
        dtype = self.dtype()
        numbers = values.ravel()
        if dtype.kind == "i":
            if numbers.dtype.kind == "f":
                numbers = np.rint(numbers)
            limits = np.iinfo(dtype)
            if not np.all((numbers >= limits.min) & (numbers <= limits.max)):
                raise ScpiError(-222, f"a value does not fit into {self.type}")
        elif numbers.dtype.kind == "f":
            numbers = np.nan_to_num(numbers, nan=NOT_A_NUMBER, posinf=INFINITY, neginf=-INFINITY)
        return definite_block(numbers.astype(dtype).tobytes())

    def from_block(self, data: bytes) -> NDArray[Any]:
        """Numbers of a block that was received, in the machine's byte order.

        Raises:
            ScpiError: there is a part of a number (-161), or the format is ASCII (-168).
        """
        if self.type is DataType.ASCII:
            raise ScpiError(-168, "FORMat:DATA is ASCii")
        dtype = self.dtype()
        if len(data) % dtype.itemsize:
            raise ScpiError(-161, f"{len(data)} bytes are no whole number of values of {dtype.itemsize}")
        return np.frombuffer(data, dtype).astype(dtype.newbyteorder("="))


def quoted(text: str) -> str:
    """Text as a string of an answer."""
    doubled = text.replace('"', '""')
    return f'"{doubled}"'


def number_text(value: float) -> str:
    """The shortest number that reads back as the same one; integers without a point."""
    if isinstance(value, int):
        return str(int(value))
    if math.isnan(value):
        return f"{NOT_A_NUMBER:G}"
    if math.isinf(value):
        return f"{math.copysign(INFINITY, value):G}"
    return repr(float(value)).upper()


def reply_bytes(reply: Reply, form: DataFormat) -> bytes:
    """A handler's answer, without its terminator; None is empty."""
    if reply is None:
        return b""
    if isinstance(reply, tuple):
        return b",".join(_single(part, form) for part in reply)
    return _single(reply, form)


def _single(reply: Single, form: DataFormat) -> bytes:
    if isinstance(reply, bytes):
        return definite_block(reply)
    if isinstance(reply, str):
        return reply.encode("ascii", errors="replace")
    if isinstance(reply, np.ndarray):
        return form.to_bytes(reply)
    return number_text(reply).encode()
