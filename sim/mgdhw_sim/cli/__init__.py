"""`mgdhw sim`: commands about simulated chips (entry point of group `mgdhw.commands`).

Everything that takes time to import is imported by the commands, when they run: `mgdhw --help` loads this.
"""

from __future__ import annotations

import typer

from mgdhw.commands import Command
from mgdhw_sim.cli.list import list_presets
from mgdhw_sim.cli.serve import Short, serve
from mgdhw_sim.cli.show import show

app = typer.Typer(
    name="sim",
    help="Simulated chips: list presets, show their numbers, serve one.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("list", cls=Command)(list_presets)
app.command("show", cls=Command)(show)
app.command("serve", cls=Short, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(serve)
