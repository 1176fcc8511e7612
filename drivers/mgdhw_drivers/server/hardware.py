"""A served device's way into operation, and one to the safe state that depends on nothing that may have failed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator

import numpy as np

from mgdhw.device import Device, Motion
from mgdhw.errors import DeviceFault, DeviceUnavailable, LimitExceeded, MgdhwError
from mgdhw_drivers.server.limits import Limits

log = logging.getLogger("mgdhw.serve")

CLOSING_SECONDS = 35.0
"""How long nothing may move on the way to the safe state, beside declared pauses, before it is called not confirmed:
longer than `disconnect` may take, which the device itself limits."""
POLL_SECONDS = 5.0
"""How often it is checked whether something has moved."""


class DeviceFailed(MgdhwError):
    """The device refuses a request that was right, or reports an error."""


@contextlib.contextmanager
def device_errors() -> Iterator[None]:
    """Raise what a device raises on purpose as DeviceFailed: it is no mistake of the host. Limits stay limits."""
    try:
        yield
    except LimitExceeded:
        raise
    except MgdhwError as error:
        raise DeviceFailed(str(error)) from error


class Hardware:
    """Opens and closes a device, and knows whether it is safe.

    Args:
        device: what is served; nobody else opens or closes it.
        limits: on how its parameters move.
    """

    def __init__(self, device: Device, limits: Limits) -> None:
        self.device = device
        self._limits = limits
        self._closing_limit = CLOSING_SECONDS
        self._began = 0.0
        """When it was begun to close the device."""
        self.safe = True
        """Whether `close` has returned since the device was opened last."""
        self._closing: asyncio.Task[None] | None = None

    @property
    def is_closing(self) -> bool:
        """Whether it is on its way to the safe state."""
        return self._closing is not None

    async def open(self) -> None:
        """Open the device, and let it move no faster than the limits.

        Where its safe state is not known, its parameters go to zero, or as near to that as they can, before it is
        closed.

        Raises:
            DeviceUnavailable: it is still being closed.
            Exception: what its driver raises.
        """
        if self._closing is not None:
            raise DeviceUnavailable(
                "it is still on its way to the safe state; look at the hardware", uri=self.device.uri
            )
        self.safe = False
        device, slew = self.device, self._limits.slew
        await device.open()
        if device.interlocks:
            raise DeviceUnavailable(
                "has interlocks, which are checked only by a training in the same process: train it there, unserved",
                uri=device.uri,
            )
        info = device.info
        if slew:
            await device.restrain(Motion(slew, safe=np.clip(0.0, info.theta_min, info.theta_max)))
        if info.motion is not None:  # a board behind a link makes its ramps by itself, and is not seen to move
            self._closing_limit = CLOSING_SECONDS + info.motion.seconds(info.theta_max - info.theta_min)

    async def close(self) -> bool:
        """Bring the hardware to its safe state, in a task of its own that nothing cancels.

        Returns:
            Whether the driver has confirmed it. If not, the log says so, and it can be asked again.
        """
        if self.safe:
            return True
        closing = self._closing
        if closing is None:
            closing = self._closing = asyncio.create_task(self._close(), name=f"closing {self.device.uri}")
            closing.add_done_callback(self._closed)
            self._began = time.monotonic()
        while not closing.done() and time.monotonic() - max(self._began, self.device.moved()) < self._closing_limit:
            await asyncio.wait([closing], timeout=POLL_SECONDS)
        await asyncio.wait([closing], timeout=min(1.0, POLL_SECONDS))  # asked again, it may have ended by now
        if not closing.done():
            log.error("%s: NOT confirmed to be safe: its driver does not come back from closing", self.device.uri)
        return self.safe

    async def _close(self) -> None:
        await self.device.close()

    def _closed(self, closing: asyncio.Task[None]) -> None:
        self._closing = None
        error = asyncio.CancelledError() if closing.cancelled() else closing.exception()
        if error is None:
            self.safe = True
            return
        if isinstance(error, DeviceFault | asyncio.CancelledError):  # it says itself what there is to say
            log.error("%s", str(error) or f"{self.device.uri}: NOT confirmed to be safe: its closing was given up")
            return
        log.error("%s: NOT confirmed to be safe: closing failed", self.device.uri, exc_info=error)
