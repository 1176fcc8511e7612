"""Learning rates over time: pure functions of how far training has come.

Only operations that IEEE 754 rounds exactly are used (no cosine from a mathematics library), so a learning rate
is the same on every machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

# Taylor coefficients of sin(πx/2) in x², x from 0 to 1: good to 6e-8, which is plenty for a learning rate.
_SINE = (
    1.5707963267948966,
    -0.6459640975062462,
    0.07969262624616704,
    -0.004681754135318687,
    0.00016044118478735975,
    -3.5988432352120845e-06,
)


@dataclass(frozen=True)
class Progress:
    """How far training has come: the number of this update (from 0) and of all of them."""

    update: int
    updates: int

    @property
    def fraction(self) -> float:
        """0 at the first update, below 1 at the last."""
        return self.update / self.updates if self.updates else 0.0


@dataclass(frozen=True)
class ScheduleSpec:
    """A schedule and its parameters; each schedule uses those that its docstring names."""

    name: str = "constant"
    final: float = 0.0
    drop: float = 0.1
    every: float = 0.34
    tau: float = 0.1


def constant(spec: ScheduleSpec, progress: Progress) -> float:
    """1 throughout."""
    return 1.0


def cosine(spec: ScheduleSpec, progress: Progress) -> float:
    """Half a cosine from 1 down to `final`. Source: Loshchilov & Hutter, SGDR (2017), without restarts."""
    x = abs(1.0 - 2.0 * progress.fraction)  # cos(πf) = sign · sin(πx/2)
    square = x * x
    sine = 0.0
    for coefficient in reversed(_SINE):
        sine = sine * square + coefficient
    sine = sine * x
    cos = sine if progress.fraction <= 0.5 else -sine
    return spec.final + (1.0 - spec.final) * (0.5 * (1.0 + cos))


def step(spec: ScheduleSpec, progress: Progress) -> float:
    """Multiplied by `drop` after every `every` of the run (a fraction of its updates)."""
    rate = 1.0
    passed = spec.every
    while passed <= progress.fraction:
        rate *= spec.drop
        passed += spec.every
    return rate


def inverse(spec: ScheduleSpec, progress: Progress) -> float:
    """1 / (1 + f / tau): one half after `tau` of the run. Source: Robbins & Monro (1951)."""
    return 1.0 / (1.0 + progress.fraction / spec.tau)


SCHEDULES: dict[str, Callable[[ScheduleSpec, Progress], float]] = {
    "constant": constant,
    "cosine": cosine,
    "step": step,
    "1/t": inverse,
}


def rate(spec: ScheduleSpec, progress: Progress) -> float:
    """Factor on η at an update."""
    return SCHEDULES[spec.name](spec, progress)
