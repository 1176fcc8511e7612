"""`mgdhw check`: what a device can do, and how to train it."""

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
FIRST_SHARE = 0.02
"""Of the budget, before which nobody can tell the time left: a chip may have to be compiled first."""
HEADING = "Recommended by mgdhw check"


def check(
    uri: Annotated[str, typer.Argument(metavar="URI", help="The device, as `mgdhw devices` lists them.")],
    data: Annotated[
        str | None, typer.Option(metavar="NAME", help="What it is to learn; by default a dataset of its sizes.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of codes, samples and initial parameters.")] = 0,
    budget: Annotated[
        int, typer.Option(metavar="EVALUATIONS", help="How many evaluations it may take; more makes pilots longer.")
    ] = 20_000,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the recommended experiment as TOML.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw a page that shows why, as PNG (needs matplotlib).")
    ] = None,
    conformance: Annotated[
        bool, typer.Option("--conformance", help="Hold its driver to the contract first; takes evaluations of its own.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Measure a device, and recommend how to train it.

    Latency, parameters, noise, drift, settling, the usable range of perturbations, the signal in a gradient: in at most
    20,000 evaluations (or --budget), of which most go into short pilot trainings with different learning rates.

    Example: mgdhw check sim:analog-8bit --output experiment.toml --plot check.png
    """
    import asyncio
    import json
    from dataclasses import asdict

    from mgdhw.characterize import check_budget
    from mgdhw.cli.notices import telling
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
    _check_own(output)
    if plot is not None:
        figures.require()
    out = console(stderr=as_json)
    outcomes: list[Outcome] = []
    with _progress(out, budget) as (watch, say, wait), telling(_carefully(wait), _carefully(say)):
        if conformance:
            outcomes = asyncio.run(_conformance(uri, say))
        findings = asyncio.run(_measured(uri, data, seed, budget, watch, output))
    if plot is not None:
        from mgdhw.characterize.page import draw

        draw(findings, plot)
    if output is not None and findings.recommendation is not None:
        _write(output, _experiment_file(findings))
    if as_json:
        kept = {"conformance": [asdict(outcome) for outcome in outcomes]} if conformance else {}
        echo(json.dumps(findings.record() | kept))
    else:
        with printing():
            _show(out, findings, output, plot)
    if findings.problem is not None:
        raise DeviceFault(findings.problem, uri=uri)
    failed = [outcome.name for outcome in outcomes if outcome.verdict == "failed"]
    if failed:
        raise ConformanceError(f"{uri}: its driver does not keep the contract: {', '.join(failed)}")


async def _measured(
    uri: str, data: str | None, seed: int, budget: int, watch: Callable[[str, int], None], output: Path | None
) -> Characterization:
    from dataclasses import replace

    from mgdhw.characterize import check as measure
    from mgdhw.characterize import fitting_dataset
    from mgdhw.datasets import load
    from mgdhw.experiment.inputs import fitted
    from mgdhw.experiment.load import check_writable
    from mgdhw.experiment.resolve import opening, resolved
    from mgdhw.experiment.schema import DataSection, Experiment

    dataset = None if data is None else load(data)
    async with opening(uri) as device:
        if output is not None:  # say before anything is measured what could not be written after it
            experiment = resolved(Experiment(data=DataSection(name=data or "xor")), device, Path.cwd())
            check_writable(experiment.device.uri, experiment.data.name)
        if dataset is None:
            dataset = fitting_dataset(device.info, uri)
        section, dataset, notes = fitted(DataSection(name=data or dataset.name, scale="auto"), dataset, device.info)
        findings = await measure(device, dataset, data=data, seed=seed, budget=budget, watch=watch)
        findings.notes = (*notes, *findings.notes)
        advice = findings.recommendation
        if advice is not None:  # a file's path is to hold wherever the experiment is kept
            advised = advice.experiment.model_copy(update={"data": section})
            findings.recommendation = replace(advice, experiment=resolved(advised, device, Path.cwd()))
        return findings


def _carefully(say: Callable[[str], None]) -> Callable[[str], None]:
    """For notices, which come from any task: output that is lost is noticed when there is more of it."""
    from contextlib import suppress

    from mgdhw.report.console import OutputLost

    def tell(text: str) -> None:
        with suppress(OutputLost, SystemExit):  # rich leaves by SystemExit where a pipe is broken
            say(text)

    return tell


async def _conformance(uri: str, say: Callable[[str], None]) -> list[Outcome]:
    from mgdhw.device import open_device
    from mgdhw.testing import run_conformance

    def report(outcome: Outcome) -> None:
        say(f"{outcome.verdict:<8}{outcome.name}{': ' if outcome.why else ''}{outcome.why}")

    return await run_conformance(lambda: open_device(uri), report)


def _check_file(file: Path | None) -> None:
    """Say before anything is measured that a file could not be written after it. Raises ConfigError."""
    from mgdhw.errors import ConfigError

    if file is not None and not file.absolute().parent.is_dir():
        raise ConfigError(f"{file}: there is no folder {file.absolute().parent}")
    if file is not None and file.is_dir():
        raise ConfigError(f"{file}: is a folder; expected the name of a file to write")


def _check_own(file: Path | None) -> None:
    """Keep what somebody has written by hand; what an earlier check wrote is replaced. Raises ConfigError."""
    from mgdhw.errors import ConfigError

    if file is None or not file.is_file():
        return
    try:
        with file.open("rb") as opened:
            own = opened.read(len(HEADING) + 2) in (b"", b"# " + HEADING.encode())
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror or error}") from None
    if not own:
        raise ConfigError(f"{file}: is there already, and not from a check; choose another name with --output")


def _write(file: Path, text: str) -> None:
    from mgdhw.errors import ConfigError

    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written: {error.strerror or error}") from None


def _experiment_file(findings: Characterization) -> str:
    """The recommendation as `mgdhw train` takes it, with the reasons as comments."""
    import textwrap

    from mgdhw.experiment.load import to_toml

    assert findings.recommendation is not None, "asked for only where there is one"
    lines = [f"{HEADING} after {findings.evaluations:,} evaluations of {findings.uri}."]
    lines += findings.recommendation.reasons
    comments = [textwrap.fill(line, 118, initial_indent="# ", subsequent_indent="#   ") for line in lines]
    return "\n".join(comments) + "\n\n" + to_toml(findings.recommendation.experiment)


@contextmanager
def _progress(
    out: Console, budget: int
) -> Iterator[tuple[Callable[[str, int], None], Callable[[str], None], Callable[[str], None]]]:
    """Shows how far a check is: a bar in a terminal, a line for each step of it in a pipe, and the time left.

    Gives `watch`, `say`, and a `say` for what is waited for, which is no measuring.
    """
    import time

    from rich.progress import BarColumn, Progress, TextColumn

    from mgdhw.cli.meter import Speed
    from mgdhw.cli.numbers import duration
    from mgdhw.report.console import is_live, printing

    live = is_live(out)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} evaluations"),
        TextColumn("{task.fields[left]}", style="dim"),
    )
    last, speed = ("", 0.0), Speed()

    with Progress(*columns, console=out, disable=not live, transient=True) as bar:
        task = bar.add_task("", total=budget, left="")

        def watch(doing: str, used: int) -> None:
            nonlocal last
            speed(used)
            rate = speed.per_second
            left = (
                f"at most {duration((budget - used) / rate)} left"
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


def _show(out: Console, findings: Characterization, output: Path | None, plot: Path | None) -> None:
    import shlex

    from rich.table import Table

    from mgdhw.report.console import print_table

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _rows(findings):
        table.add_row(name, value)
    out.print()
    print_table(out, table)
    for note in findings.notes:
        out.print(f"note: {note}", style="yellow", soft_wrap=True)
    if findings.recommendation is None:
        return
    out.print("\nrecommended", style="bold")
    reasons = Table.grid(padding=(0, 1, 0, 0))
    reasons.add_column()
    reasons.add_column(overflow="fold")
    for reason in findings.recommendation.reasons:
        reasons.add_row("·", reason, style="yellow" if reason.startswith("note:") else None)
    print_table(out, reasons)
    if plot is not None:
        out.print(f"\nwhy: {plot}", soft_wrap=True)
    if output is not None:
        out.print(f"train it with: mgdhw train {shlex.quote(str(output))}", style="green", soft_wrap=True)


def _rows(findings: Characterization) -> Iterator[tuple[str, str]]:
    device, timing, writes, noise = findings.device, findings.timing, findings.writes, findings.noise
    yield "device", f"{device.model}, {device.topology}, {device.n_parameters:,} parameters, on {findings.data}"
    yield "evaluations", f"{findings.evaluations:,} of {findings.limit:,}"
    if timing is not None:
        sample = "" if timing.per_sample is None else f" + {_seconds(timing.per_sample)} a further sample"
        yield "time", f"{_seconds(timing.fixed)} a request + {_seconds(timing.per_probe)} a probe{sample}"
        yield "throughput", f"{timing.probes_per_second:,.3g} probes/s in long blocks"
    if writes is not None:
        step = "no step seen" if writes.step is None else f"steps of {writes.step:.4g}"
        how = "rounded to them" if writes.exact else f"off by {writes.error:.3g} steps rms"
        span = f"{writes.low:.4g} ... {writes.high:.4g}"
        yield "parameters", f"{span} in {step} (declared {writes.declared_step:.4g}), {how}"
    if noise is not None:
        yield (
            "noise",
            f"σ = {noise.sigma:.3g} of C₀ = {noise.cost:.4g} on {noise.batch} samples, {noise.sigma_single:.3g} on one;"
            f" converter's step {noise.quantum:.3g}",
        )
        drift = "seen" if noise.drifts else "none seen"
        yield "drift", f"{drift}: {noise.slope:.2g} ± {noise.slope_error:.1g} a probe"
        settling = "not to be suspected" if not noise.unsettled else "suspected"
        share = f"{noise.carried:.2g} ± {noise.carried_error:.1g}"
        yield "settling", f"{settling}: {share} of the measurement before is in a measurement"
    for response, when in zip(findings.responses, ("start", "pilots"), strict=False):
        if response.usable is not None:
            at = response.reference
            yield (
                f"Δ, {when}",
                f"{response.usable[0]:.4g} ... {response.usable[1]:.4g} usable; at {response.deltas[at]:.4g} a line"
                f" explains {response.linearity[at]:.1%} of C(θ ± Δ·s)",
            )
    if findings.signal_to_noise is not None:
        ratio = findings.signal_to_noise
        yield "gradient", f"signal to noise {ratio:.3g} an evaluation: a cosine of 0.7 takes {1 / ratio:,.0f} of them"


def _seconds(value: float) -> str:
    """In s, ms, µs or ns, to the digits that mean anything."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-9:.3g} ns"
