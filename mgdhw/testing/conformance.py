"""The whole suite on one device, without pytest."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mgdhw.testing.check import Check, Opener, Outcome, outcome_of
from mgdhw.testing.checks import CHECKS

Report = Callable[[Outcome], None]


async def run_conformance(
    open: Opener, report: Report | None = None, *, checks: Sequence[Check] = CHECKS
) -> list[Outcome]:
    """Hold a device to the contract, one check after the other. Nothing that the device raises ends it.

    Args:
        open: makes the device, closed: a new object at every call.
        report: called with each outcome as it comes.
        checks: which.

    Returns:
        The outcomes, in the order of the checks.
    """
    outcomes = []
    for check in checks:
        outcome = await outcome_of(check, open)
        if report is not None:
            report(outcome)
        outcomes.append(outcome)
    return outcomes
