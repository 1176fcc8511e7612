"""What goes around the events of a training, and of a set of replicas: control of the device, and reports of faults."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import TypeVar

from mgdhw.device import Device
from mgdhw.device.control import take_control
from mgdhw.training.events import Faulted
from mgdhw.training.retry import Retries

AnyEvent = TypeVar("AnyEvent")


async def controlled_events(
    events: AsyncGenerator[AnyEvent, None], device: Device, purpose: str, retries: Retries, *, controlled: bool
) -> AsyncGenerator[AnyEvent | Faulted, None]:
    """Events while the device is controlled; where an error ends them, the faults that led to it come first.

    Args:
        events: of what is run.
        device: open.
        purpose: what it is controlled for, for whoever else asks for it.
        retries: what remembers faults.
        controlled: whether the caller controls the device already.

    Raises:
        DeviceUnavailable: somebody else controls the device.
    """
    with contextlib.nullcontext() if controlled else await take_control(device, purpose):
        try:
            async for event in events:
                yield event
        except Exception:
            for fault in retries.take_faults():
                yield fault
            raise
