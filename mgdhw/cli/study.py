"""`mgdhw study`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mgdhw.commands import Command

if TYPE_CHECKING:
    from rich.console import Console

    from mgdhw.study.robustness import Point, Task

    Found = dict[str, dict[str, list[Point]]]

study = typer.Typer(
    no_args_is_help=True,
    help="Studies of simulated chips: many trainings, one table, one picture.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@study.command(cls=Command)
def robustness(
    output: Annotated[Path, typer.Option(metavar="FOLDER", help="Where robustness.csv and .png go.")] = Path("study"),
    axes: Annotated[list[str] | None, typer.Option("--axis", help="Only this imperfection; repeatable.")] = None,
    tasks: Annotated[list[str] | None, typer.Option("--task", help="Only this task; repeatable.")] = None,
    device: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Another simulated chip: sim:PRESET?… or sim:FILE.toml.")
    ] = None,
    experiment: Annotated[
        Path | None,
        typer.Option(metavar="FILE.toml", help="An experiment of your own, with a target, instead of the tasks."),
    ] = None,
    replicas: Annotated[int, typer.Option(min=1, max=1000, help="Chips (and seeds) for each strength.")] = 10,
    workers: Annotated[
        int | None, typer.Option(min=1, max=256, help="Processes; one for each processor by default.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the points as JSON, for scripts.")] = False,
) -> None:
    """How much of each imperfection a chip learns with.

    Trainings that are in FOLDER/robustness.csv already are not done again: an interrupted study goes on.

    Example: mgdhw study robustness --axis mismatch --task nist7x7 --replicas 4

    The table needs no more than this; the picture needs matplotlib (pip install 'mgdhw[plot]').
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from mgdhw import pictures
    from mgdhw.checkpoint import write_atomically
    from mgdhw.cli.main import EXIT_INTERRUPTED
    from mgdhw.output import console, echo
    from mgdhw.study import figures
    from mgdhw.study.axes import AXES
    from mgdhw.study.own import remember
    from mgdhw.study.robustness import Row, from_csv, jobs, points, study, to_csv

    chosen_axes = _known("axis", axes, list(AXES))
    chosen_tasks = _tasks(tasks, device, experiment)
    out = console(stderr=as_json)
    _make(output)
    remember(output / "robustness.json", chosen_tasks.values())
    table, picture = output / "robustness.csv", output / "robustness.png"
    rows = from_csv(table.read_text(encoding="utf-8", errors="replace"), str(table)) if table.exists() else []
    done = {(row.task, row.axis, row.value, row.replica) for row in rows}
    todo = [
        job
        for job in jobs(chosen_tasks, chosen_axes, replicas)
        if (job.task, job.axis, job.value, job.replica) not in done
    ]
    columns = ("[dim]trainings", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=out, transient=True) as progress:
        bar = progress.add_task("", total=len(todo))

        def tell(row: Row) -> None:
            rows.append(row)
            progress.advance(bar)
            write_atomically(table, to_csv(rows).encode())
            if not out.is_terminal:  # no bar to look at
                name = f"{row.task}, {row.axis} {row.value:g}, replica {row.replica}"
                end = f"{row.probes:,} probes" if row.solved else "not solved"
                out.print(f"{name}: {end}", soft_wrap=True)

        try:
            study(todo, chosen_tasks, tell, workers)
        except (KeyboardInterrupt, SystemExit) as ending:
            progress.stop()
            kept = f"stopped; what is done is in {table}, and the same command goes on from there"
            echo(kept if table.exists() else "stopped; no training was finished", stderr=True)
            raise typer.Exit(int(ending.code or 0) if isinstance(ending, SystemExit) else EXIT_INTERRUPTED) from None
    drawn = pictures.available()
    if drawn:
        figures.robustness(rows, picture)
    found = {
        task: {name: points(rows, task, AXES[name]) for name in chosen_axes if points(rows, task, AXES[name])}
        for task in chosen_tasks
    }
    if as_json:
        echo(_as_json(found))
        return
    _show(out, found)
    out.print(f"\n{table}\n{picture if drawn else pictures.MISSING}", soft_wrap=True)


@study.command(cls=Command)
def drift(
    output: Annotated[Path, typer.Option(metavar="FOLDER", help="Where drift.csv and .png go.")] = Path("study"),
    constants: Annotated[float, typer.Option(min=0.1, max=1e6, help="Time constants of the drift to follow.")] = 10.0,
    seed: Annotated[int, typer.Option(help="Seed of the training.")] = 0,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Another simulated chip. It decays with the time constant retention=, 100,000 probes if not given.",
        ),
    ] = None,
    experiment: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="How it learns, instead of the digits.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON, for scripts.")] = False,
) -> None:
    """Whether training keeps up with a chip whose cells decay.

    An interrupted study begins again.

    Example: mgdhw study drift --constants 10
    """
    import asyncio
    import json
    import os

    from mgdhw import pictures
    from mgdhw.checkpoint import write_atomically
    from mgdhw.cli.main import EXIT_INTERRUPTED
    from mgdhw.cli.numbers import percent, score
    from mgdhw.events import Evaluated
    from mgdhw.output import console, echo
    from mgdhw.study import drift as drifting
    from mgdhw.study import figures
    from mgdhw.study.drift import Curve, Drifting, study
    from mgdhw.study.own import on_device, own_experiment

    out = console(stderr=as_json)
    own = None
    if experiment is not None:
        own = own_experiment(experiment, device)
    elif device is not None:
        own = on_device(drifting.experiment(constants), device)
    _make(output)

    with out.status("learning") as status:

        def tell(name: str, event: Evaluated) -> None:
            status.update(f"{name}: {score(event.accuracy, event.r2)[1]} after {event.step:,} probes")

        async def follow() -> Drifting:
            try:
                return await study(constants, seed, tell, own)
            except asyncio.CancelledError:
                status.stop()
                typer.echo("stopped; nothing is kept, and the same command begins again", err=True)
                # At once: the loop would wait for a chip that is being compiled. All chips are simulated, and closed.
                os._exit(EXIT_INTERRUPTED)

        found = asyncio.run(follow())
    lines = ["part,step,accuracy"]
    curves: dict[str, Curve] = {"learning": found.learning, "trained": found.trained, "frozen": found.frozen}
    for name, curve in curves.items():
        lines += [f"{name},{s},{a:.4f}" for s, a in zip(curve.steps, curve.accuracies, strict=True)]
    write_atomically(output / "drift.csv", ("\n".join(lines) + "\n").encode())
    drawn = pictures.available()
    if drawn:
        figures.drift(found, output / "drift.png")
    learned = found.learning.accuracies[-1]
    outcome = {
        "learned": learned,
        "trained_worst": min(found.trained.accuracies),
        "trained_end": found.trained.accuracies[-1],
        "frozen_end": found.frozen.accuracies[-1],
    }
    if as_json:
        echo(json.dumps(outcome))
        return
    out.print(f"learned                     {percent(learned)}")
    ends = percent(outcome["trained_end"])
    out.print(f"training goes on, worst     {percent(outcome['trained_worst'])}, at the end {ends}")
    out.print(f"training has ended          {percent(outcome['frozen_end'])} at the end")
    out.print(f"\n{output / 'drift.csv'}\n{output / 'drift.png' if drawn else pictures.MISSING}", soft_wrap=True)


def _make(folder: Path) -> None:
    from mgdhw.errors import ConfigError

    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--output {folder}: is a file; expected a folder, or a name for one")
    folder.mkdir(parents=True, exist_ok=True)


def _known(kind: str, wanted: list[str] | None, names: list[str]) -> list[str]:
    from mgdhw.errors import ConfigError

    for name in wanted or ():
        if name not in names:
            raise ConfigError(f"--{kind} {name}: expected one of {', '.join(names)}")
    return wanted or names


def _tasks(names: list[str] | None, device: str | None, experiment: Path | None) -> dict[str, Task]:
    """The tasks of a study, by name: those of mgdhw, or a user's, perhaps on another chip."""
    from mgdhw.errors import ConfigError
    from mgdhw.study.own import on_chip, own_experiment, own_task
    from mgdhw.study.robustness import TASKS

    if experiment is not None:
        if names:
            raise ConfigError("--task and --experiment: choose one of them")
        task = own_task(own_experiment(experiment, device))
        return {task.name: task}
    chosen = [TASKS[name] for name in _known("task", names, list(TASKS))]
    return {task.name: task if device is None else on_chip(task, device) for task in chosen}


def _as_json(found: Found) -> str:
    import json

    return json.dumps(
        {task: {axis: [p.summary() for p in ps] for axis, ps in axes.items()} for task, axes in found.items()}
    )


def _show(out: Console, found: Found) -> None:
    import math

    from rich.table import Table

    from mgdhw.cli.numbers import percent
    from mgdhw.output import print_table

    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("task", overflow="fold")  # the name of an experiment may be long
    table.add_column("imperfection", no_wrap=True)
    for heading in ("strength", "probes", "quartiles", "ratio", "solved"):
        table.add_column(heading, justify="right", no_wrap=heading != "quartiles")
    for task, axes in found.items():
        for axis, points in axes.items():
            base = points[0].times.median
            for p in points:
                low, middle, high = (
                    f"{t:,.0f}" if math.isfinite(t) else "–" for t in (p.times.lower, p.times.median, p.times.upper)
                )
                ratio = f"{p.times.median / base:.2f}" if math.isfinite(p.times.median / base) else "–"
                table.add_row(task, axis, f"{p.value:g}", middle, f"{low} … {high}", ratio, percent(p.solved))
    print_table(out, table)
    out.print("\nprobes to solution: median, quartiles, and ratio to the median of the first row", style="dim")
