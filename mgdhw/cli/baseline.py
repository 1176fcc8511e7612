"""`mgdhw baseline`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def baseline(
    experiment: Annotated[Path | None, typer.Argument(help="A TOML file, as for train.")] = None,
    device: Annotated[str | None, typer.Option(help="Device to train instead of the experiment's.")] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the experiment; repeatable."),
    ] = None,
    runs: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for runs.")] = Path("runs"),
    seed: Annotated[int | None, typer.Option(help="Random seed.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show only the result, no progress.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the final summary as JSON.")] = False,
) -> None:
    """Train by true gradients what train trains by perturbations.

    Network, data order, optimizer, learning rate, schedule and evaluations are the experiment's; an update comes after
    as many probes, with the mean gradient of their batches. Evaluations are gradients here.

    Example: mgdhw baseline mine.toml --device 'sim:ideal?layers=64-16-10'
    """
    from mgdhw.cli.malloc import tune_malloc
    from mgdhw.cli.train import carry_out
    from mgdhw.study.true_gradients import with_true_gradients

    tune_malloc()
    overrides = [*(changes or ()), *(() if seed is None else (f"seed={seed}",))]
    carry_out(with_true_gradients(experiment, device, tuple(overrides)), runs, None, quiet=quiet, as_json=as_json)
