"""All that a run remembers between two probes: what a checkpoint holds, and nothing else is needed to go on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from mgdhw.arrays import FloatArray
from mgdhw.block import HeldBaseline
from mgdhw.learning.filters import FilterState
from mgdhw.learning.gradient import Window
from mgdhw.optimizers import State


@dataclass(frozen=True)
class TrainState:
    """Explicit state of training. Random numbers need none: they are functions of the step.

    Args:
        step: probes done.
        update: parameter updates done.
        theta: (P,) master parameters, float64; what the hardware holds is another thing.
        optimizer: the optimizer's own state.
        window: sums since the last update (discrete mode).
        filters: of continuous mode.
        held: baseline in force.
        evaluations: applications of B samples so far, probes and baselines.
        digest_state: 32 bytes, the digest of the trajectory so far.
        cells: what a simulated device's cells remember (`Device.snapshot`); empty for all others.
        recent: C̃ accepted last, oldest first, by which outliers are recognized; empty where they are not looked for.
    """

    step: int
    update: int
    theta: FloatArray
    optimizer: State
    window: Window
    filters: FilterState
    held: HeldBaseline | None
    evaluations: int
    digest_state: bytes
    cells: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    recent: tuple[float, ...] = ()
