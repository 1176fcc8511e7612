"""Segments and their answers as messages, both ways."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.arrays import FloatArray
from mgdhw.block import HeldBaseline
from mgdhw.errors import LinkCorrupt
from mgdhw.learning.filters import FilterState
from mgdhw.learning.gradient import Window
from mgdhw.learning.rule import LearningRule, ParameterGrid, UpdateInfo
from mgdhw.learning.schedule import Progress, ScheduleSpec, rate
from mgdhw.learning.segment import Segment, SegmentResult
from mgdhw.learning.state import TrainState
from mgdhw.learning.step import next_block
from mgdhw.optimizers import OPTIMIZERS as CLASSES
from mgdhw.optimizers import Optimizer
from mgdhw.optimizers import State as OptimizerState
from mgdhw_drivers.protocol.blocks import block_of, number_from_bytes, number_to_bytes, probe_of
from mgdhw_drivers.protocol.messages import Learn, LearnResult, Probe
from mgdhw_drivers.protocol.numbers import OPTIMIZER_NUMBERS, OPTIMIZERS, Area, LearnFlag, LearnResultFlag

N_CONSTANTS = 5
N_SCALARS = 2
SLOT_AREAS = (Area.SLOT1, Area.SLOT2)
"""Where an optimizer's arrays lie, in order."""


def name_of(optimizer: Optimizer) -> str | None:
    """An optimizer's name, None if the link doesn't know it."""
    known = CLASSES.get(optimizer.name) is type(optimizer) and optimizer.name in OPTIMIZER_NUMBERS
    return optimizer.name if known else None


def slots_of(optimizer: str) -> dict[str, Area]:
    """Where each of an optimizer's arrays lies."""
    return dict(zip(_arrays(optimizer), SLOT_AREAS, strict=False))


@lru_cache
def _arrays(optimizer: str) -> tuple[str, ...]:
    return CLASSES[optimizer]().arrays()


def _scalars(state: OptimizerState) -> tuple[float, ...]:
    """The numbers of an optimizer's state, filled up with ones."""
    values = [float(value) for value in state.values() if value.ndim == 0]
    return (*values, *[1.0] * (N_SCALARS - len(values)))


def constants_of(optimizer: Optimizer) -> tuple[float, ...]:
    """An optimizer's constants in the order of its fields, filled up with zeros."""
    values = [float(getattr(optimizer, field.name)) for field in fields(optimizer)]
    return (*values, *[0.0] * (N_CONSTANTS - len(values)))


def optimizer_of(number: int, constants: tuple[float, ...]) -> Optimizer:
    """The optimizer with such constants."""
    kind = CLASSES[OPTIMIZERS[number]]
    values = {}
    for field, constant in zip(fields(kind), constants, strict=False):
        values[field.name] = bool(constant) if isinstance(field.default, bool) else constant
    return kind(**values)


def is_empty(window: Window) -> bool:
    """Whether no probe is in it."""
    return not (window.energy.any() or window.cross.any())


def areas_in_use(optimizer: str, flags: LearnFlag) -> list[Area]:
    """The state areas, in the order in which their checksum takes them.

    Continuous mode has no window: its weights, where the learning rule has some, lie in ENERGY.
    """
    areas = [Area.THETA, *slots_of(optimizer).values()]
    if LearnFlag.CONTINUOUS in flags:
        return [*areas, *[Area.ENERGY] * (LearnFlag.WEIGHTED in flags), Area.GRADIENT]
    return areas if LearnFlag.WINDOW_EMPTY in flags else [*areas, Area.CROSS, Area.ENERGY]


def flags_of(rule: LearningRule, state: TrainState) -> LearnFlag:
    """What a learning rule and a state are, as LEARN says it."""
    flags = LearnFlag(0)
    if rule.continuous:
        flags |= LearnFlag.CONTINUOUS
    if rule.normalise == "oripov":
        flags |= LearnFlag.ORIPOV
    if rule.stochastic:
        flags |= LearnFlag.STOCHASTIC
    if is_empty(state.window):
        flags |= LearnFlag.WINDOW_EMPTY
    if state.filters.cost is not None:
        flags |= LearnFlag.ANALOG_COST
    if rule.continuous and rule.filter_weight is not None:
        flags |= LearnFlag.WEIGHTED
    return flags


def checksum(parts: Iterable[bytes | bytearray | memoryview]) -> int:
    """CRC-32 of bytes that follow each other."""
    crc = 0
    for part in parts:
        crc = zlib.crc32(part, crc)
    return crc


def state_areas(state: TrainState, rule: LearningRule, *, floats: bool) -> dict[Area, bytes]:
    """The state areas that a segment begins with."""
    name = name_of(rule.optimizer)
    assert name is not None, "whoever sends a segment has looked"
    weights = rule.filter_weight if rule.continuous else None
    cross = state.window.cross.astype("<f8" if floats else "<i8")
    content: dict[Area, NDArray[Any]] = {
        Area.THETA: state.theta,
        Area.CROSS: cross,
        Area.ENERGY: state.window.energy if weights is None else weights,
        Area.GRADIENT: state.filters.gradient,
        **{area: state.optimizer[slot] for slot, area in slots_of(name).items()},
    }
    used = areas_in_use(name, flags_of(rule, state))
    return {area: content[area].astype(content[area].dtype.newbyteorder("<")).tobytes() for area in used}


def rates_of(segment: Segment) -> list[float]:
    """η of each update of a segment."""
    state, rule = segment.state, segment.rule
    period = rule.update_period
    updates = (state.step + segment.n_probes) // period - state.step // period
    return [rule.eta * rate(rule.schedule, Progress(state.update + j, rule.updates)) for j in range(updates)]


@dataclass(frozen=True, slots=True)
class LearnRequest:
    """LEARN and what it depends on."""

    probe: Probe
    learn: Learn

    def pack(self) -> bytes:
        """The payload."""
        return self.probe.pack() + self.learn.pack()

    @classmethod
    def unpack(cls, payload: bytes) -> LearnRequest:
        """From the payload. Raises LinkCorrupt."""
        split = Probe.form.size
        return cls(Probe.unpack(payload[:split]), Learn.unpack(payload[split:]))


def ask_of(
    segment: Segment,
    *,
    ticket: int,
    dataset_crc: int,
    state_crc: int,
    rates: bytes,
    guard_crc: int,
    floats: bool,
) -> LearnRequest:
    """A segment as a message.

    Args:
        segment: of an optimizer that the link knows.
        ticket: its number.
        dataset_crc, state_crc, guard_crc: checksums of what it depends on.
        rates: content of ETA, empty if η is the same for all updates.
        floats: whether costs are floats.
    """
    state, rule = segment.state, segment.rule
    name = name_of(rule.optimizer)
    assert name is not None, "whoever sends a segment has looked"
    constant = rates_of(segment)
    learn = Learn(
        update=state.update,
        rounding_seed=rule.seed,
        eta=constant[0] if constant else 0.0,
        scale=rule.scale,
        low=float(np.min(rule.low)),
        high=float(np.max(rule.high)),
        tau_hp=rule.tau_hp,
        constants=constants_of(rule.optimizer),
        scalars=_scalars(state.optimizer),
        analog_cost=state.filters.cost or 0.0,
        high_passed=state.filters.high_passed,
        ticket=ticket,
        state_crc=state_crc,
        update_period=rule.update_period,
        tau_theta=rule.tau_theta,
        eta_count=len(rates) // 8,
        eta_crc=zlib.crc32(rates),
        optimizer=OPTIMIZER_NUMBERS[name],
        flags=flags_of(rule, state),
        guard_crc=guard_crc,
    )
    return LearnRequest(probe_of(next_block(state, rule, segment.n_probes), 0, dataset_crc, floats=floats), learn)


def segment_of(
    ask: LearnRequest,
    areas: Mapping[Area, bytes],
    grid: ParameterGrid,
    guard_band: tuple[FloatArray, FloatArray],
    cost_lsb: float,
    *,
    floats: bool,
) -> Segment:
    """The segment that a message asks for (`checks.check_learn`), with the η of its first update for all of them.

    Args:
        ask: the message.
        areas: the state areas.
        grid: what the hardware can hold.
        guard_band: limits of master θ.
        cost_lsb: one cost code in units of the cost.
        floats: whether costs are floats.
    """
    learn = ask.learn
    block = block_of(ask.probe, floats=floats)
    optimizer = optimizer_of(learn.optimizer, learn.constants)
    flags = LearnFlag(learn.flags)
    rule = LearningRule(
        codes=block.codes,
        order=block.order,
        baseline=block.baseline,
        continuous=LearnFlag.CONTINUOUS in flags,
        update_period=learn.update_period,
        tau_theta=learn.tau_theta,
        tau_hp=learn.tau_hp,
        normalise="oripov" if LearnFlag.ORIPOV in flags else "energy",
        optimizer=optimizer,
        eta=learn.eta,
        schedule=ScheduleSpec(),
        updates=0,
        stochastic=LearnFlag.STOCHASTIC in flags,
        grid=grid,
        low=guard_band[0],
        high=guard_band[1],
        cost_lsb=cost_lsb,
        seed=learn.rounding_seed,
        filter_weight=_floats(areas[Area.ENERGY]) if LearnFlag.WEIGHTED | LearnFlag.CONTINUOUS in flags else None,
    )
    cost = learn.analog_cost if LearnFlag.ANALOG_COST in flags else None
    state = TrainState(
        step=block.first_step,
        update=learn.update,
        theta=_floats(areas[Area.THETA]),
        optimizer=_optimizer_state(learn.optimizer, learn.scalars, areas),
        window=_window(areas, _floats(areas[Area.THETA]).size, floats=floats),
        filters=_analog(areas, cost, learn.high_passed),
        held=block.held,
        evaluations=0,
        digest_state=b"",
    )
    return Segment(state, rule, block.n_probes)


def check_state(state: TrainState, weights: FloatArray | None, not_negative: Iterable[str]) -> None:
    """Raise LinkCorrupt where arrays that a host has written hold what no training comes to.

    Args:
        state: what it has written.
        weights: (P,) of continuous mode, where it has written some.
        not_negative: arrays of the optimizer's that are never below zero.
    """
    weights = np.zeros(1) if weights is None else weights
    arrays = {"theta": state.theta, "cross": state.window.cross, "gradient": state.filters.gradient, **state.optimizer}
    arrays |= {"energy, as weights,": weights}
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise LinkCorrupt(f"{name} holds what is no number")
    squares = {
        "energy": state.window.energy,
        **{name: state.optimizer[name] for name in not_negative},
        "energy, as weights,": weights,
    }
    for name, array in squares.items():
        if (array < 0).any():
            raise LinkCorrupt(f"{name} holds what is never below zero, and is")


def learnt_of(
    result: SegmentResult, *, ticket: int, state_crc: int, theta_crc: int, held_crc: int, floats: bool
) -> LearnResult:
    """A segment's result as a message. The state's evaluations are those of the segment."""
    state = result.state
    held = state.held
    flags = LearnResultFlag(0) if held is None else LearnResultFlag.HELD
    if result.last is not None:
        flags |= LearnResultFlag.UPDATED
    if is_empty(state.window):
        flags |= LearnResultFlag.WINDOW_EMPTY
    if state.filters.cost is not None:
        flags |= LearnResultFlag.ANALOG_COST
    return LearnResult(
        step=state.step,
        update=state.update,
        evaluations=state.evaluations,
        held_value=number_to_bytes(0 if held is None else held.value, floats=floats),
        held_step=0 if held is None else held.step,
        cost=result.cost,
        eta=0.0 if result.last is None else result.last.eta,
        gradient_norm=0.0 if result.last is None else result.last.gradient_norm,
        scalars=_scalars(state.optimizer),
        analog_cost=state.filters.cost or 0.0,
        high_passed=state.filters.high_passed,
        ticket=ticket,
        state_crc=state_crc,
        theta_crc=theta_crc,
        held_crc=held_crc,
        flags=flags,
    )


def areas_after(segment: Segment, learnt: LearnResult) -> list[Area]:
    """The state areas that an answer is about."""
    name = name_of(segment.rule.optimizer)
    assert name is not None, "whoever sends a segment has looked"
    empty = LearnResultFlag.WINDOW_EMPTY in LearnResultFlag(learnt.flags)
    flags = flags_of(segment.rule, segment.state) & ~LearnFlag.WINDOW_EMPTY
    return areas_in_use(name, flags | LearnFlag.WINDOW_EMPTY if empty else flags)


def result_of(segment: Segment, learnt: LearnResult, areas: Mapping[Area, bytes], *, floats: bool) -> SegmentResult:
    """The whole result, from the message and the state areas."""
    before, flags = segment.state, LearnResultFlag(learnt.flags)
    held = None
    if LearnResultFlag.HELD in flags:
        held = HeldBaseline(number_from_bytes(learnt.held_value, floats=floats), learnt.held_step)
    cost = learnt.analog_cost if LearnResultFlag.ANALOG_COST in flags else None
    number = OPTIMIZER_NUMBERS[segment.rule.optimizer.name]
    state = replace(
        before,
        step=learnt.step,
        update=learnt.update,
        theta=_floats(areas[Area.THETA]),
        optimizer=_optimizer_state(number, learnt.scalars, areas),
        window=_window(areas, before.theta.size, floats=floats),
        filters=_analog(areas, cost, learnt.high_passed) if segment.rule.continuous else before.filters,
        held=held,
        evaluations=before.evaluations + learnt.evaluations,
    )
    last = UpdateInfo(learnt.eta, learnt.gradient_norm) if LearnResultFlag.UPDATED in flags else None
    return SegmentResult(state, learnt.cost, last)


def _floats(raw: bytes) -> FloatArray:
    return np.frombuffer(raw, "<f8").astype(np.float64)


def _optimizer_state(number: int, scalars: tuple[float, ...], areas: Mapping[Area, bytes]) -> OptimizerState:
    name = OPTIMIZERS[number]
    state = {slot: _floats(areas[area]) for slot, area in slots_of(name).items()}
    names = CLASSES[name]().scalars()
    return state | {scalar: np.asarray(value) for scalar, value in zip(names, scalars, strict=False)}


def _window(areas: Mapping[Area, bytes], count: int, *, floats: bool) -> Window:
    if Area.CROSS not in areas:
        return Window.empty(count, integer=not floats)
    cross = np.frombuffer(areas[Area.CROSS], "<f8" if floats else "<i8")
    energy = np.frombuffer(areas[Area.ENERGY], "<i8").astype(np.int64)
    return Window(cross.astype(np.float64 if floats else np.int64), energy)


def _analog(areas: Mapping[Area, bytes], cost: float | None, high_passed: float) -> FilterState:
    if Area.GRADIENT in areas:
        return FilterState(_floats(areas[Area.GRADIENT]), cost, high_passed)
    return FilterState(np.zeros(_floats(areas[Area.THETA]).size), cost, high_passed)
