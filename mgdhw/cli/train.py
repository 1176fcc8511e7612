"""`mgdhw train`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from mgdhw.api import Result
    from mgdhw.cli.training_metrics import ReplicasMetrics, TrainingMetrics
    from mgdhw.training.results import ReplicasResult


class Level(StrEnum):
    """What the device does on its own: only measure, generate codes, or learn."""

    AUTO = "auto"
    HOST_CODES = "host-codes"
    DEVICE_CODES = "device-codes"
    LEARN = "learn"


def train(
    experiment: Annotated[
        Path | None, typer.Argument(help="A TOML file (default: handwritten digits on a simulated chip).")
    ] = None,
    device: Annotated[str | None, typer.Option(help="Device to train instead of the experiment's.")] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the experiment; repeatable."),
    ] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="Resume a run; the result is bit-identical.")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="RUN", help="Begin with the θ of another run; its experiment is the default."),
    ] = None,
    best: Annotated[bool, typer.Option("--best", help="With --from: its best θ instead of its last.")] = False,
    replicas: Annotated[
        int | None,
        typer.Option(metavar="N", help="Train N independent seeds and report their time to solution."),
    ] = None,
    level: Annotated[
        Level | None, typer.Option(help="What the device does on its own; the result is the same.")
    ] = None,
    runs: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for runs.")] = Path("runs"),
    seed: Annotated[int | None, typer.Option(help="Random seed.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show only the result, no progress.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the final summary as JSON.")] = False,
) -> None:
    """Train a device and save the run.

    Ctrl-C stops cleanly; the run can be resumed.

    Example: mgdhw train mine.toml --set optimizer.eta=0.05

    With --replicas, consecutive seeds are trained independently; the result is the distribution of their time to
    solution.
    """
    from mgdhw.cli.malloc import tune_malloc
    from mgdhw.errors import ConfigError
    from mgdhw.runs import find_run

    tune_malloc()
    overrides = list(changes or ())
    if level is not None:
        overrides.append(f"run.level={level.value}")
    if seed is not None:
        overrides.append(f"seed={seed}")
    if resume is not None and replicas is not None:
        raise ConfigError("--replicas: not allowed with --resume; the run has its own number of replicas")
    if best and start is None:
        raise ConfigError("--best: says which θ of a run training begins with; expected --from RUN, too")
    if start is not None and (resume is not None or replicas is not None):
        raise ConfigError(
            "--from: not allowed with --resume, which goes on from the run's own checkpoint, nor with --replicas, which"
            " begin each with parameters of its own seed"
        )
    if resume is not None and experiment is None:
        replicas = find_run(resume, runs).replicas()
    options: dict[str, Any] = {"experiment": experiment, "device": device, "resume": resume, "overrides": overrides}
    if replicas is None:
        options |= {"start": start, "start_at": "best" if best else "last"}
    carry_out(options, runs, replicas, quiet=quiet, as_json=as_json)


def carry_out(given: dict[str, Any], runs: Path, replicas: int | None, *, quiet: bool, as_json: bool) -> None:
    """Train, show progress, print the result, and leave by the right exit code.

    Args:
        given: arguments of `mgdhw.api.train`, or `train_replicas`.
        runs: folder of runs.
        replicas: how many; None for a single training.
        quiet, as_json: what is shown.
    """
    import asyncio

    from mgdhw import api
    from mgdhw.cli.exit_codes import EXIT_ERROR
    from mgdhw.cli.log_forwarding import forward_logs
    from mgdhw.cli.progress import TerminalProgress
    from mgdhw.cli.signals import stop_on_signal
    from mgdhw.cli.training_metrics import ReplicasMetrics, TrainingMetrics
    from mgdhw.errors import RunError
    from mgdhw.report.console import console, echo
    from mgdhw.runs.handle import TrainingHandle

    session = TrainingHandle()
    out = console(stderr=as_json)
    metrics = TrainingMetrics() if replicas is None else ReplicasMetrics()
    progress = TerminalProgress(out, session, metrics, quiet=quiet)
    options = {**given, "runs": runs, "listeners": [progress], "session": session}
    with stop_on_signal(session, progress.say) as received, forward_logs(progress.show_activity, progress.note):
        try:
            with progress:
                result: Result | ReplicasResult
                result = api.train(**options) if replicas is None else api.train_replicas(replicas=replicas, **options)
        except (KeyboardInterrupt, asyncio.CancelledError):
            if received.number is None:
                raise
            received.over = True
            how = "stopped; no training was started"
            if session.run is not None:
                how = f"stopped immediately; resume with: {session.run.resume_command()}"
            echo(how, stderr=True)
            raise typer.Exit(received.exit_code) from None
        except Exception as error:
            if isinstance(error, RunError):  # a result printed here would not have been saved
                raise
            if isinstance(metrics, TrainingMetrics) and isinstance(session.result, api.Result):  # only close failed
                received.over = True
                _print_result(out, session.result, metrics, as_json=as_json, quiet=quiet)
            elif session.run is not None:
                error.add_note(f"resume with: {session.run.resume_command()}")
            raise
        received.over = True
        _print_result(out, result, metrics, as_json=as_json, quiet=quiet)
        if result.reason == "interlock":
            raise typer.Exit(EXIT_ERROR)
        if result.reason == "stopped":
            raise typer.Exit(received.exit_code)


def _print_result(
    out: Console,
    result: Result | ReplicasResult,
    metrics: TrainingMetrics | ReplicasMetrics,
    *,
    as_json: bool,
    quiet: bool,
) -> None:
    """Print the result, as JSON or as tables."""
    import json

    from mgdhw.cli.replicas_summary import print_summary
    from mgdhw.cli.training_metrics import TrainingMetrics
    from mgdhw.report.console import echo, printing
    from mgdhw.training.results import ReplicasResult

    if as_json:
        echo(json.dumps(result.summary()))
    if as_json and quiet:
        return
    with printing():
        if isinstance(result, ReplicasResult):
            print_summary(out, result, metrics.speed)
        elif isinstance(metrics, TrainingMetrics):
            _print_summary(out, result, metrics)


def _print_summary(out: Console, result: Result, metrics: TrainingMetrics) -> None:
    """Print the final summary and how to continue."""
    import math

    from rich.table import Table

    from mgdhw.cli.formatting import format_hardware_usage, format_score, sparkline
    from mgdhw.report.console import print_table
    from mgdhw.runs import Run

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    if math.isnan(result.cost):
        table.add_row("score", "not evaluated", style="bold")
    else:
        name, value = format_score(result.accuracy, result.r2)
        table.add_row(name, f"{value} ({result.split})", style="bold")
    curve = sparkline(metrics.scores, min(metrics.scores), 1.0) if len(metrics.scores) > 2 else ""
    if curve:
        table.add_row("", curve)
    if not math.isnan(result.cost):
        table.add_row(f"{result.split} cost", f"{result.cost:#.4g}")
    if result.best is not None and _differs(result):
        kept = "" if result.run is None else f" (kept: {Run(result.run).evaluate_command()} --best)"
        score = format_score(result.best.accuracy, result.best.r2)[1]
        if result.best.accuracy is None and result.best.r2 is None:
            score = f"cost {result.best.cost:#.4g}"
        table.add_row("best", f"{score} at probe {result.best.step:,}{kept}")
    table.add_row("probes", f"{result.probes:,} in {result.updates:,} updates")
    table.add_row("evaluations", f"{result.evaluations:,}, with {result.parameter_writes:,} parameter writes")
    if result.guarded:
        table.add_row("readings", str(result.guarded))
    if result.hardware is not None:
        table.add_row("on hardware", format_hardware_usage(result.hardware))
    table.add_row("time", metrics.speed.summary(result.seconds))
    table.add_row("digest", result.digest[:16])
    if result.run is not None:
        table.add_row("run", str(result.run))
    out.print()
    print_table(out, table)
    suspended = result.reason in ("stopped", "interlock")  # perhaps while an interlock was open, which notes say
    for note in result.notes:
        out.print(f"\n{note}", style="yellow" if suspended else "green", soft_wrap=True, markup=False)
    if result.run is None or (result.notes and not suspended):
        return
    if suspended:
        out.print(f"\nstopped at probe {result.probes:,} of {metrics.probes:,}; resume with:", style="yellow")
        out.print(f"  {Run(result.run).resume_command()}", soft_wrap=True)
    elif result.reason == "target":
        out.print(f"\nreached the target at probe {result.probes:,} of {metrics.probes:,}", style="green")


def _differs(result: Result) -> bool:
    """Whether the best evaluation is better than the last one."""
    from mgdhw.training.best import is_better
    from mgdhw.training.events import Evaluated

    last = Evaluated(result.probes, result.evaluations, result.split, result.accuracy, result.cost, result.r2)
    return result.best is not None and is_better(result.best, last)
