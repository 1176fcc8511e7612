"""Interlocks: conditions that must hold for the hardware to be used."""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from mgdhw.concurrency.reminders import reminding
from mgdhw.concurrency.threads import in_thread
from mgdhw.errors import ConfigError, InterlockOpen, LinkError
from mgdhw.parsing import short_repr

WhenOpen = Literal["end", "wait", "safe"]
"""What a training does when an interlock is open; from "wait" to "end" to "safe" more is lost."""
Condition = Callable[[], "bool | str | Awaitable[bool | str]"]
"""True if it holds; False, or what is wrong as text, if it doesn't. Asynchronous, or blocking, then in a thread."""

ATTEMPTS = 3
"""How often a condition is asked whose query fails."""
PAUSE_SECONDS = 0.05

log = logging.getLogger("mgdhw.device")


@dataclass(frozen=True)
class Interlock:
    """A condition that must hold before each block, segment and evaluation.

    It is closed only if the condition answers True: an error (after a few attempts), or any other answer, is an open
    interlock. The condition should answer within bounded time; a query needs a timeout.

    Args:
        name: names it in messages and records ("cover", "cryostat below 4.2 K").
        condition: see `Condition`.
        when_open: "end": training ends, as if it was stopped. "wait": the parameters go to their safe state, if one is
            declared, until it is closed; then training goes on by itself, to the same bits. "safe": they go there, and
            InterlockOpen is raised.
        poll_seconds: how often it is asked meanwhile.
    """

    name: str
    condition: Condition
    when_open: WhenOpen = "end"
    poll_seconds: float = 1.0

    def __post_init__(self) -> None:
        """Raise ConfigError if something cannot be."""
        if not callable(self.condition):
            raise ConfigError(f"interlock {self.name!r}: its condition is no function ({short_repr(self.condition)})")
        if self.when_open not in get_args(WhenOpen):
            raise ConfigError(
                f"interlock {self.name!r}: when_open: expected {', '.join(get_args(WhenOpen))}"
                f" (got {short_repr(self.when_open)})"
            )
        if not (math.isfinite(self.poll_seconds) and self.poll_seconds > 0):
            raise ConfigError(f"interlock {self.name!r}: poll_seconds: expected a positive number of seconds")

    async def problem(self) -> str | None:
        """What is wrong; None if the condition holds. Raises LinkError if its query fails repeatedly for that."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return _problem(await self._answer())
            except (LinkError, OSError) as error:
                if attempt < ATTEMPTS:
                    await asyncio.sleep(attempt * PAUSE_SECONDS)
                elif isinstance(error, LinkError):
                    raise
                else:
                    return _failed(error)
            except Exception as error:
                return _failed(error)
        raise AssertionError("the last attempt returns or raises")

    async def _answer(self) -> Any:
        with reminding(lambda waited: log.info("waiting for interlock %r to answer (%.0f s)", self.name, waited)):
            if inspect.iscoroutinefunction(self.condition):
                return await self.condition()
            answer = await in_thread(self.condition)
            return await answer if inspect.isawaitable(answer) else answer


@dataclass(frozen=True, slots=True)
class OpenInterlock:
    """An interlock that is open, and what is wrong."""

    interlock: Interlock
    problem: str

    def __str__(self) -> str:
        return f"interlock {self.interlock.name!r} is open: {self.problem}"


Interlocks = Iterable["Interlock | Condition"]


def as_interlocks(given: Interlocks) -> tuple[Interlock, ...]:
    """Interlocks from what a user gives: functions are named after themselves, and end training.

    Raises:
        ConfigError: something else is given, or two have the same name.
    """
    found: list[Interlock] = []
    for one in given:
        if isinstance(one, Interlock):
            found.append(one)
        elif callable(one):
            found.append(Interlock(getattr(one, "__name__", type(one).__name__), one))
        else:
            raise ConfigError(f"interlocks: expected an Interlock or a function (got {short_repr(one)})")
    names = [one.name for one in found]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"interlocks: two are named {name!r}; give each a name of its own")
    return tuple(found)


async def open_interlocks(interlocks: Sequence[Interlock], uri: str) -> list[OpenInterlock]:
    """Those that are open, in order.

    Args:
        interlocks: all that are asked.
        uri: the device's address.

    Raises:
        LinkError: of the device itself, which may have to be reopened.
    """
    found: list[OpenInterlock] = []
    for interlock in interlocks:
        try:
            problem = await interlock.problem()
        except LinkError as error:
            if error.uri == uri:
                raise
            problem = _failed(error)
        if problem is not None:
            found.append(OpenInterlock(interlock, problem))
    return found


async def require_closed(interlocks: Sequence[Interlock], uri: str) -> None:
    """Raise InterlockOpen if one is open, whatever it says about waiting."""
    if interlocks:
        for found in await open_interlocks(interlocks, uri):
            raise InterlockOpen(f"{found}; nothing was sent", uri=uri)


def _problem(answer: Any) -> str | None:
    if isinstance(answer, bool | np.bool_):
        return None if answer else "its condition does not hold"
    if isinstance(answer, str) and answer.strip():
        return answer.strip()
    return f"it answered {short_repr(answer)}, expected True, False, or what is wrong"


def _failed(error: Exception) -> str:
    return f"it cannot be asked: {type(error).__name__}: {error}"
