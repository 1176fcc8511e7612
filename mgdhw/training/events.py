"""What a trainer, or a set of replicas, says while it works. Whoever wants to know listens; they know no listener."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mgdhw.device import DeviceInfo
from mgdhw.device.readings import GuardCounts
from mgdhw.errors import DeviceError
from mgdhw.learning.state import TrainState
from mgdhw.timing import OperationCounts, TimeAndEnergy
from mgdhw.training.results import ReplicaResult

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

    A device that learns by itself reports only the last update of a segment.
    """

    step: int
    update: int
    eta: float
    gradient_norm: float


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The network was tried on samples. `split` is "test", or "train" where a dataset has no test samples.

    Outputs that are classes have an accuracy, 0 ... 1; numbers have R² instead (None where their targets don't vary).
    """

    step: int
    evaluations: int
    split: str
    accuracy: float | None
    cost: float
    r2: float | None = None


@dataclass(frozen=True, slots=True)
class Best:
    """The best evaluation of the learning curve so far, just made or restored, and the state that it is of.

    Evaluations that only an interruption adds to the curve do not count: a resumed run has the same best.
    """

    state: TrainState
    evaluated: Evaluated


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
class Guarded:
    """Readings were measured again or clipped since the event of this kind before. `counts` says how many."""

    step: int
    counts: GuardCounts


@dataclass(frozen=True, slots=True)
class InterlockOpened:
    """An interlock is open, and training is suspended.

    Args:
        step: probes done.
        name: the interlock's.
        problem: what is wrong.
        when_open: what follows: "wait", "end" or "safe".
    """

    step: int
    name: str
    problem: str
    when_open: str


@dataclass(frozen=True, slots=True)
class InterlockClosed:
    """An interlock that was waited for is closed again, after some `seconds`."""

    step: int
    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Measured:
    """Within a block or an evaluation that takes its time: `readings` were made since the event before.

    The device reports it; it comes between the trainer's own events.
    """

    readings: int


@dataclass(frozen=True, slots=True)
class Finished:
    """Training has come to its end, or to a stop.

    Args:
        reason: "done", "target" (the accuracy or cost aimed at), "stopped" (asked to), or "interlock" (one is open).
        state: the last state.
        digest: of the trajectory so far, in hexadecimal.
        last: the last evaluation.
        count: how often the hardware did what.
        hardware: the time and energy that this takes on it, where its timing is known.
        best: the best evaluation of the learning curve.
        problem: which interlock is open, and what is wrong.
    """

    reason: str
    state: TrainState
    digest: str
    last: Evaluated
    count: OperationCounts
    hardware: TimeAndEnergy | None = None
    best: Evaluated | None = None
    problem: str = ""


Event = (
    Started
    | BlockDone
    | Updated
    | Evaluated
    | Best
    | Measured
    | Checkpoint
    | Faulted
    | Guarded
    | InterlockOpened
    | InterlockClosed
    | Finished
)


@dataclass(frozen=True, slots=True)
class ReplicasStarted:
    """The device is open, the data loaded, and replicas begin.

    Args:
        device: what trains.
        dataset: what it trains on.
        level: "host-codes", "device-codes" or "learn".
        delta: Δ in parameter units, as the device can represent it.
        replicas: how many.
        probes: of each, at most.
        has_target: whether there is an accuracy or a cost that solves the problem.
        finished: replicas that an earlier session has finished.
        notes: what the user should know.
    """

    device: DeviceInfo
    dataset: Dataset
    level: str
    delta: float
    replicas: int
    probes: int
    has_target: bool
    finished: tuple[ReplicaResult, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReplicasAdvanced:
    """Some or all of the replicas have gone on.

    Args:
        probes: done by all replicas in this session.
        left: still to be done by all of them, if no further one is solved.
        cost: mean perturbed cost per sample since the event before, over the replicas that went on.
    """

    probes: int
    left: int
    cost: float


@dataclass(frozen=True, slots=True)
class ReplicaFinished:
    """A replica has come to its end: what came of it, and its last state."""

    result: ReplicaResult
    state: TrainState


@dataclass(frozen=True, slots=True)
class ReplicasFinished:
    """All replicas are finished ("done"), or the set has come to a stop ("stopped")."""

    reason: str


ReplicasEvent = ReplicasStarted | ReplicasAdvanced | ReplicaFinished | Measured | Faulted | Guarded | ReplicasFinished
