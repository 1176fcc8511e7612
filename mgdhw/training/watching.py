"""Hearing of measurements while they are made, for devices that take their time over each."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from mgdhw.device import Device
from mgdhw.training.events import Measured

WATCH_SECONDS = 0.2
"""At most this often."""


@contextlib.contextmanager
def watching(device: Device, hear: Callable[[Measured], object]) -> Iterator[Callable[[], None]]:
    """While this lasts, somebody hears of a device's readings, now and then, also within a block.

    Yields:
        What begins to count anew: to be called when a block or an evaluation is done.
    """
    told, before = time.monotonic(), device.readings

    def done() -> None:
        nonlocal before
        before = device.readings

    def tell() -> None:
        nonlocal told
        now = time.monotonic()
        if now - told < WATCH_SECONDS:
            return
        told = now
        with contextlib.suppress(Exception):  # no fault of the device's; who listens fails at the next event, too
            hear(Measured(device.readings - before))

    watcher, device.watch = device.watch, tell
    try:
        yield done
    finally:
        device.watch = watcher
