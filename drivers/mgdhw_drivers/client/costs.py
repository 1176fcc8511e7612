"""Checks of the costs that a board sends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.errors import DeviceFault
from mgdhw_drivers.protocol.description import Head

MOST_COST_BITS = 32


class CostChecker:
    """Checks costs that a board has sent.

    Args:
        head: of the board's description.
        details: of the description: a chip's say how many bits its cost has.
        uri: the device's address, for errors.
    """

    def __init__(self, head: Head, details: Mapping[str, Any], uri: str) -> None:
        bits = details.get("cost_bits")
        known = isinstance(bits, int) and 1 <= bits <= MOST_COST_BITS and not head.float_costs
        self.floats = bool(head.float_costs)
        self._largest = (1 << bits) - 1 if known else None  # type: ignore[operator]  # bits is an int then
        self._uri = uri

    def checked(self, costs: NDArray[Any], batch: int) -> NDArray[Any]:
        """Costs, (n,), each the sum over `batch` samples, as int64 or float64.

        Raises:
            DeviceFault: they are of the wrong kind, or out of the range of the board's converter.
        """
        if self.floats:
            return costs.astype(np.float64, copy=False)
        if costs.dtype != np.int64:
            raise DeviceFault(
                "the board answers with costs that are floats; its description says integers", uri=self._uri
            )
        self.check_range(float(costs.min()), float(costs.max()), batch)
        return costs

    def check_range(self, low: float, high: float, batch: int) -> None:
        """Raise DeviceFault if costs from `low` to `high`, over `batch` samples, are more than a converter has."""
        if self._largest is None:
            return
        most = batch * self._largest
        if low < 0 or high > most:
            claimed = low if low < 0 else high
            raise DeviceFault(
                f"the board says that a cost over {batch:,} samples was {claimed:g}; expected 0 ... {most:,}, which is"
                " what its converter has",
                uri=self._uri,
            )
