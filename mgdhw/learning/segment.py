"""A stretch of training that a device runs by itself.

A segment carries the whole state and gets a whole state back, so a device remembers nothing from one to the next and
a repeated segment has the same answer: `learn` can be repeated after a fault like everything else.
"""

from __future__ import annotations

from dataclasses import dataclass

from mgdhw.learning.rule import LearningRule, UpdateInfo
from mgdhw.learning.state import TrainState


@dataclass(frozen=True, slots=True)
class Segment:
    """`n_probes` probes and the updates among them, from `state` on.

    Args:
        state: where training stands.
        rule: how it goes on.
        n_probes: how far.
    """

    state: TrainState
    rule: LearningRule
    n_probes: int


@dataclass(frozen=True, slots=True)
class SegmentResult:
    """Where a segment led.

    Args:
        state: after its last probe, and the update that may follow it.
        cost: mean of its perturbed costs (sums over B samples, in the device's cost codes).
        last: the last update, None if there was none.
    """

    state: TrainState
    cost: float
    last: UpdateInfo | None
