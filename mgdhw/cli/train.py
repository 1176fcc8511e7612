"""`mgdhw train`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from mgdhw.api import Result
    from mgdhw.cli.meter import ReplicasMeter, TrainingMetrics
    from mgdhw.training.results import ReplicasResult


class Level(StrEnum):
    """How much the device does by itself: nothing but measure, its own codes, or all of it."""

    AUTO = "auto"
    HOST_CODES = "host-codes"
    DEVICE_CODES = "device-codes"
    LEARN = "learn"


def train(
    experiment: Annotated[
        Path | None, typer.Argument(help="A TOML file; without one, handwritten digits on a simulated chip.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="Train this device instead of the experiment's.")] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the experiment; repeatable.")
    ] = None,
    resume: Annotated[str | None, typer.Option(metavar="RUN", help="Go on with a run, to the same bits.")] = None,
    replicas: Annotated[
        int | None,
        typer.Option(metavar="N", help="Train N independent seeds, and tell how long they took to solve it."),
    ] = None,
    level: Annotated[
        Level | None, typer.Option(help="How much the device does by itself; the result is the same.")
    ] = None,
    runs: Annotated[Path, typer.Option(metavar="FOLDER", help="Where runs are kept.")] = Path("runs"),
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress, only how it ended.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a closing summary as JSON, for scripts.")] = False,
) -> None:
    """Train a device, and keep the run.

    Ctrl-C ends it cleanly; what was done is kept and can be resumed.

    Example: mgdhw train mine.toml --set optimizer.eta=0.05

    With --replicas, seeds that follow each other are trained independently: the result is the distribution of their
    time to solution.
    """
    import asyncio

    from mgdhw import api
    from mgdhw.cli.memory import tune_malloc
    from mgdhw.cli.meter import ReplicasMeter, TrainingMetrics
    from mgdhw.cli.notices import telling
    from mgdhw.cli.progress import Progress
    from mgdhw.cli.signals import stopping
    from mgdhw.errors import ConfigError, RunError
    from mgdhw.report.console import console, echo
    from mgdhw.runs import find_run
    from mgdhw.runs.handle import TrainingHandle

    tune_malloc()
    overrides = list(changes or ())
    if level is not None:
        overrides.append(f"run.level={level.value}")
    if seed is not None:
        overrides.append(f"seed={seed}")
    session = TrainingHandle()
    out = console(stderr=as_json)
    if resume is not None and replicas is not None:
        raise ConfigError("--replicas: the run to resume knows how many it has; leave it out")
    if resume is not None and experiment is None:
        replicas = find_run(resume, runs).replicas()
    meter = TrainingMetrics() if replicas is None else ReplicasMeter()
    progress = Progress(out, session, meter, quiet=quiet)
    options: dict[str, Any] = {"device": device, "resume": resume, "runs": runs, "overrides": overrides}
    options |= {"listeners": [progress], "session": session}
    with stopping(session, progress.say) as received, telling(progress.doing, progress.note):
        try:
            with progress:
                result: Result | ReplicasResult
                if replicas is None:
                    result = api.train(experiment, **options)
                else:
                    result = api.train_replicas(experiment, replicas=replicas, **options)
        except (KeyboardInterrupt, asyncio.CancelledError):
            if received.number is None:
                raise
            received.over = True
            how = "stopped; nothing was begun"
            if session.run is not None:
                how = f"stopped at once; resume with: {session.run.resume_command()}"
            echo(how, stderr=True)
            raise typer.Exit(received.exit_code) from None
        except Exception as error:
            if isinstance(error, RunError):  # what is told here would be a result that nobody has kept
                raise
            if isinstance(meter, TrainingMetrics) and isinstance(session.result, api.Result):  # the closing has failed
                received.over = True
                _tell(out, session.result, meter, as_json=as_json, quiet=quiet)
            elif session.run is not None:
                error.add_note(f"resume with: {session.run.resume_command()}")
            raise
        received.over = True
        _tell(out, result, meter, as_json=as_json, quiet=quiet)
        if result.reason == "stopped":
            raise typer.Exit(received.exit_code)


def _tell(
    out: Console, result: Result | ReplicasResult, meter: TrainingMetrics | ReplicasMeter, *, as_json: bool, quiet: bool
) -> None:
    """What came of it, for scripts and for people."""
    import json

    from mgdhw.cli.meter import TrainingMetrics
    from mgdhw.cli.replicas import close
    from mgdhw.report.console import echo, printing
    from mgdhw.training.results import ReplicasResult

    if as_json:
        echo(json.dumps(result.summary()))
    if as_json and quiet:
        return
    with printing():
        if isinstance(result, ReplicasResult):
            close(out, result, meter.speed)
        elif isinstance(meter, TrainingMetrics):
            _close(out, result, meter)


def _close(out: Console, result: Result, meter: TrainingMetrics) -> None:
    """The closing table, and what can be done next."""
    from rich.table import Table

    from mgdhw.cli.numbers import bars, score, taken
    from mgdhw.report.console import print_table

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    name, value = score(result.accuracy, result.r2)
    table.add_row(name, f"{value} ({result.split})", style="bold")
    curve = bars(meter.scores, min(meter.scores), 1.0) if len(meter.scores) > 2 else ""
    if curve:
        table.add_row("", curve)
    table.add_row("cost", f"{result.cost:#.4g}")
    table.add_row("probes", f"{result.probes:,} in {result.updates:,} updates")
    table.add_row(
        "evaluations", f"{result.evaluations:,} of the hardware, {result.parameter_writes:,} parameter writes"
    )
    if result.hardware is not None:
        table.add_row("on hardware", taken(result.hardware))
    table.add_row("time", meter.speed.told(result.seconds))
    table.add_row("digest", result.digest[:16])
    if result.run is not None:
        table.add_row("run", str(result.run))
    out.print()
    print_table(out, table)
    for note in result.notes:
        out.print(f"\n{note}", style="green", soft_wrap=True)
    if result.run is None or result.notes:
        return
    from mgdhw.runs import Run

    if result.reason == "stopped":
        out.print(f"\nstopped at probe {result.probes:,} of {meter.probes:,}; resume with:", style="yellow")
        out.print(f"  {Run(result.run).resume_command()}", soft_wrap=True)
    elif result.reason == "target":
        out.print(f"\nreached its target at probe {result.probes:,} of {meter.probes:,}", style="green")
