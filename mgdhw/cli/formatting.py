"""Formatting of numbers for people."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mgdhw.timing import TimeAndEnergy

BARS = "▁▂▃▄▅▆▇█"


def format_duration(seconds: float) -> str:
    """4.2 s, 3:07, 2:05:00."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def format_rate(per_second: float) -> str:
    """Probes per second, with three digits."""
    if per_second < 100:
        return f"{per_second:.3g} probes/s"
    if per_second < 10_000:
        return f"{per_second:,.0f} probes/s"
    return f"{per_second / 1000:,.3g}k probes/s" if per_second < 1e6 else f"{per_second / 1e6:,.3g}M probes/s"


def format_hardware_usage(usage: TimeAndEnergy) -> str:
    """Time and energy on hardware: 5.6 h, 31 µJ; without the energy where none is declared."""
    from mgdhw.report.units import quantity, span

    return f"{span(usage.seconds)}, {quantity(usage.joules, 'J')}" if usage.joules else span(usage.seconds)


def format_percent(share: float) -> str:
    """A fraction as 93.1 %."""
    return f"{100 * share:.1f} %"


def format_score(accuracy: float | None, r2: float | None) -> tuple[str, str]:
    """Name and value of the score: accuracy, or R²."""
    if accuracy is not None:
        return "accuracy", format_percent(accuracy)
    return "R²", "–" if r2 is None else f"{r2:.4f}"


def sparkline(values: list[float], low: float, high: float, width: int = 24) -> str:
    """A curve in one line of text; empty if the terminal's encoding lacks the characters."""
    try:
        BARS.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ""
    step = max(1, -(-len(values) // width))
    chosen = values[::-1][::step][::-1]
    span = (high - low) or 1.0
    return "".join(BARS[round(min(1.0, max(0.0, (value - low) / span)) * (len(BARS) - 1))] for value in chosen)
