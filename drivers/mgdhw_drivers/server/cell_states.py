"""The state of a served device's cells: kept over the safe state, and sent to hosts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from mgdhw.device import Device
from mgdhw.errors import ConfigError, LinkCorrupt
from mgdhw_drivers.protocol import cells
from mgdhw_drivers.protocol.checks import Unsupported
from mgdhw_drivers.server.hardware import DeviceFailed, device_errors

KEEPING_SECONDS = 5.0
"""The safe state waits no longer for the state of cells."""

Arrays = Mapping[str, NDArray[Any]]


class CellStates:
    """Keeps the state of a device's cells while it is closed, and checks the states that a host sends.

    Args:
        device: what is served.
        example: its state at first; nothing if cells have no state beyond the parameters that were set last.
    """

    def __init__(self, device: Device, example: Arrays) -> None:
        self._device = device
        self._form = _form(example)
        self._kept: Arrays = {}
        self.size = len(cells.pack(example))
        """Bytes of it in area CELLS; 0: the cells have none."""

    async def snapshot(self) -> bytes:
        """The state now. Raises Unsupported, DeviceFailed."""
        if not self.size:
            raise Unsupported("the device's cells have no state beyond what was requested")
        with device_errors():
            return cells.pack(await self._device.snapshot())

    async def restore(self, content: bytes) -> None:
        """Put a state back. Raises LinkCorrupt if it is none that cells of this device could have."""
        arrays = cells.unpack(content)
        if _form(arrays) != self._form:
            raise LinkCorrupt("these are not the arrays of this device's cells")
        try:
            with device_errors():
                await self._device.restore(arrays)
        except DeviceFailed as error:
            if isinstance(error.__cause__, ConfigError):
                raise LinkCorrupt(str(error)) from None
            raise

    async def keep(self) -> None:
        """Before the device is closed. Raises what the device raises, TimeoutError."""
        if self.size:
            self._kept = {}
            self._kept = await asyncio.wait_for(self._device.snapshot(), KEEPING_SECONDS)

    async def restore_kept(self) -> None:
        """After the device was opened again."""
        if self._kept:
            with device_errors():
                await self._device.restore(self._kept)

    def discard(self) -> None:
        """From now on the cells are as when the device was made."""
        self._kept = {}


def _form(arrays: Arrays) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {name: (array.dtype.newbyteorder("=").str, array.shape) for name, array in arrays.items()}
