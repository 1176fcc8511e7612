"""The whole suite on one device, without pytest."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mgdhw.testing.check import Check, Opener, Outcome, outcome_of
from mgdhw.testing.clauses import CHECKS

Report = Callable[[Outcome], None]


async def run_conformance(
    open: Opener, report: Report | None = None, *, checks: Sequence[Check] = CHECKS
) -> list[Outcome]:
    """Check a device against the contract, one clause after another. Exceptions of the device do not end it.

    Args:
        open: makes the device, closed: a new object for each call.
        report: called with each outcome.
        checks: which checks to run.

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
