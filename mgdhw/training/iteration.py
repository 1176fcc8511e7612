"""What goes around the events of a training, and of a set of replicas: control of the device, and reports of faults."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import TypeVar

from mgdhw.device import Device
from mgdhw.device.control import take_control
from mgdhw.experiment.schema import ReadingsSection
from mgdhw.training.events import Faulted, Guarded
from mgdhw.training.retry import Retries

AnyEvent = TypeVar("AnyEvent")


def applying(readings: ReadingsSection, device: Device) -> contextlib.AbstractContextManager[None]:
    """In this context, the device takes and checks readings as an experiment says."""
    return device.guard.applying(readings.repeat, readings.settling, readings.average)


async def controlled_events(
    events: AsyncGenerator[AnyEvent, None],
    device: Device,
    purpose: str,
    retries: Retries,
    readings: ReadingsSection,
    *,
    controlled: bool,
) -> AsyncGenerator[AnyEvent | Faulted | Guarded, None]:
    """Events while the device is controlled; where an error ends them, the faults that led to it come first.

    Args:
        events: of what is run.
        device: open.
        purpose: what it is controlled for, for whoever else asks for it.
        retries: what remembers faults.
        readings: how the device takes and checks readings meanwhile.
        controlled: whether the caller controls the device already.

    Raises:
        DeviceUnavailable: somebody else controls the device.
    """
    step = 0
    with contextlib.nullcontext() if controlled else await take_control(device, purpose):
        try:
            with applying(readings, device):
                device.guard.take()
                async for event in events:
                    step = getattr(event, "step", step)
                    yield event
        except Exception:
            for fault in retries.take_faults():
                yield fault
            if counts := device.guard.take():
                yield Guarded(step, counts)
            raise
