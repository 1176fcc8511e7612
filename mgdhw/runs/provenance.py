"""Where a run comes from: versions, the state of the experiment's repository, the device, the data."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from mgdhw.datasets import Dataset
from mgdhw.device import DeviceInfo

GIT_SECONDS = 5.0
"""How long git may take: a repository on a sleeping network drive must not hold up a training."""


def provenance(
    *,
    source: str | None,
    base: Path,
    uri: str,
    info: DeviceInfo,
    dataset: Dataset,
    cost: Mapping[str, str | None] | None = None,
) -> dict[str, Any]:
    """What is recorded when a run begins, as JSON can hold it.

    Args:
        source: the experiment file, if there is one.
        base: folder that relative paths of datasets count from.
        uri: address of the device.
        info: the open device.
        dataset: what it trains on.
        cost: what is known of the user's own cost, where one was given.
    """
    return {
        **({} if cost is None else {"cost": dict(cost)}),
        "created": now(),
        "versions": versions(),
        "source": source,
        "base": str(base),
        "git": git_state(base),
        "device": {
            "uri": uri,
            "model": info.model,
            "identity": info.identity,
            "topology": str(info.topology),
            "parameters": info.n_parameters,
            "theta_lsb": np.asarray(info.theta_lsb).tolist(),
            "cost": info.cost_kind,
            "cost_lsb": info.cost_lsb,
            "details": info.details,
        },
        "dataset": {
            "name": dataset.name,
            "digest": dataset.digest,
            "train": dataset.n_train,
            "test": dataset.n_test,
        },
    }


def now() -> str:
    """This moment with its time zone, to the second."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Of what decides how the work is done."""
    try:
        mgdhw = version("mgdhw")
    except PackageNotFoundError:  # used from a folder, never installed
        mgdhw = "unknown"
    return {
        "mgdhw": mgdhw,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": platform.platform(),
    }


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit of the repository that a folder lies in, and whether it has changes; None without one (or git)."""
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "changed": bool(changes)}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=GIT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
