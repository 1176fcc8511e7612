"""A figure's table, plot and page."""

from __future__ import annotations

import base64
import csv
import io
from html import escape
from pathlib import Path
from typing import Any

from mgdhw.report import figures
from mgdhw.study.reproduce.published import means
from mgdhw.study.reproduce.summary import QUANTITIES, points

COLOURS = {"weight": "#1b6ca8", "node": "#c8553d", "backprop": "#3a7d44"}
MARKS = ("o", "s", "^", "D", "v")
COLUMNS = (
    "method", "d", "seed", "iteration", "cosine", "cost_train", "cost_test", "accuracy", "target", "iterations",
)  # fmt: skip
NOTE = {
    "fig3": "Cosine of the running estimate with the true gradient of the same mini-batch, at frozen parameters.",
    "fig4": "Training with τ_θ = 1 and η = 0.001. Costs of training are those of the published targets, 1.00 and 0.01,"
    " which add up to 1.09; those of testing have 0.991 and 0.001.",
}


def to_csv(rows: list[dict[str, Any]]) -> str:
    """All rows, with one header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def plot(figure: str, rows: list[dict[str, Any]], path: Path) -> None:
    """Our means with standard errors, the published ones as open marks. Needs matplotlib."""
    quantities, found = QUANTITIES[figure], points(figure, rows)
    drawn = figures.figure((5.0 * len(quantities), 4.0))
    places = drawn.subplots(1, len(quantities), squeeze=False)[0]
    shown = sorted({(point.method, point.d) for point in found})
    widths = sorted({d for _, d in shown})
    for place, quantity in zip(places, quantities, strict=True):
        for method, d in shown:
            look = {"color": COLOURS[method], "marker": MARKS[widths.index(d) % len(MARKS)]}
            own = [p for p in found if (p.method, p.d, p.quantity) == (method, d, quantity)]
            errors = [p.error or 0.0 for p in own]
            at = [p.iteration for p in own]
            label = f"{method}, d = {d}"
            place.errorbar(at, [p.mean for p in own], errors, ms=4, lw=1.2, capsize=2, label=label, **look)
            theirs = [
                (key[2], one.mean)
                for key, one in means(figure).items()
                if (key[0], key[1], key[3]) == (method, d, quantity)
            ]
            place.plot(*zip(*theirs, strict=True), ls="", ms=8, fillstyle="none", **look)
        place.set_xscale("log")
        place.set_xlabel("iterations (open: published)")
        place.set_ylabel(quantity.replace("_", ", "))
        place.grid(alpha=0.25)
    places[0].legend(frameon=False, fontsize=8)
    figures.save(drawn, path, 120)


def page(figure: str, found: dict[str, Any], picture: Path | None) -> str:
    """One self-contained HTML page."""
    shown = ""
    if picture is not None:
        data = base64.b64encode(picture.read_bytes()).decode()
        shown = f'<p><img alt="means over iterations" src="data:image/png;base64,{data}" style="max-width:100%"></p>'
    counts = (
        f"{found['outside_2']} of {found['compared']} means deviate by more than two combined standard errors,"
        f" {found['outside_3']} by more than three."
    )
    parts = [f"<h2>{title}</h2>{_table(found[key])}" for key, title in _TABLES.items() if found[key]]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f"<title>{figure}</title><style>body{{font:15px sans-serif;max-width:70em;margin:2em auto;padding:0 1em}}"
        "td,th{padding:.1em .8em;text-align:right}</style>"
        f"<h1>Oripov et al. 2025, figure {figure[3:]}</h1><p>{escape(NOTE[figure])}</p><p>{counts}</p>{shown}"
        + "".join(parts)
        + "</html>\n"
    )


_TABLES = {
    "points": "Means beside the published ones",
    "times": "Median iterations to a target",
    "exponents": "Exponents against N",
}


def _table(rows: list[dict[str, Any]]) -> str:
    heads = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in rows[0])
    lines = ("".join(f"<td>{escape(_shown(value))}</td>" for value in row.values()) for row in rows)
    return f"<table><tr>{heads}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _shown(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.5g}" if isinstance(value, float) else str(value)
