"""`mgdhw check`: characterize a device and recommend how to train it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from mgdhw.characterize import Characterization
    from mgdhw.testing import Outcome

LINE_SECONDS = 5.0
FIRST_SHARE = 0.1
"""Share of the budget before which the time left is unknown: a simulated chip may have to be compiled first."""
HEADING = "Recommended by mgdhw check"


def check(
    uri: Annotated[str, typer.Argument(metavar="URI", help="Address of the device, as listed by `mgdhw devices`.")],
    data: Annotated[
        str | None, typer.Option(metavar="NAME", help="Dataset to train on (default: one that matches the device).")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of codes, sample order and initial parameters.")] = 0,
    budget: Annotated[
        int, typer.Option(metavar="EVALUATIONS", help="Maximum number of evaluations; more make pilot runs longer.")
    ] = 20_000,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the recommended experiment to FILE (TOML).")
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a one-page figure to FILE (PNG, SVG or PDF; needs matplotlib)."),
    ] = None,
    conformance: Annotated[
        bool,
        typer.Option(
            "--conformance", help="Run the driver conformance suite first; its evaluations are not in the budget."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Characterize a device and recommend how to train it: Δ, τ_θ, B and η.

    Measures latency, write accuracy, noise, drift, settling, the usable range of Δ and the gradient's signal-to-noise
    ratio in at most 20,000 evaluations (or --budget), most of which go into short pilot runs.

    Example: mgdhw check sim:analog-8bit --output experiment.toml --plot check.png
    """
    import asyncio
    import json
    from dataclasses import asdict

    from mgdhw.characterize import check_budget
    from mgdhw.cli.log_forwarding import forward_logs
    from mgdhw.errors import ConfigError, ConformanceError, DeviceFault
    from mgdhw.experiment.schema import LARGEST_SEED
    from mgdhw.parsing import format_number
    from mgdhw.report import figures
    from mgdhw.report.console import console, echo, printing

    if seed > LARGEST_SEED:
        raise ConfigError(f"--seed {format_number(seed)}: expected {LARGEST_SEED} at most")
    check_budget(budget)
    for file in (output, plot):
        _check_file(file)
    _check_not_foreign(output)
    if plot is not None:
        figures.require()
    out = console(stderr=as_json)
    outcomes: list[Outcome] = []
    with (
        _progress(out, budget) as (watch, say, wait),
        forward_logs(_tolerant(wait), _tolerant(say)),
    ):
        if conformance:
            outcomes = asyncio.run(_conformance(uri, say))
        result = asyncio.run(_measured(uri, data, seed, budget, watch, output))
    if plot is not None:
        from mgdhw.characterize.summary_figure import draw

        draw(result, plot)
    if output is not None and result.recommendation is not None:
        _write(output, _experiment_file(result))
    if as_json:
        kept = {"conformance": [asdict(outcome) for outcome in outcomes]} if conformance else {}
        echo(json.dumps(result.record() | kept))
    else:
        with printing():
            _show(out, result, output, plot)
    if result.problem is not None:
        raise DeviceFault(result.problem, uri=uri)
    failed = [outcome.name for outcome in outcomes if outcome.verdict == "failed"]
    if failed:
        raise ConformanceError(f"{uri}: its driver failed the conformance suite: {', '.join(failed)}")


async def _measured(
    uri: str, data: str | None, seed: int, budget: int, watch: Callable[[str, int], None], output: Path | None
) -> Characterization:
    from dataclasses import replace

    from mgdhw.characterize import check as measure
    from mgdhw.characterize import matching_dataset
    from mgdhw.datasets import load
    from mgdhw.experiment.inputs import fitted
    from mgdhw.experiment.load import check_writable
    from mgdhw.experiment.resolve import opening, resolved
    from mgdhw.experiment.schema import DataSection, Experiment

    dataset = None if data is None else load(data)
    async with opening(uri) as device:
        if output is not None:  # report before measuring what could not be written afterwards
            experiment = resolved(Experiment(data=DataSection(name=data or "xor")), device, Path.cwd())
            check_writable(experiment.device.uri, experiment.data.name)
        if dataset is None:
            dataset = matching_dataset(device.info, uri)
        section, dataset, notes = fitted(DataSection(name=data or dataset.name, scale="auto"), dataset, device.info)
        result = await measure(device, dataset, data=data, seed=seed, budget=budget, watch=watch)
        result.notes = (*notes, *result.notes)
        advice = result.recommendation
        if advice is not None:  # the file's path has to be valid wherever the experiment is kept
            advised = advice.experiment.model_copy(update={"data": section})
            result.recommendation = replace(advice, experiment=resolved(advised, device, Path.cwd()))
        return result


def _tolerant(say: Callable[[str], None]) -> Callable[[str], None]:
    """For log messages, which come from any task: lost output is reported at the next regular print."""
    from contextlib import suppress

    from mgdhw.report.console import OutputLost

    def print_text(text: str) -> None:
        with suppress(OutputLost, SystemExit):  # rich leaves by SystemExit where a pipe is broken
            say(text)

    return print_text


async def _conformance(uri: str, say: Callable[[str], None]) -> list[Outcome]:
    from mgdhw.device import open_device
    from mgdhw.testing import run_conformance

    def report(outcome: Outcome) -> None:
        say(f"{outcome.verdict:<8}{outcome.name}{': ' if outcome.why else ''}{outcome.why}")

    return await run_conformance(lambda: open_device(uri), report)


def _check_file(file: Path | None) -> None:
    """Check before measuring that a file can be written afterwards. Raises ConfigError."""
    from mgdhw.errors import ConfigError

    if file is not None and not file.absolute().parent.is_dir():
        raise ConfigError(f"{file}: folder {file.absolute().parent} does not exist")
    if file is not None and file.is_dir():
        raise ConfigError(f"{file}: is a folder; expected a file name")


def _check_not_foreign(file: Path | None) -> None:
    """Refuse to overwrite a file that was not written by a check. Raises ConfigError."""
    from mgdhw.errors import ConfigError

    if file is None or not file.is_file():
        return
    try:
        with file.open("rb") as opened:
            own = opened.read(len(HEADING) + 2) in (b"", b"# " + HEADING.encode())
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror or error}") from None
    if not own:
        raise ConfigError(f"{file}: exists and was not written by mgdhw check; choose another name with --output")


def _write(file: Path, text: str) -> None:
    from mgdhw.errors import ConfigError

    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written: {error.strerror or error}") from None


def _experiment_file(result: Characterization) -> str:
    """The recommended experiment as TOML, with the reasons as comments."""
    import textwrap

    from mgdhw.experiment.load import to_toml

    assert result.recommendation is not None, "asked for only where there is one"
    lines = [f"{HEADING} after {result.evaluations:,} evaluations of {result.uri}."]
    lines += result.recommendation.reasons
    comments = [textwrap.fill(line, 118, initial_indent="# ", subsequent_indent="#   ") for line in lines]
    return "\n".join(comments) + "\n\n" + to_toml(result.recommendation.experiment)


@contextmanager
def _progress(
    out: Console, budget: int
) -> Iterator[tuple[Callable[[str, int], None], Callable[[str], None], Callable[[str], None]]]:
    """Show progress and the time left: a bar in a terminal, a line for each stage in a pipe.

    Yields `watch`, `say`, and a `say` for waits, which are not counted as measuring time.
    """
    import time

    from rich.progress import BarColumn, Progress, TextColumn

    from mgdhw.cli.formatting import format_duration
    from mgdhw.cli.training_metrics import Throughput
    from mgdhw.report.console import is_live, printing

    live = is_live(out)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} evaluations"),
        TextColumn("{task.fields[left]}", style="dim"),
    )
    last, speed = ("", 0.0), Throughput()

    with Progress(*columns, console=out, disable=not live, transient=True) as bar:
        task = bar.add_task("", total=budget, left="")

        def watch(doing: str, used: int) -> None:
            nonlocal last
            speed(used)
            rate = speed.per_second
            left = (
                f"at most {format_duration((budget - used) / rate)} left"
                if rate and FIRST_SHARE * budget < used < budget
                else ""
            )
            bar.update(task, description=doing, completed=used, left=left)
            now = time.monotonic()
            if not live and (doing != last[0] or now - last[1] >= LINE_SECONDS):
                last = (doing, now)
                with printing():
                    out.print(f"{used:6,} evaluations  {doing}{'  ' if left else ''}{left}", soft_wrap=True)

        def say(text: str) -> None:
            with printing():
                out.print(text, soft_wrap=True)

        def wait(text: str) -> None:
            speed.wait()
            say(text)

        yield watch, say, wait


def _show(out: Console, result: Characterization, output: Path | None, plot: Path | None) -> None:
    import shlex

    from rich.table import Table

    from mgdhw.report.console import print_table

    out.print()
    r = result.recommendation
    if r is not None:
        headline = f"Recommended: Δ = {r.delta:.4g}   τ_θ = {r.tau}   B = {r.batch}   η = {r.eta:.3g}"
        out.print(headline, style="bold green", soft_wrap=True)
        out.print(f"({r.baseline} baseline, {r.experiment.optimizer.name} optimizer)\n", style="dim", soft_wrap=True)
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _rows(result):
        table.add_row(name, value)
    print_table(out, table)
    for note in result.notes:
        out.print(f"note: {note}", style="yellow", soft_wrap=True)
    if r is None:
        return
    out.print("\nWhy", style="bold")
    reasons = Table.grid(padding=(0, 1, 0, 0))
    reasons.add_column()
    reasons.add_column(overflow="fold")
    for reason in r.reasons:
        reasons.add_row("·", reason, style="yellow" if reason.startswith("note:") else None)
    print_table(out, reasons)
    if plot is not None or output is not None:
        out.print()
    if plot is not None:
        out.print(f"figure: {plot}", soft_wrap=True)
    if output is not None:
        out.print(f"train with: mgdhw train {shlex.quote(str(output))}", style="green", soft_wrap=True)


def _rows(result: Characterization) -> Iterator[tuple[str, str]]:
    from mgdhw.cli.formatting import format_rate

    device, latency, writes, noise = result.device, result.latency, result.write_accuracy, result.noise
    yield "device", f"{device.model}, {device.topology}, {device.n_parameters:,} parameters, on {result.data}"
    yield "evaluations", f"{result.evaluations:,} of {result.limit:,}"
    if latency is not None:
        sample = "" if latency.per_sample is None else f" + {_seconds(latency.per_sample)} per additional sample"
        yield "latency", f"{_seconds(latency.fixed)} per request + {_seconds(latency.per_probe)} per probe{sample}"
        yield "throughput", f"{format_rate(latency.probes_per_second)} in long blocks"
    if writes is not None:
        step = "no step seen" if writes.step is None else f"steps of {writes.step:.4g}"
        error = "writes exact" if writes.exact else f"writes miss their target by {writes.error:.2g} steps rms"
        yield (
            "parameters",
            f"{writes.low:.4g} to {writes.high:.4g}, {step} (declared {writes.declared_step:.4g}); {error}",
        )
    if noise is not None:
        yield (
            "noise",
            f"σ = {noise.sigma:.3g} on {noise.batch} samples, {noise.sigma_single:.3g} on one (C₀ = {noise.cost:.4g},"
            f" converter step {noise.quantum:.3g})",
        )
        drift = "" if noise.drifts else "none: "
        yield "drift", f"{drift}{noise.drift_rate:.2g} ± {noise.drift_rate_error:.1g} per probe"
        settling = "possibly incomplete" if noise.unsettled else "complete"
        residual = f"{noise.carried:.2g} ± {noise.carried_error:.1g}"
        yield "settling", f"{settling}: {residual} of the previous measurement remains"
    for response, when in zip(result.responses, ("at the start", "after pilot runs"), strict=False):
        if response.usable is not None:
            low, high = response.usable
            at = response.reference
            linear = f"cost is {response.linearity[at]:.0%} linear over ±{response.deltas[at]:.4g}"
            yield "Δ", f"usable {when}: {low:.4g}–{high:.4g}; {linear}"
    if result.signal_to_noise is not None:
        ratio = result.signal_to_noise
        yield "gradient", f"signal-to-noise {ratio:.3g} per evaluation; cosine 0.7 after {1 / ratio:,.0f} evaluations"


def _seconds(value: float) -> str:
    """With three significant digits, in s, ms, µs or ns."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-9:.3g} ns"
