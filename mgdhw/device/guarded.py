"""Outputs that are checked: what is no measurement is measured again, then is an error."""

from __future__ import annotations

import asyncio
from typing import Protocol

import numpy as np

from mgdhw.arrays import FloatArray, IntArray
from mgdhw.block import Part
from mgdhw.device.acquisition import Acquisition
from mgdhw.device.driver_results import checked_outputs
from mgdhw.device.info import DeviceInfo
from mgdhw.device.readings import ReadingGuard, describe_overload, overloaded
from mgdhw.errors import Overload


class Guarded(Protocol):
    """A device with outputs."""

    uri: str
    info: DeviceInfo
    guard: ReadingGuard

    @property
    def acquisition(self) -> Acquisition:
        """How a measurement is taken."""

    async def infer(self, samples: IntArray, step: int = 0) -> FloatArray:
        """(B, n_out) outputs for (B,) sample indices."""


async def settle(device: Guarded) -> None:
    """Wait until the outputs have settled after the last write."""
    seconds = device.acquisition.settling_seconds
    while seconds and (wait := device.guard.unsettled_seconds(seconds)) > 0:  # noqa: ASYNC110 (a timer may be early)
        await asyncio.sleep(wait)


async def infer(device: Guarded, samples: IntArray, step: int = 0) -> FloatArray:
    """(B, n_out) outputs for (B,) sample indices, every one of them a measurement.

    Raises:
        Overload: one is none, also when repeated: names the sample and the output.
        DeviceFault: they are of another shape.
    """
    await settle(device)
    n_outputs, declared = device.info.n_outputs, device.acquisition.overload
    outputs = np.empty((samples.size, n_outputs))
    rows = np.arange(samples.size)
    for attempt in range(device.guard.repeat + 1):
        last = attempt == device.guard.repeat
        try:
            answer = await device.infer(samples[rows], step)
        except Overload as error:  # the driver recognizes them itself
            if last:
                raise final_overload(device.uri, str(error), attempt) from error
        else:
            outputs[rows] = checked_outputs(answer, rows.size, n_outputs, device.uri)
            none = overloaded(outputs[rows], declared)
            rows = rows[none.any(axis=1)]
            if not rows.size:
                return outputs
            if last:
                row = rows[0]
                channel = int(np.argmax(overloaded(outputs[row], declared)))
                raise final_overload(
                    device.uri,
                    f"output {channel + 1} for sample {samples[row]} is {describe_overload(outputs[row, channel])};"
                    " check its range and wiring",
                    attempt,
                )
        device.guard.add(overloads=rows.size)
    raise AssertionError("the last attempt returns or raises")


def cost_message(step: int, value: float) -> str:
    """What is wrong with a probe's cost."""
    return f"the cost of probe {step} is {describe_overload(value)}; check the cost's range and wiring"


def repeated(message: str, attempts: int, part: Part | None = None) -> str:
    """A message with the measurement that it is about, and how often it was made."""
    details = [] if part is None else [part.name.lower()]
    if attempts:
        details.append(f"measured {attempts + 1} times")
    return f"{message} ({', '.join(details)})" if details else message


def final_overload(uri: str, message: str, attempts: int, part: Part | None = None) -> Overload:
    """The error after the last attempt."""
    return Overload(repeated(message.removeprefix(f"{uri}: "), attempts, part), uri=uri, final=True)
