"""One controller at a time: whoever trains, checks or evaluates a device has it for himself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

from mgdhw.device.base import Device
from mgdhw.errors import DeviceUnavailable

TURNS = 8
"""Turns of the event loop that an iteration which was left early is given to end."""


async def take_control(device: Device, work: str) -> contextlib.AbstractContextManager[None]:
    """Have a device for oneself: `with await take_control(device, "a training"):`. Also between threads.

    Args:
        device: what is to be controlled.
        work: what is done with it, for whoever comes second.

    Raises:
        DeviceUnavailable: somebody else has it.
    """
    mine = _Controller(work)
    for _ in range(TURNS):
        # In one stroke: two threads cannot both find nobody there.
        holder = device.__dict__.setdefault("_controller", mine)
        if holder is mine:
            return _control(device)
        await asyncio.sleep(0)
    raise DeviceUnavailable(
        f"{holder.work} has it under its control, and it has one controller at a time: wait for the end of that or stop"
        " it first (close the iteration of a trainer that was left early), or open another device",
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
