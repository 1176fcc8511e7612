"""What every benchmark shares: options, rows, a table, a JSON file, and a description of the machine.

A benchmark is a script that can be run alone. It fills rows and hands them to `report`:

    options = arguments(__doc__)
    progress("training")                      # to stderr: the table alone goes to stdout
    rows = [Row("digits", "accuracy", ours=0.96, peer=0.97, peer_name="back-propagation")]
    report("Accuracy", rows, options)         # the table, and JSON where --json asks for it

`--quick` asks a script for a smoke run of a few seconds: it shows that the script works and measures nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from mgdhw import open_device
from mgdhw.datasets import Dataset, load
from mgdhw.experiment.load import check_experiment
from mgdhw.training.events import Evaluated, Finished
from mgdhw.training.trainer import Trainer


@dataclass(frozen=True)
class Options:
    """What a benchmark was asked for.

    Args:
        json: file to write the rows to.
        quick: a smoke run of a few seconds.
    """

    json: Path | None = None
    quick: bool = False


@dataclass(frozen=True)
class Row:
    """One number, and what it is compared with; None where a field has no meaning.

    Args:
        case: what was run.
        metric: what was measured, with its unit.
        ours, peer: the numbers.
        peer_name: who the peer is.
        target: what is asked for, in words: "ours >= peer - 0.01".
        holds: whether it does.
        ratio: ours / peer; computed where both are given.
    """

    case: str
    metric: str
    ours: float | None = None
    peer: float | None = None
    peer_name: str | None = None
    target: str | None = None
    holds: bool | None = None
    ratio: float | None = field(init=False)

    def __post_init__(self) -> None:
        known = self.ours is not None and self.peer
        # A frozen dataclass has no other way to store what it has computed.
        object.__setattr__(self, "ratio", self.ours / self.peer if known else None)  # type: ignore[operator]

    def record(self) -> dict[str, Any]:
        """The row as JSON holds it."""
        names = ("case", "metric", "ours", "peer", "peer_name", "ratio", "target", "holds")
        values = asdict(self)
        return {name: values[name] for name in names}


def arguments(description: str | None, argv: Sequence[str] | None = None) -> Options:
    """The options that all benchmarks have, from the command line. `description` is the script's docstring."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write machine and rows to FILE")
    parser.add_argument("--quick", action="store_true", help="a smoke run of a few seconds; measures nothing")
    given = parser.parse_args(argv)
    return Options(given.json, given.quick)


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def _cpu() -> str:
    """The processor's name; what the platform says where Linux does not tell."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def progress(text: str) -> None:
    """A line for whoever waits, on stderr."""
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


@contextmanager
def stopwatch() -> Iterator[list[float]]:
    """Wall time of the body, in seconds, appended to the list that it gives."""
    taken: list[float] = []
    began = time.perf_counter()
    try:
        yield taken
    finally:
        taken.append(time.perf_counter() - began)


def table(title: str, heads: Sequence[str], lines: Sequence[Sequence[object]]) -> None:
    """Print a table on stdout; cells are shown by `text`, columns of numbers to the right."""
    printed = Table(title=title, title_justify="left")
    for column, head in enumerate(heads):
        numeric = all(line[column] is None or isinstance(line[column], int | float) for line in lines)
        printed.add_column(head, justify="right" if numeric else "left")
    for line in lines:
        printed.add_row(*(text(cell) for cell in line))
    # Where nobody watches (a file, a pipe) a table is as wide as it must be.
    console = Console() if sys.stdout.isatty() else Console(width=200)
    console.print(printed)


def text(cell: object) -> str:
    """A cell as a table shows it."""
    match cell:
        case None:
            return ""
        case bool():
            return "yes" if cell else "NO"
        case float():
            return f"{cell:.4g}"
        case _:
            return str(cell)


def report(title: str, rows: Sequence[Row], options: Options) -> None:
    """Print the rows as a table, and write them and the machine where `--json` says."""
    records = [row.record() for row in rows]
    here = machine()
    table(title, list(records[0]), [list(record.values()) for record in records])
    print(f"{here['cpu']}, {here['cores']} cores, Python {here['python']}, numpy {here['numpy']}")
    if options.quick:
        print("A smoke run: these numbers mean nothing.")
    if options.json is not None:
        options.json.write_text(json.dumps({"machine": here, "rows": records}, indent=2) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Training:
    """What came of a training.

    Args:
        finished: the last event: state and last evaluation.
        curve: all evaluations.
        seconds: wall time of it.
    """

    finished: Finished
    curve: tuple[Evaluated, ...]
    seconds: float

    @property
    def accuracy(self) -> float:
        """At the end, on the test samples."""
        accuracy = self.finished.last.accuracy
        assert accuracy is not None, "what is measured here has classes"
        return accuracy


def train(values: Mapping[str, Any], dataset: Dataset | None = None) -> Training:
    """Run an experiment, given as nested mappings as in a TOML file, and keep nothing on disk."""
    return asyncio.run(_train(values, dataset))


async def _train(values: Mapping[str, Any], dataset: Dataset | None) -> Training:
    experiment = check_experiment(values, source="benchmark")
    dataset = dataset or load(experiment.data.name, **experiment.data.options)
    curve: list[Evaluated] = []
    finished: Finished | None = None
    with stopwatch() as taken:
        async with open_device(experiment.device.uri) as device:
            async for event in Trainer(experiment, device, dataset):
                if isinstance(event, Evaluated):
                    curve.append(event)
                elif isinstance(event, Finished):
                    finished = event
    assert finished is not None
    return Training(finished, tuple(curve), taken[0])
