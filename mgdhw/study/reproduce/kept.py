"""Finished runs of a figure, one file each, so that a study that was interrupted goes on where it was."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from mgdhw.datasets import Dataset
from mgdhw.errors import ConfigError
from mgdhw.study.reproduce.runs import OutOfTime, Rows, cosines, curves
from mgdhw.study.reproduce.task import URI

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Job:
    """One run: figure, method, width, seed, and how many iterations."""

    figure: str
    method: str
    d: int
    seed: int
    last: int

    def __str__(self) -> str:
        return f"{self.method}, d = {self.d}, seed {self.seed}"

    def file(self, folder: Path) -> Path:
        """Where it is kept."""
        return folder / self.figure / f"{self.method}-d{self.d}-seed{self.seed}-n{self.last}.json"


def jobs(figure: str, methods: Sequence[str], widths: Sequence[int], seeds: int, last: int) -> list[Job]:
    """All runs, narrow networks and low seeds first, so that an interrupted study has something of each method."""
    return [Job(figure, m, d, seed, last) for d in widths for seed in range(1, seeds + 1) for m in methods]


def kept_rows(job: Job, folder: Path, data: str, uri: str = URI) -> Rows | None:
    """The rows of a finished run on the same data; None if there are none.

    Raises:
        ConfigError: the file is not one of this study.
    """
    path = job.file(folder)
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        same = found["format"] == FORMAT and found["data"] == data and found["uri"] == uri
        rows = list(found["rows"])
    except (ValueError, KeyError, TypeError):
        raise ConfigError(f"{path}: is not a run of this study; remove it, or choose another --output") from None
    if not same:
        raise ConfigError(f"{path}: is a run on other data or another network; choose another --output")
    return rows


def run_all(
    todo: Iterable[Job],
    folder: Path,
    data: Dataset,
    on_result: Callable[[Job, Rows], None],
    *,
    seconds: float | None = None,
    uri: str = URI,
) -> bool:
    """Run what is not kept yet, and keep it.

    Args:
        todo: all runs.
        folder: of the study.
        data: with the study's targets.
        on_result: called for each, also for those that were kept.
        seconds: time that this may take; a run that is not finished by then is given up.
        uri: of the network.

    Returns:
        Whether all were finished.
    """
    from mgdhw.runs.atomic import write_atomically

    ends = None if seconds is None else monotonic() + seconds

    def check() -> None:
        if ends is not None and monotonic() > ends:
            raise OutOfTime

    whole = True
    for job in todo:
        rows = kept_rows(job, folder, data.digest, uri)
        if rows is None:
            run: Any = cosines if job.figure == "fig3" else curves
            try:
                check()
                rows = asyncio.run(run(job.method, job.d, job.seed, job.last, data, check, uri))
            except OutOfTime:
                whole = False  # what is kept of later ones is still shown
                continue
            path = job.file(folder)
            path.parent.mkdir(parents=True, exist_ok=True)
            record = {"format": FORMAT, "data": data.digest, "uri": uri, "rows": rows}
            write_atomically(path, json.dumps(record).encode())
        on_result(job, rows)
    return whole
