"""What other packages contribute - drivers, commands, lists of presets - may be broken, and must break nothing else."""

from __future__ import annotations

import traceback
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any


class Broken(Exception):
    """A contribution cannot be loaded; the message says why, in one line."""


def load(point: EntryPoint) -> Any:
    """What an entry point names. Raises Broken, whatever its module does when it is imported."""
    try:
        return point.load()
    except (Exception, SystemExit) as error:
        raise Broken(describe_error(error)) from error


def distribution_of(point: EntryPoint) -> str:
    """The distribution that an entry point comes from, with its version."""
    return "a distribution of no name" if point.dist is None else f"{point.dist.name} {point.dist.version}"


def describe_error(error: BaseException) -> str:
    """What is wrong with a contribution, in one line, and where in its code."""
    message = " ".join(str(error).split())
    text = message if message and isinstance(error, ImportError) else f"{type(error).__name__}: {message}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_theirs(frame.filename)]
    return f"{text} ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else text


def _is_theirs(filename: str) -> bool:
    ours = filename.startswith(str(Path(__file__).parent))
    return not ours and "importlib" not in filename and not filename.startswith("<")
