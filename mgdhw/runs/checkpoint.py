"""What is kept of a run so that it can go on to the same bits: one npz file, whole or not there at all.

The file holds the state's arrays as they are, and a JSON member with its scalars, the format's version and a SHA-256
over all of it. Nothing is pickled.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.block import HeldBaseline
from mgdhw.datasets.npz import write_arrays
from mgdhw.errors import CheckpointError
from mgdhw.learning.filters import FilterState
from mgdhw.learning.gradient import Window
from mgdhw.learning.state import TrainState
from mgdhw.runs.atomic import write_atomically

FORMAT = 1
"""Version of the format; a change of it that old readers would get wrong takes the next number."""

_JSON = "json"
_OPTIMIZER = "optimizer."
_CELLS = "cells."
_RECENT = "recent"

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Saved:
    """What a checkpoint holds: a state to go on from, and what its writer put beside it."""

    state: TrainState
    extra: dict[str, Any] = field(default_factory=dict)


def save(path: Path, state: TrainState, extra: Mapping[str, Any] | None = None) -> None:
    """Write a checkpoint, so that `path` is the old file or the new one whenever power fails.

    Args:
        path: the file; its folder must exist.
        state: what to keep.
        extra: more to keep, as JSON can hold it.

    Raises:
        OSError: it cannot be written; nothing is left behind and an older file is untouched.
    """
    arrays: Arrays = {
        "theta": state.theta,
        "window.cross": state.window.cross,
        "window.energy": state.window.energy,
        "analog.gradient": state.filters.gradient,
        **{_OPTIMIZER + name: value for name, value in state.optimizer.items()},
        **{_CELLS + name: value for name, value in state.cells.items()},
        **({_RECENT: np.array(state.recent)} if state.recent else {}),
    }
    arrays = {name: np.asarray(value) for name, value in arrays.items()}
    scalars: dict[str, Any] = {
        "step": int(state.step),
        "update": int(state.update),
        "evaluations": int(state.evaluations),
        "chain": state.digest_state.hex(),
        "held": None if state.held is None else [_plain(state.held.value), int(state.held.step)],
        "analog.cost": None if state.filters.cost is None else float(state.filters.cost),
        "analog.high_passed": float(state.filters.high_passed),
        "extra": dict(extra or {}),
    }
    document = json.dumps({"format": FORMAT, "sha256": _digest(arrays, scalars), "scalars": scalars})
    members: dict[str, Any] = {**arrays, _JSON: np.frombuffer(document.encode(), dtype=np.uint8)}
    write_atomically(path, lambda file: write_arrays(file, members))


def load(path: Path) -> Saved:
    """Read a checkpoint.

    Raises:
        CheckpointError: it is missing, damaged, cut short, no checkpoint at all, or of a newer mgdhw.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror or error}") from None
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays: Arrays = {name: archive[name] for name in archive.files}
        document = json.loads(arrays.pop(_JSON).tobytes())
        version, digest, scalars = document["format"], document["sha256"], document["scalars"]
        intact = version != FORMAT or digest == _digest(arrays, scalars)
    # zipfile, zlib, numpy's and json's parsers raise some ten types on a damaged file; all of them mean this.
    except Exception as error:
        raise _damaged(path) from error
    if version != FORMAT:
        raise CheckpointError(f"{path}: is of format {version!r}, this mgdhw reads {FORMAT}; update mgdhw to read it")
    if not intact:
        raise _damaged(path)
    try:
        return Saved(_state(arrays, scalars), scalars["extra"])
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path) from error


def _state(arrays: Arrays, scalars: Mapping[str, Any]) -> TrainState:
    held = scalars["held"]
    optimizer, cells = (
        {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
        for prefix in (_OPTIMIZER, _CELLS)
    )
    return TrainState(
        step=scalars["step"],
        update=scalars["update"],
        theta=arrays["theta"],
        optimizer=optimizer,
        window=Window(arrays["window.cross"], arrays["window.energy"]),
        filters=FilterState(arrays["analog.gradient"], scalars["analog.cost"], scalars["analog.high_passed"]),
        held=None if held is None else HeldBaseline(held[0], held[1]),
        evaluations=scalars["evaluations"],
        digest_state=bytes.fromhex(scalars["chain"]),
        cells=cells,
        recent=tuple(arrays[_RECENT].tolist()) if _RECENT in arrays else (),
    )


def _digest(arrays: Arrays, scalars: Mapping[str, Any]) -> str:
    hasher = hashlib.sha256(json.dumps(scalars, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        hasher.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        hasher.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return hasher.hexdigest()


def _plain(value: Any) -> int | float:
    """A number as JSON can hold it; integers stay integers, because cost codes are added up exactly."""
    return int(value) if isinstance(value, Integral) else float(value)


def _damaged(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path}: is damaged, cut short, or no checkpoint of mgdhw; remove it to go on from an older one"
    )
