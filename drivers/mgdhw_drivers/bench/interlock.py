"""The interlock of a rack: a query whose answer says whether the hardware may be used."""

from __future__ import annotations

from mgdhw.device import Interlock
from mgdhw.parsing import short_repr
from mgdhw_drivers.bench.instruments import Instruments, same_answer
from mgdhw_drivers.bench.rack import Rack


def interlocks_of(rack: Rack, instruments: Instruments) -> tuple[Interlock, ...]:
    """The interlocks of an open rack."""
    lock = rack.interlock
    if lock is None:
        return ()

    async def condition() -> bool | str:
        for instrument in rack.members(lock.instrument):
            answer = await instruments.ask(instrument, lock.query)
            problem = _problem(answer, lock.expect, lock.min, lock.max)
            if problem:
                return f"{instrument} answered {lock.query} by {short_repr(answer)}; {problem}"
        return True

    name = lock.name or f"{lock.query} of {lock.instrument}"
    return (Interlock(name, condition, lock.when_open, lock.poll),)


def _problem(answer: str, expected: str | None, low: float | None, high: float | None) -> str:
    """What is wrong with an answer; empty: nothing."""
    if expected is not None and not same_answer(answer, expected):
        return f"expected {expected!r}"
    if low is None and high is None:
        return ""
    try:
        value = float(answer)
    except ValueError:
        return "expected a number"
    inside = (low is None or value >= low) and (high is None or value <= high)  # false for NaN
    ends = f"{'any' if low is None else f'{low:g}'} ... {'any' if high is None else f'{high:g}'}"
    return "" if inside else f"expected {ends}"
