"""The digest of a trajectory: same digest, same bits.

A chain of SHA-256: it begins with what decides the trajectory (the decisive part of the experiment, the dataset's
content and split), and takes in step, evaluations and both θs at its checkpoints, every `CHECKPOINT_UPDATES` updates,
and at the end. It does not depend on how the work was cut into blocks, who made the codes, what carried them, or when
anybody evaluated.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.arrays import FloatArray
from mgdhw.learning.rule import LearningRule
from mgdhw.learning.state import TrainState
from mgdhw.learning.step import probes_to_update

CHECKPOINT_UPDATES = 10_000
"""Updates between checkpoints of the digest: often enough to be a trajectory's, seldom enough to cost nothing."""


def begin(decisive: dict[str, Any], dataset_digest: str) -> bytes:
    """The state of the digest before the first probe, 32 bytes."""
    text = json.dumps({"experiment": decisive, "dataset": dataset_digest}, sort_keys=True)
    return hashlib.sha256(text.encode()).digest()


def advance(
    digest_state: bytes, *, step: int, evaluations: int, theta: NDArray[np.float64], theta_actual: NDArray[np.float64]
) -> bytes:
    """The next state of the digest: takes in where training stands, master θ, and the θ that the hardware holds."""
    link = hashlib.sha256(digest_state)
    link.update(step.to_bytes(8, "little") + evaluations.to_bytes(8, "little"))
    link.update(np.ascontiguousarray(theta, dtype="<f8").data)
    link.update(np.ascontiguousarray(theta_actual, dtype="<f8").data)
    return link.digest()


def probes_to_checkpoint(state: TrainState, rule: LearningRule) -> int:
    """Probes until the next checkpoint of the digest."""
    further = CHECKPOINT_UPDATES - 1 - state.update % CHECKPOINT_UPDATES
    return probes_to_update(state, rule) + rule.update_period * further


def is_checkpoint(before: TrainState, after: TrainState) -> bool:
    """Whether `after`, come to from `before`, is at a checkpoint of the digest."""
    return after.update % CHECKPOINT_UPDATES == 0 and after.update > before.update


def digest_checkpoint(state: TrainState, theta_actual: FloatArray) -> TrainState:
    """The state whose digest has taken in where it stands.

    Args:
        state: where training stands.
        theta_actual: (P,) θ that the hardware holds.
    """
    digest_state = advance(
        state.digest_state,
        step=state.step,
        evaluations=state.evaluations,
        theta=state.theta,
        theta_actual=theta_actual,
    )
    return replace(state, digest_state=digest_state)
