"""What a board refuses of a request from its fields alone, before anything is computed or the hardware is touched.

One function for each message. `docs/link.md`, "What a board refuses", is the same as a table, and the boards in C keep
it, too. What depends on what the board holds (checksums, the number of samples) is looked at afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import fields

from mgdhw.codes import FAMILIES as CODE_FAMILIES
from mgdhw.errors import LinkCorrupt, MgdhwError
from mgdhw.variants import interval_of
from mgdhw_drivers.protocol.blocks import number_from_bytes
from mgdhw_drivers.protocol.description import Head
from mgdhw_drivers.protocol.frames import SMALLEST_PAYLOAD, Frame
from mgdhw_drivers.protocol.messages import (
    HELD_VALID,
    Chunk,
    Identify,
    Infer,
    Learn,
    Load,
    Measure,
    Probe,
    Read,
    Set,
    Snapshot,
)
from mgdhw_drivers.protocol.numbers import (
    BASELINES,
    FAMILIES,
    FIRST_OPTIMIZER,
    GROUPS,
    OPTIMIZERS,
    Area,
    CapabilityBits,
    Feature,
    InputKind,
    LearnFlag,
    Type,
)
from mgdhw_drivers.protocol.samples import sizes
from mgdhw_drivers.protocol.segments import LearnRequest

MOST_SAMPLES_AT_ONCE = 1 << 16
"""Largest batch: every evaluation ends before the board has been deaf for long."""
END_OF_STEPS = 1 << 63
"""Steps, updates and positions in the order of samples are below: so they fit into signed numbers everywhere."""
MOST_PROBES = (1 << 31) - 1
"""Of one PROBE: it may have two values for each, and they are numbered with 32 bits."""
MOST_AMPLITUDE = (1 << 15) - 1
LAST_PART = 2

_LENGTHS = {
    Type.IDENTIFY: Identify.form.size,
    Type.READ: Read.form.size,
    Type.LOAD: Load.form.size,
    Type.SET: Set.form.size,
    Type.MEASURE: Measure.form.size,
    Type.INFER: Infer.form.size,
    Type.PROBE: Probe.form.size,
    Type.LEARN: Probe.form.size + Learn.form.size,
    Type.RESTORE: Snapshot.form.size,
}


class Unsupported(MgdhwError):
    """A code family, optimizer or mode that the board hasn't got."""


def has_right_length(request: Frame) -> bool:
    """Whether a request's payload is as long as its type says; that of WRITE is so long or longer."""
    if request.type == Type.WRITE:
        return len(request.payload) >= Chunk.form.size
    return len(request.payload) == _LENGTHS.get(Type(request.type), 0)


def check_identify(hello: Identify) -> None:
    """Raise LinkCorrupt where a field is out of its range. Who only asks has no session."""
    _within("take", hello.take, 0, 1)
    _within("max_payload", hello.max_payload, SMALLEST_PAYLOAD, None)
    if hello.take:
        _within("session", hello.session, 1, None)


def check_read(read: Read, most: int) -> None:
    """Raise LinkCorrupt where more is asked for than an answer of `most` bytes holds."""
    _within("length", read.length, 0, most - Chunk.form.size)


def check_load(load: Load, head: Head) -> None:
    """Raise LinkCorrupt where a field is out of its range, or there is no room for so many samples."""
    kinds: tuple[int, ...] = (head.input_kind,)
    if head.input_kind == InputKind.VALUES:
        kinds = (InputKind.VALUES, InputKind.FLOATS)
    if load.input_kind not in kinds:
        raise LinkCorrupt(f"inputs of kind {load.input_kind}")
    _within("n_samples", load.n_samples, 1, None)
    _within("n_train", load.n_train, 1, load.n_samples)
    if not (math.isfinite(load.scale) and load.scale > 0.0):
        raise LinkCorrupt(f"scale is {load.scale}")
    inputs, targets = sizes(load, head.n_inputs, head.n_outputs)
    if inputs > head.area_sizes[Area.INPUTS] or targets > head.area_sizes[Area.TARGETS]:
        raise LinkCorrupt(f"there is no room for {load.n_samples} samples")


def check_set(asked: Set) -> None:
    """Raise LinkCorrupt where the step is out of its range."""
    _below("step", asked.step)


def check_measure(asked: Measure, head: Head) -> None:
    """Raise LinkCorrupt where a field is out of its range; Unsupported if the board takes no single measurements."""
    _below("step", asked.step)
    _within("part", asked.part, 0, LAST_PART)
    _within("count", asked.count, 1, min(MOST_SAMPLES_AT_ONCE, head.area_sizes[Area.SAMPLES] // 4))
    if not head.capabilities & CapabilityBits.MEASURE:
        raise Unsupported("the device takes no single measurements")


def check_infer(asked: Infer, head: Head) -> None:
    """Raise LinkCorrupt where the step is out of its range, or there are no samples, or more than there is room for."""
    _below("step", asked.step)
    _within("count", asked.count, 1, head.area_sizes[Area.SAMPLES] // 4)


def check_probe(asked: Probe, head: Head) -> None:
    """Raise LinkCorrupt where a field of PROBE is out of its range, Unsupported for codes that the board hasn't got."""
    _within("n_probes", asked.n_probes, 1, MOST_PROBES)
    _check_block(asked, head)
    _check_codes(asked, head)


def check_learn(ask: LearnRequest, head: Head) -> None:
    """Raise LinkCorrupt where a field of LEARN is out of its range, Unsupported for what the board hasn't got."""
    probe, learn = ask.probe, ask.learn
    _within("n_probes", probe.n_probes, 1, None)
    _check_block(probe, head)
    _below("update", learn.update + probe.n_probes)
    _within("ticket", learn.ticket, 1, None)
    _within("update_period", learn.update_period, 1, None)
    _within("tau_theta", learn.tau_theta, 1, None)
    _within("learn_flags", learn.flags, 0, sum(LearnFlag))
    check_finite("eta", (learn.eta,))
    check_finite("scale", (learn.scale,))
    check_finite("low, high", (learn.low, learn.high))
    if learn.low > learn.high:
        raise LinkCorrupt(f"low is {learn.low}, above {learn.high}")
    check_finite("constants", learn.constants)
    check_finite("scalars", learn.scalars)
    check_finite("analog_cost, high_passed", (learn.analog_cost, learn.high_passed))
    check_finite("tau_hp", (learn.tau_hp,))
    if learn.tau_hp < 0.0:
        raise LinkCorrupt(f"tau_hp is {learn.tau_hp}")
    updates = (probe.first_step % learn.update_period + probe.n_probes) // learn.update_period
    if learn.eta_count:
        _within("eta_count", learn.eta_count, updates, head.area_sizes[Area.ETA] // 8)
    if not head.capabilities & CapabilityBits.LEARN:
        raise Unsupported("the board cannot learn by itself")
    if learn.optimizer not in OPTIMIZERS or not head.features >> FIRST_OPTIMIZER + learn.optimizer & 1:
        raise Unsupported(f"the board has no optimizer {learn.optimizer}")
    _check_codes(probe, head)


def check_restore(asked: Snapshot, head: Head) -> None:
    """Raise LinkCorrupt where there is no room for so much; Unsupported if the cells remember nothing."""
    if not head.capabilities & CapabilityBits.SNAPSHOT:
        raise Unsupported("the device's cells remember nothing beyond what was requested")
    _within("size", asked.size, 1, head.area_sizes[Area.CELLS])


def check_finite(what: str, numbers: Iterable[float]) -> None:
    """Raise LinkCorrupt if a number is infinite or none."""
    for number in numbers:
        if not math.isfinite(number):
            raise LinkCorrupt(f"{what}: {number} is no number to compute with")


def _check_block(asked: Probe, head: Head) -> None:
    """What PROBE and LEARN have in common, but for the number of probes and what a board may not have."""
    _below("first_step + n_probes", asked.first_step + asked.n_probes)
    _within("order_n", asked.order_n, 1, None)
    _within("batch", asked.batch, 1, MOST_SAMPLES_AT_ONCE)
    _within("tau_x", asked.tau_x, 1, None)
    last_batch = (asked.first_step + asked.n_probes - 1) // asked.tau_x
    _below("position of the last sample", (last_batch + 1) * asked.batch)
    _within("amplitude", asked.amplitude, 1, MOST_AMPLITUDE)
    _within("groups", asked.groups, 0, len(GROUPS) - 1)
    _within("baseline", asked.baseline, 0, len(BASELINES) - 1)
    _within("flags", asked.flags, 0, HELD_VALID)
    _check_code_parameter(asked)
    if asked.flags & HELD_VALID:
        _below("held_step", asked.held_step)
        if head.float_costs:
            check_finite("held_value", (number_from_bytes(asked.held_value, floats=True),))


def _check_code_parameter(asked: Probe) -> None:
    """Of a family that has one. Of an unknown family it is not looked at: that one is Unsupported."""
    for field in fields(CODE_FAMILIES[FAMILIES[asked.family]]) if asked.family in FAMILIES else ():
        if asked.code_parameter not in interval_of(field):
            raise LinkCorrupt(f"{field.name} is {asked.code_parameter}, expected a number {interval_of(field).text}")


def _check_codes(asked: Probe, head: Head) -> None:
    if asked.family not in FAMILIES or not head.features >> asked.family & 1:
        raise Unsupported(f"the board has no code family {asked.family}")
    if asked.groups and not head.features & Feature.GROUPS:
        raise Unsupported("the board knows no layers to perturb one at a time")


def _within(name: str, value: int, least: int, most: int | None) -> None:
    if value < least or (most is not None and value > most):
        raise LinkCorrupt(f"{name} is {value}, expected {least} ... {'' if most is None else most}")


def _below(name: str, value: int) -> None:
    if value >= END_OF_STEPS:
        raise LinkCorrupt(f"{name} is {value}, not below 2^63")
