"""`mgdhw estimate`: time and energy of a training on hardware, without running it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from mgdhw.estimate import Estimate


def estimate(
    experiment: Annotated[
        str | None,
        typer.Argument(help="A TOML file, or digits, which comes with mgdhw and is taken without one."),
    ] = None,
    presets: Annotated[
        list[str] | None,
        typer.Option("--preset", metavar="PRESET", help="Hardware, by name or address; repeatable. See: mgdhw devices"),
    ] = None,
    probes: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="So many probes instead of the experiment's.")
    ] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the experiment; repeatable.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """Tell what a training would take on hardware, without running it.

    The network is the experiment's, the times and energies are the preset's.

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

    from mgdhw.cli.numbers import percent
    from mgdhw.report.console import print_table
    from mgdhw.report.units import quantity, span

    counted, bill = found.count, found.bill
    out.print(
        f"{found.experiment} on {found.hardware}: {span(bill.seconds)}, {quantity(bill.joules, 'J')}",
        style="bold",
        soft_wrap=True,
    )
    out.print(
        f"{counted.n_parameters:,} parameters, {counted.evaluations:,} evaluations,"
        f" {counted.parameter_writes:,} parameter writes",
        style="dim",
        soft_wrap=True,
    )
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("", style="dim", no_wrap=True)
    for heading in ("how often", "time", "", "energy", ""):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, item in bill.items.items():
        table.add_row(
            name,
            f"{item.count:,}",
            span(item.seconds),
            percent(item.seconds / bill.seconds) if bill.seconds else "",
            quantity(item.joules, "J"),
            percent(item.joules / bill.joules) if bill.joules else "",
        )
    print_table(out, table)
