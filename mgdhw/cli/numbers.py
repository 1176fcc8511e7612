"""How numbers look."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mgdhw.timing import TimeAndEnergy

BARS = "▁▂▃▄▅▆▇█"


def duration(seconds: float) -> str:
    """4.2 s, 3:07, 2:05:00."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def rate(per_second: float) -> str:
    """Probes per second, to the three digits that anybody reads."""
    if per_second < 100:
        return f"{per_second:.3g} probes/s"
    if per_second < 10_000:
        return f"{per_second:,.0f} probes/s"
    return f"{per_second / 1000:,.3g}k probes/s" if per_second < 1e6 else f"{per_second / 1e6:,.3g}M probes/s"


def taken(bill: TimeAndEnergy) -> str:
    """What something takes on hardware: 5.6 h, 31 µJ."""
    from mgdhw.report.units import quantity, span

    return f"{span(bill.seconds)}, {quantity(bill.joules, 'J')}"


def percent(share: float) -> str:
    """A share as 93.1 %."""
    return f"{100 * share:.1f} %"


def score(accuracy: float | None, r2: float | None) -> tuple[str, str]:
    """What a result is judged by: its name, and its value."""
    if accuracy is not None:
        return "accuracy", percent(accuracy)
    return "R²", "–" if r2 is None else f"{r2:.4f}"


def bars(values: list[float], low: float, high: float, width: int = 24) -> str:
    """A curve of one character's height; empty where the terminal's encoding has no such characters."""
    try:
        BARS.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ""
    step = max(1, -(-len(values) // width))
    chosen = values[::-1][::step][::-1]
    span = (high - low) or 1.0
    return "".join(BARS[round(min(1.0, max(0.0, (value - low) / span)) * (len(BARS) - 1))] for value in chosen)
