"""What a board says of a request that it refuses, as errors."""

from __future__ import annotations

from mgdhw.errors import DeviceError, DeviceFault, LimitExceeded, LinkCorrupt
from mgdhw_drivers.protocol.connection import Answer
from mgdhw_drivers.protocol.messages import ErrorPayload
from mgdhw_drivers.protocol.numbers import Code

LIMITS = {
    -1: "the limit of stress",
    -3: "the limit of slew (the perturbation swings by twice its amplitude)",
}
"""What a LIMIT is about that names no parameter."""


class Refused(LinkCorrupt):
    """The board would not do it: it holds something else, or is in its safe state. Bringing it up to date helps."""

    def __init__(self, trouble: ErrorPayload, text: str, uri: str) -> None:
        super().__init__(f"the board refuses ({Code(trouble.code).name}, {trouble.value}) {text}", uri=uri)
        self.trouble = trouble


def trouble_of(answer: Answer, uri: str) -> DeviceError:
    """The error that an ERROR stands for."""
    trouble = answer.trouble
    assert trouble is not None, "asked for"
    text = f": {answer.text}" if answer.text else ""
    match trouble.code:
        case Code.MISMATCH | Code.SAFE:
            return Refused(trouble, answer.text, uri)
        case Code.LIMIT:
            named = f"a limit of parameter {trouble.value}" if trouble.value >= 0 else "a limit"
            what = LIMITS.get(trouble.value, named)
            return LimitExceeded(f"the board says that {what} would be violated{text}", uri=uri)
        case Code.UNSUPPORTED:
            return DeviceFault(f"the board cannot do this{text}; use a lower level (run.level)", uri=uri)
        case Code.FAULT:
            return DeviceFault(f"the board reports a fault ({trouble.value}){text}", uri=uri)
        case _:
            return DeviceFault(f"the board does not understand the request ({trouble.code}){text}", uri=uri)
