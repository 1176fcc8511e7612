"""Tables and bars in HTML, for notebooks: what is shown there is escaped, whatever a file or a board calls itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from mgdhw.report.console import printable

DIGEST = 16
"""Characters of a digest that are shown."""


def text(value: object) -> str:
    """Anything as text in HTML: escaped, and without control characters."""
    return escape(printable(str(value), lines=True))


def table(rows: Iterable[Sequence[object]], *, caption: str, headings: Sequence[str] = ()) -> str:
    """A table; the first cell of each row is what the others are about."""
    head = "".join(f"<th>{text(heading)}</th>" for heading in headings)
    lines = [f"<tr>{head}</tr>"] if headings else []
    for first, *others in rows:
        cells = "".join(f'<td style="text-align:left">{text(cell)}</td>' for cell in others)
        lines.append(f'<tr><th style="text-align:left">{text(first)}</th>{cells}</tr>')
    title = f'<caption style="text-align:left"><b>{text(caption)}</b></caption>'
    return f"<table>{title}{''.join(lines)}</table>"


def bar(share: float, *lines: str) -> str:
    """A bar that is filled to a share, 0 ... 1, with lines of text beneath it."""
    filled = f'<progress value="{share:.4f}" max="1" style="width:100%;max-width:40em"></progress>'
    return "<br>".join([f"{filled} {100 * share:.0f} %", *(text(line) for line in lines)])


def summary(values: Mapping[str, Any], caption: str) -> str:
    """A summary that JSON could hold, as a table; what is not known is left out."""
    rows = ((name.replace("_", " "), _value(name, value)) for name, value in values.items() if value is not None)
    return table(rows, caption=caption)


def _value(name: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_value(key, one)}" for key, one in value.items() if one is not None)
    if isinstance(value, list | tuple):
        return ", ".join(_value("", one) for one in value)
    if name == "digest":
        return str(value)[:DIGEST]
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
