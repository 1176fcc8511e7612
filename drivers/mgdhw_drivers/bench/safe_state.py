"""The way to the safe state: of every instrument that can be reached, whatever is wrong with the others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import numpy as np

from mgdhw_drivers.bench.channel_values import ParameterValues
from mgdhw_drivers.bench.groups import Step
from mgdhw_drivers.bench.instruments import Instruments
from mgdhw_drivers.bench.rack import Rack


async def make_safe(
    rack: Rack, parameters: ParameterValues, instruments: Instruments, stop: Iterable[Step]
) -> list[Exception]:
    """End hardware-timed blocks, bring parameters to their safe values by ramps, then take the steps of [[safe]].

    Args:
        rack: the rack.
        parameters, instruments: of it.
        stop: steps that end a hardware-timed block.

    Returns:
        What went wrong, in order.
    """
    errors = list(await instruments.open_again())
    await _take(rack, instruments, stop, errors)
    owners = np.array([place.instrument for _, place in parameters.channels])
    moves = [
        parameters.move(parameters.safe, owners == name)
        for name in dict.fromkeys(owners.tolist())
        if instruments.is_open(name)
    ]
    found = await asyncio.gather(*moves, return_exceptions=True)
    errors += [error for error in found if isinstance(error, Exception)]
    await _take(rack, instruments, rack.safe, errors)
    for name, resource in instruments.resources.items():
        if instruments.is_open(name):
            try:
                await resource.drain_errors()
            except Exception as error:
                errors.append(error)
    return errors


async def _take(rack: Rack, instruments: Instruments, steps: Iterable[Step], errors: list[Exception]) -> None:
    """Take each step at each instrument that is open; note what goes wrong, and go on."""
    for step in steps:
        single = [step]
        if step.instrument is not None:
            members = [name for name in rack.members(step.instrument) if instruments.is_open(name)]
            single = [step.model_copy(update={"instrument": name}) for name in members]
        found = await asyncio.gather(*(instruments.take([one]) for one in single), return_exceptions=True)
        errors += [error for error in found if isinstance(error, Exception)]
