"""The commands of mgdhw and of installed packages.

Slow imports are done by the commands when they run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from mgdhw.cli.baseline import baseline
from mgdhw.cli.check import check
from mgdhw.cli.devices import devices
from mgdhw.cli.estimate import estimate
from mgdhw.cli.evaluate import evaluate
from mgdhw.cli.exit_codes import EXIT_CODES
from mgdhw.cli.new import new
from mgdhw.cli.reproduce import reproduce
from mgdhw.cli.study import study
from mgdhw.cli.train import train
from mgdhw.commands import Command
from mgdhw.report.console import printable

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ENTRY_POINTS = "mgdhw.commands"


class Commands(TyperGroup):
    """A group whose commands may also come from entry points (a `typer.Typer`, or a command made of one)."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Built-in commands, then those of installed packages."""
        return [*super().list_commands(ctx), *sorted(_contributed().keys() - self.commands.keys())]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command by its name; one of another package is imported now."""
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        point = _contributed().get(cmd_name)
        return None if point is None else _load(point)

    def invoke(self, ctx: Any) -> Any:
        """Run a command; acknowledge Ctrl-C if the command does not do it itself."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("stopped", err=True)
            raise
        except Exception as error:  # usage errors quote what was typed, or file names
            if isinstance(getattr(error, "message", None), str):
                error.message = printable(error.message, lines=True)  # type: ignore[attr-defined]
            raise


def _contributed() -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}


def _load(point: EntryPoint) -> Any:
    from mgdhw.plugins import Broken, describe_error, load

    try:
        found = load(point)
        command = typer.main.get_command(found) if isinstance(found, typer.Typer) else found
        if not (hasattr(command, "invoke") and hasattr(command, "get_short_help_str")):
            raise TypeError("is neither a typer.Typer nor a command made of one")
    except Broken as error:
        command = _broken(point, str(error))
    except Exception as error:  # third-party code
        command = _broken(point, describe_error(error))
    command.name = point.name
    return command


def _broken(point: EntryPoint, problem: str) -> Any:
    """A substitute for a command that cannot be loaded, so that `mgdhw --help` still works."""
    from mgdhw.errors import ConfigError
    from mgdhw.plugins import distribution_of

    stand_in = typer.Typer(add_completion=False, help=f"Cannot be loaded: {problem}.")

    @stand_in.callback(invoke_without_command=True)
    def fail() -> None:
        raise ConfigError(
            f"command {point.name!r} ({point.value} of {distribution_of(point)}) cannot be loaded: {problem}"
        )

    return typer.main.get_command(stand_in)


app = typer.Typer(
    name="mgdhw",
    cls=Commands,
    help="Train physical neural networks by multiplexed gradient descent.",
    epilog=f"To get started: mgdhw train\n\n{EXIT_CODES}",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"mgdhw {version('mgdhw')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


app.command(cls=Command)(train)
app.command(cls=Command)(evaluate)
app.command(cls=Command)(estimate)
app.command(cls=Command)(new)
app.command(cls=Command)(devices)
app.command(cls=Command)(check)
app.command(cls=Command)(baseline)
app.command(cls=Command)(reproduce)
app.add_typer(study, name="study")
