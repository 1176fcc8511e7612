"""`mgdhw reproduce`."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

LAST = 1000
UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


class Figure(StrEnum):
    """Which figure."""

    FIG3 = "fig3"
    FIG4 = "fig4"


def reproduce(
    figure: Annotated[Figure, typer.Argument(help="Figure of Oripov et al. 2025.")],
    widths: Annotated[str, typer.Option("--d", metavar="LIST", help="Widths of the network.")] = "1,4",
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="Runs of each method and width.")] = 10,
    last: Annotated[int, typer.Option("--iterations", metavar="N", min=1, help="Iterations of a run.")] = LAST,
    methods: Annotated[
        list[str] | None, typer.Option("--method", help="Only weight, node or backprop; repeatable.")
    ] = None,
    budget: Annotated[
        str | None, typer.Option(metavar="TIME", help="Begin and finish what fits: 90s, 30m, 2h.")
    ] = None,
    data: Annotated[str, typer.Option(help="The images.")] = "fashion",
    network: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Another network, with {d} for its width.")
    ] = None,
    output: Annotated[Path, typer.Option(metavar="FOLDER", help="Where results are kept.")] = Path("reproduce"),
    as_json: Annotated[bool, typer.Option("--json", help="Print rows and summary as JSON.")] = False,
) -> None:
    """Repeat a figure of the 2025 paper, beside its published values.

    Finished runs are kept in FOLDER, so an interrupted command can be repeated to go on.

    Example: mgdhw reproduce fig3 --d 1,4 --seeds 10 --budget 30m

    The plot needs matplotlib (pip install 'mgdhw\\[plot]').
    """
    import json

    from mgdhw.datasets import load
    from mgdhw.errors import ConfigError
    from mgdhw.report import figures
    from mgdhw.report.console import console, echo
    from mgdhw.runs.atomic import write_atomically
    from mgdhw.study.reproduce import page
    from mgdhw.study.reproduce.kept import Job, jobs, run_all
    from mgdhw.study.reproduce.summary import summary
    from mgdhw.study.reproduce.task import METHODS, URI, study_data

    known = METHODS[figure.value]
    for method in methods or ():
        if method not in known:
            raise ConfigError(f"--method {method}: expected one of {', '.join(known)}")
    chosen, seconds = list(methods or known), _seconds(budget)
    sizes = _widths(widths)
    out = console(stderr=as_json)
    if output.exists() and not output.is_dir():
        raise ConfigError(f"--output {output}: is a file; expected a folder, or a name for one")
    output.mkdir(parents=True, exist_ok=True)
    drawn = figures.available()
    todo, rows, done = jobs(figure.value, chosen, sizes, seeds, last), list[dict[str, Any]](), 0

    def record(job: Job, found: list[dict[str, Any]]) -> None:
        nonlocal done
        done += 1
        rows.extend(found)
        out.print(f"{done} of {len(todo)}: {job}", style="dim", soft_wrap=True)

    try:
        whole = run_all(
            todo, output, study_data(load(data)), record, seconds=seconds, uri=URI if network is None else network
        )
    except KeyboardInterrupt:
        echo(f"stopped; {done} finished runs are in {output}; repeat the command to go on", stderr=True)
        raise typer.Exit(130) from None
    result = summary(figure.value, rows)
    result["finished"] = whole
    table, picture, html = (output / f"{figure.value}.{ending}" for ending in ("csv", "png", "html"))
    write_atomically(table, page.to_csv(rows).encode())
    if drawn and result["points"]:
        page.plot(figure.value, rows, picture)
    shown = picture if drawn and result["points"] else None
    write_atomically(html, page.page(figure.value, result, shown).encode())
    if as_json:
        echo(json.dumps(result))
        return
    _show(out, result)
    if not whole:
        out.print(f"\n{done} of {len(todo)} runs are finished; repeat the command to go on", style="yellow")
    out.print(f"\n{table}\n{html}\n{picture if drawn else figures.MISSING}", soft_wrap=True)


def _show(out: Console, result: dict[str, Any]) -> None:
    from rich.table import Table

    from mgdhw.report.console import print_table

    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("method", "d", "iterations", "quantity", "mean", "published", "deviation"):
        table.add_column(heading, justify="left" if heading in ("method", "quantity") else "right", no_wrap=True)
    for point in result["points"]:
        table.add_row(
            point["method"], str(point["d"]), f"{point['iteration']:,}", point["quantity"],
            _with_error(point["mean"], point["error"]), _with_error(point["published"], point["published_error"]),
            "–" if point["deviation"] is None else f"{point['deviation']:+.1f}",
        )  # fmt: skip
    print_table(out, table)
    out.print(
        f"\n{result['outside_2']} of {result['compared']} deviate by more than two combined standard errors,"
        f" {result['outside_3']} by more than three",
        soft_wrap=True,
    )
    for time in result["times"]:
        if time["iterations"] is not None:
            theirs = "" if time["published"] is None else f" (published: {time['published']:,.0f})"
            ours = f"{time['iterations']:,.0f} iterations to {time['target']:g}{theirs}"
            out.print(f"{time['method']}, d = {time['d']}: {ours}", soft_wrap=True)
    for one in result["exponents"]:
        between = "" if one["low"] is None else f" ({one['low']:.2f} … {one['high']:.2f})"
        out.print(
            f"{one['method']}: iterations to {one['target']:g} grow as N^{one['value']:.2f}{between}", soft_wrap=True
        )


def _with_error(value: float, error: float | None) -> str:
    return f"{value:.4f}" if error is None else f"{value:.4f} ± {error:.4f}"


def _widths(text: str) -> list[int]:
    from mgdhw.errors import ConfigError

    try:
        sizes = sorted({int(word) for word in text.split(",")})
    except ValueError:
        sizes = []
    if not sizes or sizes[0] < 1:
        raise ConfigError(f"--d {text}: expected widths of 1 or more, with commas between them: --d 1,4")
    return sizes


def _seconds(text: str | None) -> float | None:
    from mgdhw.errors import ConfigError

    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if found is None:
        raise ConfigError(f"--budget {text}: expected a time such as 90s, 30m or 2h")
    return float(found[1]) * UNITS[found[2]]
