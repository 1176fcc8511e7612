"""The way to the safe state, of every instrument that can be reached; and the way out of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

import numpy as np

from mgdhw.errors import LinkError
from mgdhw_drivers.bench.channel_values import ParameterValues
from mgdhw_drivers.bench.groups import Step
from mgdhw_drivers.bench.instruments import ATTEMPTS, Instruments, in_parallel, repeated
from mgdhw_drivers.bench.messages import Message
from mgdhw_drivers.bench.rack import Instrument, Rack


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
    errors: list[Exception] = []
    for _ in range(ATTEMPTS):
        errors = await _once(rack, parameters, instruments, stop)
        if not any(isinstance(error, LinkError | OSError) for error in errors):
            break
        parameters.forget()  # what was sent last may not have come
    return errors


async def _once(
    rack: Rack, parameters: ParameterValues, instruments: Instruments, stop: Iterable[Step]
) -> list[Exception]:
    errors = list(await instruments.open_again())
    owners = np.array([place.instrument for _, place in parameters.channels])
    errors += await _take(rack, instruments, stop)
    errors += await _each(
        partial(parameters.move, parameters.safe, owners == name)
        for name in dict.fromkeys(owners.tolist())
        if instruments.is_open(name)
    )
    errors += await _take(rack, instruments, rack.safe)
    errors += await _each(
        resource.drain_errors for name, resource in instruments.resources.items() if instruments.is_open(name)
    )
    return errors


async def _take(rack: Rack, instruments: Instruments, steps: Iterable[Step]) -> list[Exception]:
    """Take each step at each instrument that is open; what went wrong."""
    errors: list[Exception] = []
    for step in steps:
        single = [step]
        if step.instrument is not None:
            members = [name for name in rack.members(step.instrument) if instruments.is_open(name)]
            single = [step.model_copy(update={"instrument": name}) for name in members]
        errors += await _each(partial(instruments.take, [one]) for one in single)
    return errors


async def _each(work: Iterable[Callable[[], Awaitable[object]]]) -> list[Exception]:
    """Do several things at the same time, each again if a link fails; what went wrong."""
    found = await asyncio.gather(*(repeated(one) for one in work), return_exceptions=True)
    return [error for error in found if isinstance(error, Exception)]


async def switch_on(rack: Rack, parameters: ParameterValues, instruments: Instruments) -> None:
    """Switch outputs on that are off, when the parameters on them are at their safe values.

    An output that is switched on while its level is another one would jump: after a power failure in the middle of a
    write, for example. Moving a level whose output is off hurts nothing, nor does a ramp if it is on after all.
    """
    owners = np.array([place.instrument for _, place in parameters.channels])

    async def switch(name: str, instrument: Instrument) -> None:
        if instrument.enabled is not None and all_on(await instruments.ask(name, instrument.enabled)):
            return
        if (owners == name).any():
            await parameters.move(parameters.safe, owners == name)
        await instruments.send([Message(name, message) for message in instrument.enable])
        await instruments.resources[name].drain_errors()

    await in_parallel(
        switch(name, instrument) for name, (_, instrument) in rack.resources().items() if instrument.enable
    )


def all_on(answer: str) -> bool:
    """Whether an answer such as 1,1,ON says that all outputs are on."""
    return all(part.strip().upper() in ("1", "+1", "ON") for part in answer.split(","))
