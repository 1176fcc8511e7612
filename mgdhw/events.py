"""What a trainer says while it works. Whoever wants to know listens; the trainer knows none of its listeners."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mgdhw.device import DeviceInfo
from mgdhw.errors import DeviceError
from mgdhw.state import TrainState

if TYPE_CHECKING:
    from mgdhw.datasets import Dataset


@dataclass(frozen=True, slots=True)
class Started:
    """The device is open, the data loaded, the first θ written.

    Args:
        device: what trains.
        dataset: what it trains on.
        level: "host-codes", "device-codes" or "learn".
        delta: Δ in parameter units, as the device can represent it.
        step, probes: where it starts, and where it will end.
        notes: what the user should know (a Δ that had to be rounded, ...).
    """

    device: DeviceInfo
    dataset: Dataset
    level: str
    delta: float
    step: int
    probes: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BlockDone:
    """A block was measured. `cost` is the mean of its perturbed costs, per sample."""

    step: int
    probes: int
    evaluations: int
    cost: float


@dataclass(frozen=True, slots=True)
class Updated:
    """θ was updated and written. `gradient_norm` is |ĝ|.

    A device that learns by itself tells only the last update of a segment.
    """

    step: int
    update: int
    eta: float
    gradient_norm: float


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The network was tried on samples. `split` is "test", or "train" where a dataset has no test samples."""

    step: int
    evaluations: int
    split: str
    accuracy: float
    cost: float


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A state worth keeping: everything that is needed to go on from here to the same bits."""

    state: TrainState


@dataclass(frozen=True, slots=True)
class Faulted:
    """The device failed and the request is repeated."""

    step: int
    error: DeviceError
    attempt: int


@dataclass(frozen=True, slots=True)
class Finished:
    """Training has come to its end, or to a stop.

    Args:
        reason: "done", "target" (the accuracy or cost aimed at), or "stopped" (asked to).
        state: the last state.
        digest: of the trajectory so far, in hexadecimal.
        last: the last evaluation.
    """

    reason: str
    state: TrainState
    digest: str
    last: Evaluated


Event = Started | BlockDone | Updated | Evaluated | Checkpoint | Faulted | Finished
