"""What a served device's cells remember, over the safe state and over the line."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from mgdhw.device import Device
from mgdhw.errors import ConfigError, LinkCorrupt
from mgdhw_drivers.protocol import cells
from mgdhw_drivers.protocol.checks import Unsupported
from mgdhw_drivers.server.hardware import DeviceTrouble, by_the_device

KEEPING_SECONDS = 5.0
"""The safe state waits no longer for what cells remember."""

Arrays = Mapping[str, NDArray[Any]]


class Recall:
    """Keeps what a device's cells remember while it is closed, and checks what a host wants them to remember.

    Args:
        device: what is served.
        example: what its cells remember at first; nothing if they remember no more than what was set last.
    """

    def __init__(self, device: Device, example: Arrays) -> None:
        self._device = device
        self._form = _form(example)
        self._kept: Arrays = {}
        self.size = len(cells.pack(example))
        """Bytes of it in area CELLS; 0: nothing is remembered."""

    async def taken(self) -> bytes:
        """What the cells remember now. Raises Unsupported, DeviceTrouble."""
        if not self.size:
            raise Unsupported("the device's cells remember nothing beyond what was requested")
        with by_the_device():
            return cells.pack(await self._device.snapshot())

    async def put(self, content: bytes) -> None:
        """Let the cells remember something else. Raises LinkCorrupt if no cells of this device could."""
        arrays = cells.unpack(content)
        if _form(arrays) != self._form:
            raise LinkCorrupt("these are not the arrays that this device's cells remember")
        try:
            with by_the_device():
                await self._device.restore(arrays)
        except DeviceTrouble as trouble:
            if isinstance(trouble.__cause__, ConfigError):
                raise LinkCorrupt(str(trouble)) from None
            raise

    async def keep(self) -> None:
        """Before the device is closed. Raises what the device raises, TimeoutError."""
        if self.size:
            self._kept = {}
            self._kept = await asyncio.wait_for(self._device.snapshot(), KEEPING_SECONDS)

    async def give_back(self) -> None:
        """After it was opened again."""
        if self._kept:
            with by_the_device():
                await self._device.restore(self._kept)

    def forget(self) -> None:
        """From now on they are as when the device was made."""
        self._kept = {}


def _form(arrays: Arrays) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {name: (array.dtype.newbyteorder("=").str, array.shape) for name, array in arrays.items()}
