"""The digest of a trajectory: same digest, same bits.

A chain of SHA-256: it begins with what decides the trajectory (the decisive part of the experiment, the dataset's
content and split), and takes in step, evaluations and both θs after every `MARK_EVERY` updates and at the end. It
does not depend on how the work was cut into blocks, who made the codes, what carried them, or when anybody looked.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

MARK_EVERY = 10_000
"""Updates between marks: often enough to be a trajectory's, seldom enough to cost nothing."""


def begin(decisive: dict[str, Any], dataset_digest: str) -> bytes:
    """First link of the chain."""
    text = json.dumps({"experiment": decisive, "dataset": dataset_digest}, sort_keys=True)
    return hashlib.sha256(text.encode()).digest()


def mark(
    chain: bytes, *, step: int, evaluations: int, theta: NDArray[np.float64], stored: NDArray[np.float64]
) -> bytes:
    """Next link: where training stands, master θ, and the θ that the hardware holds."""
    link = hashlib.sha256(chain)
    link.update(step.to_bytes(8, "little") + evaluations.to_bytes(8, "little"))
    link.update(np.ascontiguousarray(theta, dtype="<f8").data)
    link.update(np.ascontiguousarray(stored, dtype="<f8").data)
    return link.digest()
