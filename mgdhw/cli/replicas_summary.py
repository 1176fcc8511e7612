"""Final summary of a set of replicas."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from mgdhw.cli.training_metrics import Throughput
    from mgdhw.training.results import Quartiles, ReplicasResult


def print_summary(out: Console, result: ReplicasResult, speed: Throughput) -> None:
    """Print the distribution, its histogram, time and throughput, and how to continue."""
    from rich.table import Table

    from mgdhw.cli.formatting import format_hardware_usage, format_percent
    from mgdhw.report.console import print_table
    from mgdhw.training.results import MEASURES

    regression = any(one.accuracy is None for one in result.replicas)
    out.print()
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("quartiles", style="dim", no_wrap=True)
    for heading in ("lower", "median", "upper"):
        table.add_column(heading, justify="right", no_wrap=True)
    if result.has_target:
        for measure in MEASURES:
            name = f"{measure} to solution" if measure == "probes" else measure
            table.add_row(name, *_cells(result.quartiles(measure), "{:,.0f}".format))
    if result.replicas:
        if regression:
            table.add_row(f"{result.split} R²", *_cells(result.r2s(), "{:.4f}".format, "–"))
        else:
            table.add_row(f"{result.split} accuracy", *_cells(result.accuracies(), format_percent))
        table.add_row(f"{result.split} cost", *_cells(result.costs(), "{:#.4g}".format))
    if table.row_count:
        print_table(out, table)
        out.print()
    if result.has_target:
        times = [time for time in result.times() if math.isfinite(time)]
        _histogram(out, times, result.evaluated_every, "{:,.0f}".format, result.asked - result.solved)
    elif regression:
        _histogram(out, [one.r2 for one in result.replicas if one.r2 is not None], 0.001, "{:.4g}".format, 0)
    else:
        accuracies = [one.accuracy for one in result.replicas if one.accuracy is not None]
        _histogram(out, [100 * one for one in accuracies], 0.1, "{:.4g} %".format, 0)

    facts = Table.grid(padding=(0, 2, 0, 0))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    if result.has_target:
        solved = f"{result.solved:,} of {result.asked:,} replicas ({format_percent(result.fraction_solved)})"
        facts.add_row("solved", solved, style="bold")
    else:
        facts.add_row("finished", f"{len(result.replicas):,} of {result.asked:,} replicas", style="bold")
    mean, deviation = result.mean_accuracy()
    if math.isfinite(deviation) and not result.has_target:  # with a target, all end where they reach it
        facts.add_row(
            "mean",
            f"{format_percent(mean)} ± {format_percent(deviation)} (standard deviation), {result.split} accuracy",
        )
    facts.add_row("probes", f"{result.probes:,} in all finished replicas")
    if result.guarded:
        facts.add_row("readings", str(result.guarded))
    if result.hardware is not None:
        facts.add_row("on hardware", f"{format_hardware_usage(result.hardware)}, one after another")
    facts.add_row("time", speed.summary(result.seconds))
    facts.add_row("digest", result.digest[:16])
    if result.run is not None:
        facts.add_row("run", str(result.run))
    print_table(out, facts)
    for note in result.notes:
        out.print(f"\n{note}", style="green", soft_wrap=True)
    if result.reason == "stopped":
        _say_stopped(out, result)


def _cells(found: Quartiles, show: Callable[[float], str], none: str = "unsolved") -> list[str]:
    return [show(value) if math.isfinite(value) else none for value in (found.lower, found.median, found.upper)]


def _histogram(out: Console, values: Sequence[float], unit: float, show: Callable[[float], str], unsolved: int) -> None:
    from rich.table import Table

    from mgdhw.cli.histogram import bar, bins
    from mgdhw.report.console import print_table

    found = bins(values, unit)
    rows = [(f"{show(one.low)} to {show(one.high)}", one.count) for one in found]
    if unsolved:
        rows.append(("unsolved", unsolved))
    if not rows:
        return
    most = max(count for _, count in rows)
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(justify="right", style="dim", no_wrap=True)
    table.add_column(overflow="crop", no_wrap=True)
    for label, count in rows:
        table.add_row(label, f"{bar(count, most)} {count:,}".lstrip())
    print_table(out, table)
    out.print()


def _say_stopped(out: Console, result: ReplicasResult) -> None:
    from mgdhw.runs import Run

    done = f"stopped with {len(result.replicas):,} of {result.asked:,} replicas finished"
    out.print(f"\n{done}; the others count as unsolved", style="yellow", soft_wrap=True)
    if result.run is not None:
        out.print("train the missing ones with:", style="yellow")
        out.print(f"  {Run(result.run).resume_command()}", soft_wrap=True)
