"""Parameters on the wire: codes, or floats where a device has none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.errors import LinkCorrupt
from mgdhw_drivers.protocol.numbers import ParameterKind


@dataclass(frozen=True, slots=True)
class ParameterForm:
    """How θ becomes bytes of areas REQUESTED and HELD.

    Args:
        kind: codes or values.
        count: P.
        low, high, lsb: limits and step, scalars or (P,).
    """

    kind: ParameterKind
    count: int
    low: float | FloatArray
    high: float | FloatArray
    lsb: float | FloatArray

    @property
    def size(self) -> int:
        """Bytes of one parameter."""
        return 2 if self.kind is ParameterKind.CODES else 8

    def encode(self, theta: FloatArray) -> bytes:
        """(P,) θ within the limits, as bytes."""
        if self.kind is ParameterKind.VALUES:
            return np.asarray(theta, dtype="<f8").tobytes()
        low, high = np.rint(self.low / self.lsb), np.rint(self.high / self.lsb)
        return np.clip(np.floor(theta / self.lsb + 0.5), low, high).astype("<i2").tobytes()

    def decode(self, raw: bytes) -> FloatArray:
        """(P,) θ from bytes. Raises LinkCorrupt if they are not as many as P parameters take."""
        if len(raw) != self.count * self.size:
            raise LinkCorrupt(f"{self.count} parameters have {len(raw)} bytes")
        if self.kind is ParameterKind.VALUES:
            return np.frombuffer(raw, "<f8").astype(np.float64)
        return np.asarray(np.frombuffer(raw, "<i2") * self.lsb, dtype=np.float64)
