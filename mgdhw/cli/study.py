"""`mgdhw study`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mgdhw.commands import Command

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from mgdhw.study.intervals import Interval
    from mgdhw.study.robustness import Point, Task

    Found = dict[str, dict[str, list[Point]]]

study = typer.Typer(
    no_args_is_help=True,
    help="Studies of simulated chips: many trainings, one table, one figure.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@study.command(cls=Command)
def robustness(
    output: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for robustness.csv and .png.")] = Path("study"),
    axes: Annotated[
        list[str] | None,
        typer.Option("--axis", metavar="NAME[=VALUES]", help="Only this non-ideality, at these strengths; repeatable."),
    ] = None,
    tasks: Annotated[list[str] | None, typer.Option("--task", help="Only this task; repeatable.")] = None,
    device: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Simulated chip to use instead: sim:PRESET?… or sim:FILE.toml."),
    ] = None,
    experiment: Annotated[
        Path | None,
        typer.Option(metavar="FILE.toml", help="Your own experiment, with a target, instead of the tasks."),
    ] = None,
    replicas: Annotated[int, typer.Option(min=1, max=1000, help="Chips (and seeds) per strength.")] = 10,
    workers: Annotated[
        int | None, typer.Option(min=1, max=256, help="Number of processes (default: one per processor).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the points as JSON.")] = False,
) -> None:
    """Time to solution and yield as a function of each non-ideality.

    Trainings already in FOLDER/robustness.csv are not repeated, so an interrupted study can be continued.

    Example: mgdhw study robustness --axis mismatch=0.1,0.25 --task nist7x7 --replicas 10

    The figure needs matplotlib (pip install 'mgdhw\\[plot]').
    """
    from mgdhw.report import figures
    from mgdhw.report.console import console, echo
    from mgdhw.runs.atomic import write_atomically
    from mgdhw.study import figures as study_figures
    from mgdhw.study.robustness import TASKS, Row, from_csv, jobs, points, study, to_csv
    from mgdhw.study.swept_parameters import SWEEPS
    from mgdhw.study.user_experiments import record_tasks

    given = dict(one.partition("=")[::2] for one in axes or ())
    chosen_axes = _known("axis", list(given), list(SWEEPS))
    strengths = {
        name: SWEEPS[name].chosen(given[name]) if given.get(name) else SWEEPS[name].values for name in chosen_axes
    }
    chosen_tasks = _tasks(tasks, device, experiment)
    out = console(stderr=as_json)
    drawn = _drawn()
    _make(output)
    table, picture = output / "robustness.csv", output / "robustness.png"
    rows = from_csv(_text(table), str(table))
    record_tasks(output / "robustness.json", chosen_tasks.values(), {row.task for row in rows}, TASKS.values())
    done = {(row.task, row.axis, row.value, row.replica) for row in rows}
    todo = [
        job
        for job in jobs(chosen_tasks, strengths, replicas)
        if (job.task, job.axis, job.value, job.replica) not in done
    ]
    with _progress(out, "trainings", len(todo), table) as advance:

        def record(row: Row) -> None:
            rows.append(row)
            write_atomically(table, to_csv(rows).encode())
            name = f"{row.task}, {row.axis} {row.value:g}, replica {row.replica}"
            advance(f"{name}: {f'{row.probes:,} probes' if row.solved else 'not solved'}")

        study(todo, chosen_tasks, record, workers)
    if drawn:
        study_figures.robustness(rows, picture)
    found = {
        task: {name: points(rows, task, SWEEPS[name]) for name in chosen_axes if points(rows, task, SWEEPS[name])}
        for task in chosen_tasks
    }
    if as_json:
        echo(_as_json(found))
        return
    _show(out, found)
    out.print(f"\n{table}\n{picture if drawn else figures.MISSING}", soft_wrap=True)


@study.command(cls=Command)
def drift(
    output: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for drift.csv and .png.")] = Path("study"),
    constants: Annotated[
        float, typer.Option(min=0.1, max=1e6, help="Duration, in time constants of the drift.")
    ] = 10.0,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Simulated chip to use instead; retention= is the time constant of decay (default: 100,000).",
        ),
    ] = None,
    experiment: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="Your own experiment instead of the digits.")
    ] = None,
    replicas: Annotated[int, typer.Option(min=1, max=1000, help="Chips (and seeds).")] = 10,
    workers: Annotated[
        int | None, typer.Option(min=1, max=256, help="Number of processes (default: one per processor).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Whether training keeps up with a chip whose cells decay.

    Chips already in FOLDER/drift.csv are not trained again, so an interrupted study can be continued.

    Example: mgdhw study drift --constants 10 --replicas 6

    The figure needs matplotlib (pip install 'mgdhw\\[plot]').
    """
    import json

    from mgdhw.cli.formatting import format_percent
    from mgdhw.report import figures
    from mgdhw.report.console import console, echo
    from mgdhw.runs.atomic import write_atomically
    from mgdhw.study import drift as drifting
    from mgdhw.study import figures as study_figures
    from mgdhw.study.user_experiments import on_device, record_tasks, user_experiment

    own = None
    if experiment is not None:
        own = user_experiment(experiment, device)
    elif device is not None:
        own = on_device(drifting.experiment(), device)
    protocol = drifting.protocol(constants, own)
    out = console(stderr=as_json)
    drawn = _drawn()
    _make(output)
    table, picture = output / "drift.csv", output / "drift.png"
    rows = drifting.from_csv(_text(table), str(table))
    trained = [protocol.task.name] if rows else []
    record_tasks(output / "drift.json", [protocol.task], trained, [drifting.protocol().task])
    drifting.check_length(rows, protocol, str(table))
    done = {row.seed for row in rows}
    todo = [seed for seed in range(replicas) if seed not in done]
    with _progress(out, "chips", len(todo), table) as advance:

        def record(found: list[drifting.Row]) -> None:
            rows.extend(found)
            write_atomically(table, drifting.to_csv(rows).encode())
            (one,) = drifting.outcomes(found)
            name = f"seed {found[0].seed}: learned {format_percent(one.learned)}"
            advance(
                f"{name}; trained {format_percent(one.trained_end)}, frozen {format_percent(one.frozen_end)} at the end"
            )

        drifting.study(protocol, todo, record, workers)
    if drawn:
        study_figures.drift(rows, protocol, picture)
    outcomes = drifting.outcomes(rows)
    never = sum(one.trained_worst >= one.learned for one in outcomes)
    numbers = {
        "learned": drifting.summary([one.learned for one in outcomes]),
        "trained_worst": drifting.summary([one.trained_worst for one in outcomes]),
        "trained_end": drifting.summary([one.trained_end for one in outcomes]),
        "frozen_end": drifting.summary([one.frozen_end for one in outcomes]),
    }
    if as_json:
        found = {name: number.summary() for name, number in numbers.items()}
        echo(json.dumps({"chips": len(outcomes), "never_worse": never, **found}))
        return
    out.print(f"{protocol.split} accuracy of {len(outcomes)} chips: median (95 % confidence interval)", soft_wrap=True)
    labels = {
        "learned": "after learning",
        "trained_worst": "continued training, worst",
        "trained_end": "continued training, at the end",
        "frozen_end": "no further training, at the end",
    }
    for name, number in numbers.items():
        out.print(
            f"{labels[name]:30}  {format_percent(number.median)}{_between(number.interval, format_percent)}",
            soft_wrap=True,
        )
    out.print(f"{'never worse than after learning':31}  {_counted(never, len(outcomes), ' chips')}", soft_wrap=True)
    out.print(f"\n{table}\n{picture if drawn else figures.MISSING}", soft_wrap=True)


@contextmanager
def _progress(out: Console, what: str, total: int, table: Path) -> Iterator[Callable[[str], None]]:
    """A progress bar, or lines if there is no terminal. An interruption reports what was saved."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from mgdhw.cli.exit_codes import EXIT_INTERRUPTED
    from mgdhw.report.console import echo

    with Progress(
        f"[dim]{what}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=out, transient=True
    ) as progress:
        bar = progress.add_task("", total=total)

        def advance(line: str) -> None:
            progress.advance(bar)
            if not out.is_terminal:  # no bar to look at
                out.print(line, soft_wrap=True)

        try:
            yield advance
        except (KeyboardInterrupt, SystemExit) as ending:
            progress.stop()
            saved = f"stopped; finished results are in {table}; repeat the command to continue"
            echo(saved if table.exists() else f"stopped; no {what.removesuffix('s')} was finished", stderr=True)
            raise typer.Exit(int(ending.code or 0) if isinstance(ending, SystemExit) else EXIT_INTERRUPTED) from None


def _drawn() -> bool:
    """Whether a figure can be drawn. Raises ConfigError if matplotlib is installed but does not work."""
    from mgdhw.report import figures

    if not figures.available():
        return False
    figures.require()
    return True


def _text(table: Path) -> str:
    """The existing table; empty if there is none."""
    return table.read_text(encoding="utf-8", errors="replace") if table.exists() else ""


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
    from mgdhw.study.robustness import TASKS
    from mgdhw.study.user_experiments import on_chip, user_experiment, user_task

    if experiment is not None:
        if names:
            raise ConfigError("--task and --experiment: choose one of them")
        task = user_task(user_experiment(experiment, device))
        return {task.name: task}
    chosen = [TASKS[name] for name in _known("task", names, list(TASKS))]
    return {task.name: task if device is None else on_chip(task, device) for task in chosen}


def _as_json(found: Found) -> str:
    import json

    return json.dumps(
        {task: {axis: [p.summary() for p in ps] for axis, ps in axes.items()} for task, axes in found.items()}
    )


def _show(out: Console, found: Found) -> None:
    from mgdhw.report.console import WIDE, print_table

    def missing(table: Table) -> int:
        return out.measure(table, options=out.options.update_width(WIDE)).maximum - out.width

    table = _table(found, stacked=False)
    if out.file.isatty() and missing(table) > 0:
        table = _table(found, stacked=True)
        if (columns := missing(table)) > 0:  # the name of an experiment may be long, and is folded
            longest = max(map(len, ("non-ideality", *found)))
            table.columns[0].max_width = max(len("non-ideality"), longest - columns)
    print_table(out, table)
    out.print(
        "\nmedians, ratios to the first row of each, and chips that learn, with 95 % confidence intervals", style="dim"
    )


def _table(found: Found, *, stacked: bool) -> Table:
    """One row per strength; `stacked` puts intervals beneath their numbers, for 80 columns."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0))
    joint = "\n" if stacked else " "
    if stacked:
        table.add_column("task,\nnon-ideality", overflow="fold")
    else:
        for heading in ("task", "non-ideality"):
            table.add_column(heading, no_wrap=True)
    for heading in ("strength", "probes to solution", "relative", "solved"):
        table.add_column(heading, justify="right", no_wrap=not stacked, overflow="fold")
    for task, axes in found.items():
        for axis, points in axes.items():
            for p in points:
                name = (f"{task}\n{axis}",) if stacked else (task, axis)
                table.add_row(
                    *name, f"{p.value:g}", _sure(p.times.median, p.median, "{:,.0f}".format, joint),
                    _sure(p.ratio, p.ratio_interval, "{:.2f}".format, joint), _counted(p.learned, p.chips, joint=joint),
                )  # fmt: skip
    return table


def _counted(count: int, of: int, what: str = "", joint: str = " ") -> str:
    """A count out of a total, with the confidence interval of the fraction."""
    from mgdhw.study.intervals import of_share

    return f"{count} of {of}{what}{_between(of_share(count, of), lambda share: f'{100 * share:.0f}', ' %', joint)}"


def _sure(value: float, interval: Interval, show: Callable[[float], str], joint: str = " ") -> str:
    """A number with its confidence interval; a dash if it is not finite."""
    return f"{show(value) if math.isfinite(value) else '–'}{_between(interval, show, joint=joint)}"


def _between(interval: Interval, show: Callable[[float], str], unit: str = "", joint: str = " ") -> str:
    """An interval in parentheses, after `joint`; empty if neither end is finite."""
    if not (math.isfinite(interval.low) or math.isfinite(interval.high)):
        return ""
    low, high = (show(end) if math.isfinite(end) else "–" for end in (interval.low, interval.high))
    return f"{joint}({low} … {high}{unit})"
