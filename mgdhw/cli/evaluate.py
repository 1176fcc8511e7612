"""`mgdhw evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from mgdhw.runs import Evaluation, Score

MAX_CLASSES = 20
"""Larger confusion matrices are in --json only."""


def evaluate(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Folder or id of a run.")],
    device: Annotated[str | None, typer.Option(help="Device to evaluate on instead of the run's.")] = None,
    runs: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for runs.")] = Path("runs"),
    best: Annotated[bool, typer.Option("--best", help="Evaluate its best θ instead of its last.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Evaluate the network of a run on all of its data.

    Example: mgdhw evaluate runs/digits-20261123-004012
    """
    import json

    from mgdhw import api
    from mgdhw.cli.readings import showing_readings
    from mgdhw.report.console import console, echo, printing

    with showing_readings(console(stderr=True), "evaluating") as listen:
        evaluation = api.evaluate(run, device=device, runs=runs, best=best, listeners=[listen])
    if as_json:
        echo(json.dumps(evaluation.summary()))
        return
    with printing():
        _show(console(), evaluation)


def _show(out: Console, evaluation: Evaluation) -> None:
    from mgdhw.report.console import print_table

    for note in evaluation.notes:
        out.print(f"note: {note}", style="yellow")
    out.print(f"{evaluation.run}, after {evaluation.step:,} probes", style="bold", soft_wrap=True)
    print_table(out, _scores(evaluation))
    split, score = list(evaluation.scores.items())[-1]
    confusion = _confusion(evaluation, score)
    if confusion is not None:
        out.print(f"\nconfusion matrix on {split} samples: true class (rows), predicted class (columns)", style="dim")
        print_table(out, confusion)


def _scores(evaluation: Evaluation) -> Table:
    from rich.table import Table

    from mgdhw.cli.formatting import format_score

    scores = {split: format_score(one.accuracy, one.r2) for split, one in evaluation.scores.items()}
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("split", style="dim")
    for heading in ("samples", next(iter(scores.values()))[0], "cost"):
        table.add_column(heading, justify="right")
    for split, one in evaluation.scores.items():
        table.add_row(split, f"{one.samples:,}", scores[split][1], f"{one.cost:#.4g}")
    return table


def _confusion(evaluation: Evaluation, score: Score) -> Table | None:
    from rich.table import Table
    from rich.text import Text

    counts = score.confusion
    if counts is None or len(counts) > MAX_CLASSES:
        return None
    names = evaluation.classes or tuple(str(number) for number in range(len(counts)))
    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column("", style="dim", justify="right", no_wrap=True)
    for name in names:
        table.add_column(name[:4], justify="right", no_wrap=True, header_style="dim")
    for row, name in enumerate(names):
        cells = [
            Text(str(count or "·"), style="green" if row == column else "red" if count else "dim")
            for column, count in enumerate(counts[row].tolist())
        ]
        table.add_row(name, *cells)
    return table
