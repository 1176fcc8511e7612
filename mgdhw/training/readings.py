"""Readings reported while they are made, for devices that take their time over each."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from mgdhw.device import Device
from mgdhw.training.events import Measured

REPORT_SECONDS = 0.2
"""At most this often."""


@contextlib.contextmanager
def report_readings(device: Device, listener: Callable[[Measured], object]) -> Iterator[Callable[[], None]]:
    """While this lasts, a listener gets a device's readings, now and then, also within a block.

    Yields:
        What begins to count anew: to be called when a block or an evaluation is done.
    """
    last, before = time.monotonic(), device.readings

    def done() -> None:
        nonlocal before
        before = device.readings

    def report() -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < REPORT_SECONDS:
            return
        last = now
        with contextlib.suppress(Exception):  # no fault of the device's; the listener fails at the next event, too
            listener(Measured(device.readings - before))

    watcher, device.watch = device.watch, report
    try:
        yield done
    finally:
        device.watch = watcher
