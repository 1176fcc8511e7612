"""`mgdhw sim show` of an ideal network: its layers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mgdhw_sim.ideal.network import Stage
    from mgdhw_sim.ideal.spec import IdealSpec


def show_network(spec: IdealSpec, *, as_json: bool) -> None:
    """Print the layers with their shapes, parameters and nodes, and what else the network is."""
    from mgdhw.report.console import console, echo, print_table

    rows = [_row(stage) for stage in spec.network.stages]
    if as_json:
        echo(json.dumps({**spec.details(), "identity": spec.identity(), "stages": rows}))
        return
    from rich.table import Table

    topology = spec.network.topology
    echo(f"{spec.name}: floating point, {topology.n_parameters:,} parameters, {topology.n_nodes:,} nodes")
    echo()
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in rows[0]:
        table.add_column(heading, justify="left" if heading in ("layer", "activation") else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(f"{value:,}" if isinstance(value, int) else str(value) for value in row.values()))
    print_table(console(), table)
    rest = ("cost", "cost_noise", "write_noise", "neuron_std", "seed", "theta_lsb")
    echo("\n" + ", ".join(f"{name}={value}" for name, value in spec.details().items() if name in rest))


def _row(stage: Stage) -> dict[str, Any]:
    own = stage.parameters
    return {
        "layer": str(stage.layer),
        "outputs": "x".join(map(str, stage.shape_out)),
        "activation": stage.activation if own is not None else "",
        "fan-in": own.n_in if own is not None else "",
        "parameters": own.n_parameters if own is not None else "",
        "nodes": own.n_nodes if own is not None else "",
    }
