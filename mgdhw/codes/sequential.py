"""One parameter at a time: finite differences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mgdhw.arrays import IntArray
from mgdhw.block import CodeSpec
from mgdhw.codes.base import CodeArray, CodeFamily, Group


@dataclass(frozen=True)
class Sequential(CodeFamily):
    """Step t perturbs the group's parameter t mod n by +Δ and no other. Exactly orthogonal over n steps.

    Source: the "time multiplexed" codes of McCaughan et al. 2023; classical finite differences.
    """

    name = "sequential"
    link_number = 1

    def values(self, spec: CodeSpec, group: Group, steps: IntArray) -> CodeArray:
        codes = np.zeros((steps.size, group.size), dtype=np.int16)
        codes[np.arange(steps.size), steps % group.size] = spec.amplitude
        return codes

    def mean_square(self, spec: CodeSpec, group: Group) -> float:
        return spec.amplitude**2 / group.size

    def mixed_up(self, groups: int) -> str | None:
        return (
            "sequential codes, which move every parameter to one side, lose what all gradients have in common: it is"
            " a constant cost, and the high-pass takes it away; use codes.family=random, or training.mode=discrete"
        )

    def window(self, group: Group) -> int:
        return group.size
