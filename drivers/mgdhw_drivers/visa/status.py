"""What an instrument says of its errors, and whether it was switched on meanwhile."""

from __future__ import annotations

import re

POWER_ON = 1 << 7
"""Bit of the standard event status: it was switched on since that was read last."""
STATUS = "*ESR?;:SYST:ERR?"
"""Both in one message: 0;0,"No error"."""
_ERROR = re.compile(r"\s*([+-]?\d+)\s*(?:,\s*\"?(.*?)\"?\s*)?$", re.DOTALL)


def parse_status(answer: str, query: str) -> tuple[int, int, str] | None:
    """Event status, error code and text; None where an answer is something else."""
    events = 0
    if query == STATUS:
        first, separator, answer = answer.partition(";")
        if not separator or not first.strip().lstrip("+").isdigit():
            return None
        events = int(first)
    found = _ERROR.match(answer)
    return None if found is None else (events, int(found[1]), found[2] or "")
