"""θ that a new run begins with: that of another run, or a vector."""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from mgdhw.arrays import FloatArray
from mgdhw.errors import CheckpointError, ConfigError, RunError
from mgdhw.parsing import short_repr
from mgdhw.runs.folder import Run, find_run

Which = Literal["last", "best"]
"""Which θ of a run: that of its last checkpoint, or of its best evaluation."""


@dataclass(frozen=True)
class Start:
    """θ to begin with.

    Args:
        theta: (P,) master θ, in the device's units.
        origin: where it comes from, for `provenance.json`.
        run: the run that it comes from, if any.
    """

    theta: FloatArray
    origin: dict[str, Any]
    run: Run | None = None

    @property
    def fingerprint(self) -> str:
        """SHA-256 of θ, in hexadecimal: what the experiment says of it, and so its digest begins with."""
        return _fingerprint(self.theta)


def start_from(given: str | Path | ArrayLike, which: Which, runs: Path | None) -> Start:
    """θ of a run or of a vector.

    Args:
        given: a run (its folder, or its id within `runs`), or (P,) numbers.
        which: which θ of the run.
        runs: folder of runs.

    Raises:
        ConfigError: it is neither a run nor a vector of numbers.
        RunError: there is no such run, or it is a set of replicas.
        CheckpointError: it keeps no such θ.
    """
    if which not in ("last", "best"):
        raise ConfigError(f"start_at: expected 'last' or 'best' (got {short_repr(which)})")
    if isinstance(given, str | Path):
        return _of_run(find_run(given, runs), which)
    try:
        theta = np.array(given, dtype=np.float64)
    except (TypeError, ValueError):
        theta = np.zeros((0, 0))
    if theta.ndim != 1 or not theta.size or not np.isfinite(theta).all():
        raise ConfigError(f"start: expected a run, or a vector of finite numbers (got {short_repr(given)})")
    if which != "last":
        raise ConfigError("start_at: of no use beside a vector; give start a run")
    return Start(theta, {"theta": _fingerprint(theta)})


def _of_run(run: Run, which: Which) -> Start:
    if run.replicas() is not None:
        raise RunError(
            f"run {run.folder} is a set of replicas, which does not save networks; train the one to begin from with:"
            f" mgdhw train {shlex.quote(str(run.experiment_file))} --seed SEED"
        )
    saved = run.best() if which == "best" else run.latest()[0]
    if saved is None:
        raise CheckpointError(f"run {run.folder} has no checkpoint yet; continue with: {run.resume_command()}")
    theta = saved.state.theta
    origin = {
        "run": str(run.folder.resolve()),
        "at": which,
        "step": int(saved.state.step),
        "theta": _fingerprint(theta),
    }
    return Start(theta, origin, run)


def _fingerprint(theta: FloatArray) -> str:
    return hashlib.sha256(np.ascontiguousarray(theta, dtype="<f8").data).hexdigest()
