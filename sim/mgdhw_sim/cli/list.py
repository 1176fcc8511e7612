"""`mgdhw sim list`: the presets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mgdhw.timing import Timing


def list_presets(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")] = False,
) -> None:
    """List the preset chips.

    Example: mgdhw sim list
    """
    import json

    from mgdhw.report.console import console, echo, print_table
    from mgdhw_sim.ideal.presets import PRESETS as IDEAL
    from mgdhw_sim.presets import CATALOGUE

    if as_json:
        found = [
            {
                "name": name,
                "address": f"sim:{name}",
                "about": preset.about,
                "step_seconds": None if preset.spec.timing is None else _step_seconds(preset.spec.timing),
            }
            for name, preset in CATALOGUE.items()
        ]
        found += [
            {"name": name, "address": f"sim:{name}", "about": ideal.about, "step_seconds": None}
            for name, ideal in IDEAL.items()
        ]
        echo(json.dumps({"presets": found}))
        return

    from rich.table import Table

    from mgdhw.report.units import quantity

    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("preset", style="cyan", no_wrap=True)
    for heading in ("τ_p", "update", "input"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("what it is", overflow="fold")
    for name, preset in CATALOGUE.items():
        timing = preset.spec.timing
        times = ["", "", ""]
        if timing is not None:
            writing = timing.update_seconds + preset.spec.topology.n_parameters * timing.write_seconds
            times = [quantity(seconds, "s") for seconds in (_step_seconds(timing), writing, timing.input_seconds)]
        table.add_row(name, *times, preset.about)
    for name, ideal in IDEAL.items():
        table.add_row(name, "", "", "", ideal.about)
    print_table(console(), table)
    echo("\nmgdhw sim show PRESET tells more; mgdhw train --device sim:PRESET trains one.")


def _step_seconds(timing: Timing) -> float:
    """τ_p: one cost of a single sample, settled."""
    return timing.probe_seconds + timing.settling_seconds
