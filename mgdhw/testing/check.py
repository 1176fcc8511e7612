"""A check of one clause of the contract, and its outcome. Nothing here needs pytest."""

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
"""Makes the device under test, closed: a new object for each call, all for the same hardware."""

CHECK_SECONDS = 300.0
"""Time limit of one check: a thousand requests on a slow line. A check that takes longer hangs."""
GRACE_SECONDS = 5.0
"""Time that a cancelled check may take to end."""


class NotApplicable(Exception):
    """The clause does not apply to this device; says why."""


@dataclass(frozen=True, slots=True)
class Check:
    """One clause of the contract.

    Args:
        name: its identifier, such as "probe-has-no-side-effects".
        what: the clause, in one sentence.
        body: raises ConformanceError if the device violates the clause, NotApplicable if the clause does not apply.
    """

    name: str
    what: str
    body: Callable[[Opener], Awaitable[None]]

    @classmethod
    def of(cls, body: Callable[[Opener], Awaitable[None]]) -> Check:
        """The check made of a documented function."""
        name = getattr(body, "__name__", "check").replace("_", "-")
        return cls(name, (inspect.getdoc(body) or name).partition("\n")[0], body)

    async def run(self, opener: Opener) -> None:
        """Run it, with a time limit.

        Raises:
            ConformanceError: the device violates the clause, or does not respond.
            NotApplicable: the clause does not apply.
            Exception: anything else that the device raised.
        """
        task = asyncio.ensure_future(self.body(opener))
        try:
            await asyncio.wait({task}, timeout=CHECK_SECONDS)
            if not task.done():
                raise ConformanceError(f"still running after {CHECK_SECONDS:g} s; does a request wait forever?")
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
    """The outcome of a check.

    Args:
        name: of the check.
        what: the clause.
        verdict: passed, failed or skipped.
        why: what the device did wrong, or why the check was skipped; empty if it passed.
        seconds: how long it took.
    """

    name: str
    what: str
    verdict: Verdict
    why: str
    seconds: float


async def outcome_of(check: Check, opener: Opener) -> Outcome:
    """Run a check; whatever the device raises becomes an outcome."""
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
