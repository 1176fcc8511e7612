"""Channel lists, `(@1:13,20)`, and numeric lists, `(1:13,20)` (SCPI-99, volume 1, 8.3)."""

from __future__ import annotations

import re
from typing import Final

from mgdhw_drivers.scpi.errors import ScpiError

MOST: Final = 1 << 16
"""Channels of one list, repeated ones included."""

_RANGE = re.compile(r"\s*(\d{1,9})\s*(?::\s*(\d{1,9})\s*)?$")


def parse_channels(expression: str, highest: int) -> tuple[int, ...]:
    """Channels in the order in which they are listed; a range may run downwards.

    Args:
        expression: without its parentheses.
        highest: number of the last channel; the first is 1.

    Raises:
        ScpiError: it is no list, names a channel that there is not, or is too long.
    """
    found: list[int] = []
    for part in expression.removeprefix("@").split(","):
        match = _RANGE.match(part)
        if match is None:
            raise ScpiError(-171, expression[:40])
        first = int(match[1])
        last = first if match[2] is None else int(match[2])
        if not (1 <= first <= highest and 1 <= last <= highest):
            raise ScpiError(-222, f"channels are 1 to {highest}")
        step = 1 if first <= last else -1
        if len(found) + abs(last - first) >= MOST:
            raise ScpiError(-223, f"more than {MOST} channels")
        found.extend(range(first, last + step, step))
    return tuple(found)
