"""`mgdhw estimate`: time and energy of training on hardware, without running it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from mgdhw.estimate import Estimate


def estimate(
    experiment: Annotated[
        str | None,
        typer.Argument(help="A TOML file, or digits (the packaged default)."),
    ] = None,
    presets: Annotated[
        list[str] | None,
        typer.Option(
            "--preset", metavar="PRESET", help="Hardware preset, by name or address; repeatable. See: mgdhw devices"
        ),
    ] = None,
    probes: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Number of probes instead of the experiment's.")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the experiment; repeatable."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Estimate time and energy of training on hardware, without running it.

    The network is the experiment's; times and energies are the preset's.

    Example: mgdhw estimate examples/paper-timing.toml --preset thermo-optic --preset superconducting
    """
    import asyncio
    import json

    from mgdhw.estimate import estimate_async
    from mgdhw.experiment.resolve import resolve
    from mgdhw.report.console import console, echo, printing

    overrides = [*(changes or ()), *([] if probes is None else [f"training.probes={probes}"])]
    given, _, _ = resolve(experiment, tuple(overrides))

    async def work() -> list[Estimate]:
        hardware: list[str | None] = [*(presets or [])] or [None]
        return [await estimate_async(given, preset) for preset in hardware]

    found = asyncio.run(work())
    if as_json:
        echo(json.dumps({"estimates": [one.summary() for one in found]}))
        return
    with printing():
        out = console()
        for number, one in enumerate(found):
            if number:
                out.print()
            _show(out, one)


def _show(out: Console, found: Estimate) -> None:
    from rich.table import Table

    from mgdhw.cli.formatting import format_percent
    from mgdhw.report.console import print_table
    from mgdhw.report.units import quantity, span

    counts, usage = found.counts, found.time_and_energy
    out.print(
        f"{found.experiment} on {found.hardware}: {span(usage.seconds)}, {quantity(usage.joules, 'J')}",
        style="bold",
        soft_wrap=True,
    )
    out.print(
        f"{counts.n_parameters:,} parameters, {counts.evaluations:,} evaluations,"
        f" {counts.parameter_writes:,} parameter writes",
        style="dim",
        soft_wrap=True,
    )
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("", style="dim", no_wrap=True)
    for heading in ("count", "time", "", "energy", ""):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, item in usage.items.items():
        table.add_row(
            name,
            f"{item.count:,}",
            span(item.seconds),
            format_percent(item.seconds / usage.seconds) if usage.seconds else "",
            quantity(item.joules, "J"),
            format_percent(item.joules / usage.joules) if usage.joules else "",
        )
    print_table(out, table)
