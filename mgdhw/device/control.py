"""Exclusive control: one training, check or evaluation per device at a time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

from mgdhw.device.base import Device
from mgdhw.errors import DeviceUnavailable

TURNS = 8
"""Event-loop iterations allowed for an abandoned iteration to end."""


async def take_control(device: Device, work: str) -> contextlib.AbstractContextManager[None]:
    """Take exclusive control of a device: `with await take_control(device, "a training"):`. Also between threads.

    Args:
        device: the device.
        work: what is done with it, for the error that others get.

    Raises:
        DeviceUnavailable: another task controls it.
    """
    mine = _Controller(work)
    for _ in range(TURNS):
        # Atomic: two threads cannot both succeed.
        holder = device.__dict__.setdefault("_controller", mine)
        if holder is mine:
            return _control(device)
        await asyncio.sleep(0)
    raise DeviceUnavailable(
        f"is in use by {holder.work}; wait for it to end or stop it first (close the iteration of an abandoned"
        " trainer), or open another device",
        uri=device.uri,
    )


class _Controller:
    def __init__(self, work: str) -> None:
        self.work = work


@contextlib.contextmanager
def _control(device: Device) -> Iterator[None]:
    try:
        yield
    finally:
        del device.__dict__["_controller"]
