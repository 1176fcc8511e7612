"""`mgdhw new`: an experiment file to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def new(
    file: Annotated[Path, typer.Argument(help="File to write.")] = Path("experiment.toml"),
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there already.")] = False,
) -> None:
    """Write an experiment file with every key explained.

    It is the experiment that `mgdhw train` runs when given none.

    Example: mgdhw new mine.toml
    """
    import shlex

    from mgdhw.errors import ConfigError
    from mgdhw.experiment.resolve import default_experiment
    from mgdhw.report.console import echo

    try:
        with file.open("w" if force else "x", encoding="utf-8") as opened:
            opened.write(default_experiment())
    except FileExistsError:
        raise ConfigError(f"{file}: is there already; choose another name, or replace it with --force") from None
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written: {error.strerror or error}") from None
    echo(f"wrote {file}; train it with: mgdhw train {shlex.quote(str(file))}")
