"""Lists of channels as files and messages write them: "1:13,20"."""

from __future__ import annotations

import re
from collections.abc import Sequence

MOST = 4096
"""Channels of one group."""
_NAME = re.compile(r"[A-Za-z0-9_!]+")
_RANGE = re.compile(r"(\d{1,9}):(\d{1,9})")


def parse_channels(value: object) -> tuple[str, ...]:
    """Channels from "1:13,20", a number, or a list of these. Raises ValueError."""
    items = value if isinstance(value, list | tuple) else [value]
    found: list[str] = []
    for item in items:
        if isinstance(item, bool) or not isinstance(item, int | str):
            raise ValueError('expected channels, such as "1:13,20" or [1, 2, 3]')
        for part in str(item).split(","):
            part = part.strip()
            span = _RANGE.fullmatch(part)
            if span:
                first, last = int(span[1]), int(span[2])
                if not first <= last < first + MOST:
                    raise ValueError(f"{part!r}: expected FIRST:LAST, with at most {MOST:,} channels")
                found += [str(number) for number in range(first, last + 1)]
            elif _NAME.fullmatch(part):
                found.append(part)
            else:
                raise ValueError(f'{part!r} is no channel; expected channels such as "1:13,20" or [1, 2, 3]')
    if not 1 <= len(found) <= MOST:
        raise ValueError(f"expected 1 ... {MOST:,} channels")
    return tuple(found)


def format_channels(channels: Sequence[str]) -> str:
    """Channels in the order given, with FIRST:LAST for consecutive numbers: ("1", "2", "3", "7") is "1:3,7"."""
    runs: list[list[str]] = []
    for channel in channels:
        if runs and channel.isdigit() and runs[-1][-1].isdigit() and int(channel) == int(runs[-1][-1]) + 1:
            runs[-1].append(channel)
        else:
            runs.append([channel])
    return ",".join(run[0] if len(run) == 1 else f"{run[0]}:{run[-1]}" for run in runs)
