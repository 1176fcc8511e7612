"""What a check is, how it is done, and what comes out of it. Nothing here needs pytest."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from mgdhw.device import Device
from mgdhw.errors import ConformanceError

Opener = Callable[[], Device]
"""Makes the device under test, closed: a new object at every call, all for the same hardware."""

CHECK_SECONDS = 300.0
"""How long one check may take: a thousand requests on a slow line. Whoever takes longer hangs."""
GRACE_SECONDS = 5.0
"""How long a check that is given up may take to end."""


class NotApplicable(Exception):
    """The device makes no promise that the check could hold it to; says why."""


@dataclass(frozen=True, slots=True)
class Check:
    """One clause of the contract.

    Args:
        name: what it is called by: "probe-repeats".
        what: the clause, in one sentence.
        body: raises ConformanceError where the device does not keep it, NotApplicable where it has not promised it.
    """

    name: str
    what: str
    body: Callable[[Opener], Awaitable[None]]

    @classmethod
    def of(cls, body: Callable[[Opener], Awaitable[None]]) -> Check:
        """The check that a documented function is."""
        name = getattr(body, "__name__", "check").replace("_", "-")
        return cls(name, (inspect.getdoc(body) or name).partition("\n")[0], body)

    async def run(self, opener: Opener) -> None:
        """Do it, in bounded time.

        Raises:
            ConformanceError: the device does not keep the clause, or gives no answer.
            NotApplicable: it has not promised it.
            Exception: whatever else the device raised where it should have answered.
        """
        task = asyncio.ensure_future(self.body(opener))
        try:
            await asyncio.wait({task}, timeout=CHECK_SECONDS)
            if not task.done():
                raise ConformanceError(f"no end after {CHECK_SECONDS:g} s; does a request wait for ever?")
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=GRACE_SECONDS)
        task.result()


class Verdict(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a check.

    Args:
        name: the check's.
        what: the clause that it holds the device to.
        verdict: passed, failed or skipped.
        why: what the device did instead, or why it was not asked; empty if it passed.
        seconds: how long it took.
    """

    name: str
    what: str
    verdict: Verdict
    why: str
    seconds: float


async def outcome_of(check: Check, opener: Opener) -> Outcome:
    """Do a check; whatever the device raises is an outcome."""
    began = time.monotonic()
    verdict, why = Verdict.PASSED, ""
    try:
        await check.run(opener)
    except NotApplicable as reason:
        verdict, why = Verdict.SKIPPED, str(reason)
    except ConformanceError as error:
        verdict, why = Verdict.FAILED, str(error)
    except Exception as error:  # a device under test may raise anything
        verdict, why = Verdict.FAILED, f"{type(error).__name__}: {error}"
    return Outcome(check.name, check.what, verdict, why, time.monotonic() - began)
