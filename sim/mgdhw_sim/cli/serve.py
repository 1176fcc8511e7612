"""`mgdhw sim serve`: short for `mgdhw serve sim:…`."""

from __future__ import annotations

from copy import copy
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

COMMANDS = "mgdhw.commands"


class Short(TyperCommand):
    """A command whose options are those of `mgdhw serve`: its help shows them."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Own argument, and the options of the command that gets them."""
        shown = copy(self)
        shown.params = [*self.params, *_options(ctx)]
        super(Short, shown).format_help(ctx, formatter)


def _options(ctx: Any) -> list[Any]:
    found = _serving().get_params(ctx)
    return [option for option in found if option.param_type_name == "option" and option.name != "help"]


def serve(
    context: typer.Context,
    chip: Annotated[str, typer.Argument(metavar="CHIP", help="A preset, with options if wanted: analog-8bit?seed=1.")],
) -> None:
    """Serve a simulated chip as a board does; takes the options of `mgdhw serve`.

    Example: mgdhw sim serve analog-8bit --tcp 5510
    """
    address = chip if chip.startswith("sim:") else f"sim:{chip}"
    _serving().main([address, *context.args], prog_name="mgdhw serve", standalone_mode=False)


def _serving() -> Any:
    """`mgdhw serve`. Whatever serves devices is another package's business, and found as every command is."""
    from importlib.metadata import entry_points

    from mgdhw.errors import ConfigError

    found = [point for point in entry_points(group=COMMANDS) if point.name == "serve"]
    if not found:
        raise ConfigError("no installed package serves devices; install mgdhw with its drivers")
    return typer.main.get_command(found[0].load())
