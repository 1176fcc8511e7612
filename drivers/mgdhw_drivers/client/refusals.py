"""A board's ERROR messages, as exceptions."""

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
    """The board refuses a request: it holds something else, or is in its safe state. Sending it what it lacks helps."""

    def __init__(self, payload: ErrorPayload, text: str, uri: str) -> None:
        super().__init__(f"the board refuses ({Code(payload.code).name}, {payload.value}) {text}", uri=uri)
        self.payload = payload


def error_of(answer: Answer, uri: str) -> DeviceError:
    """The exception for an answer that is an ERROR."""
    payload = answer.trouble
    assert payload is not None, "asked for"
    text = f": {answer.text}" if answer.text else ""
    match payload.code:
        case Code.MISMATCH | Code.SAFE:
            return Refused(payload, answer.text, uri)
        case Code.LIMIT:
            named = f"a limit of parameter {payload.value}" if payload.value >= 0 else "a limit"
            what = LIMITS.get(payload.value, named)
            return LimitExceeded(f"the board says that {what} would be violated{text}", uri=uri)
        case Code.UNSUPPORTED:
            return DeviceFault(f"the board cannot do this{text}; use a lower level (run.level)", uri=uri)
        case Code.FAULT:
            return DeviceFault(f"the board reports a fault ({payload.value}){text}", uri=uri)
        case _:
            return DeviceFault(f"the board does not understand the request ({payload.code}){text}", uri=uri)
