"""`mgdhw new`: write an experiment file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def new(
    file: Annotated[Path, typer.Argument(help="File to write.")] = Path("experiment.toml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Write an experiment file with comments on every key.

    It is the default experiment of `mgdhw train`.

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
        raise ConfigError(f"{file}: already exists; choose another name, or overwrite it with --force") from None
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written: {error.strerror or error}") from None
    echo(f"wrote {file}; train with: mgdhw train {shlex.quote(str(file))}")
