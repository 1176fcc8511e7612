"""Every field of every message at its limits: what a field of so many bits can be, and what its message allows."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from mgdhw_drivers.protocol.messages import Identify, Infer, Learn, Measure, Read, Set, Snapshot
from mgdhw_drivers.protocol.numbers import Area, MismatchedItem, Type
from mgdhw_drivers.protocol.segments import LearnRequest

from .rows import BAD, FINE, LATE_BAD, LIMIT, UNSUPPORTED, Expect, Row, mismatch
from .world import (
    DATASET_CRC,
    LEARN,
    MOST_AMPLITUDE,
    N_SAMPLES,
    PROBE,
    SAMPLES,
    THETA,
    THETA_CRC,
    P,
)

U8 = (0, 1, 2, 3, 4, 6, 7, 31, 32, 127, 128, 255)
U16 = (0, 1, 255, 256, 2**15 - 1, 2**15, 2**16 - 1)
U32 = (0, 1, 7, 8, 2**16, 2**16 + 1, 2**31 - 1, 2**31, 2**32 - 1)
U64 = (0, 1, 2**31, 2**32, 2**62 - 9, 2**62 - 8, 2**63 - 9, 2**63 - 8, 2**63 - 1, 2**63, 2**64 - 1)
F64 = (0.0, -0.0, 1.0, -1.0, 5e-324, 1e-300, 1e308, -1e308, math.inf, -math.inf, math.nan)
RAW = (bytes(8), b"\1" + bytes(7), b"\xff" * 8, bytes(7) + b"\x80", b"\xff" * 7 + b"\x7f")
LONGEST = 1 << 14
"""Bytes of payload that both boards take."""


Judge = Callable[[Any], Expect]


def allowed(condition: Callable[[Any], bool], otherwise: Expect = BAD) -> Judge:
    """Fine where a condition holds."""
    return lambda value: FINE if condition(value) else otherwise


def anything(_: object) -> Expect:
    """Every value is fine."""
    return FINE


def is_finite(value: float) -> bool:
    """Whether a number is one to compute with."""
    return math.isfinite(value)


def crc_of(right: int, thing: MismatchedItem) -> tuple[tuple[int, ...], Judge]:
    """A checksum's values, right and wrong ones."""
    return (right, right ^ 1, 0, 2**32 - 1), allowed(lambda value: value == right, mismatch(thing))


BELOW = allowed(lambda step: step < 2**63)
POSITIVE = allowed(lambda value: value > 0)
FINITE = allowed(is_finite)

PROBE_FIELDS: dict[str, tuple[tuple[Any, ...], Judge]] = {
    "first_step": (U64, allowed(lambda step: (step + PROBE.n_probes) * PROBE.batch < 2**63)),
    "code_seed": (U64, anything),
    "order_seed": (U64, anything),
    "code_parameter": (F64, anything),  # of random codes, which have none
    "held_value": (RAW, anything),
    "held_step": (U64, anything),
    "n_probes": (U32, allowed(lambda count: 0 < count < 2**31)),
    "order_n": ((0, 1, 7, 8, 2**31, 2**32 - 1), lambda n: BAD if not n else FINE if n <= N_SAMPLES else LATE_BAD),
    "batch": (U32, allowed(lambda batch: 1 <= batch <= 2**16)),
    "tau_x": (U32, POSITIVE),
    "theta_crc": crc_of(THETA_CRC, MismatchedItem.PARAMETERS),
    "dataset_crc": crc_of(DATASET_CRC, MismatchedItem.DATASET),
    "amplitude": ((*U16, MOST_AMPLITUDE, MOST_AMPLITUDE + 1), lambda a: _amplitude(a)),
    "family": (U8, allowed(lambda family: family < 6, UNSUPPORTED)),
    "groups": (U8, allowed(lambda groups: groups <= 1)),
    "baseline": (U8, allowed(lambda baseline: baseline <= 3)),
    "flags": (U8, allowed(lambda flags: flags <= 1)),
}


def _amplitude(amplitude: int) -> Expect:
    if not 1 <= amplitude < 2**15:
        return BAD
    return FINE if amplitude <= MOST_AMPLITUDE else LIMIT


LEARN_FIELDS: dict[str, tuple[tuple[Any, ...], Judge]] = {
    "update": (U64, allowed(lambda update: update + PROBE.n_probes < 2**63)),
    "rounding_seed": (U64, anything),
    "eta": (F64, FINITE),
    "scale": (tuple(value for value in F64 if abs(value) != 1e308), FINITE),
    "low": (F64, allowed(lambda low: is_finite(low) and low <= LEARN.high)),
    "high": (F64, allowed(lambda high: is_finite(high) and high >= LEARN.low)),
    "tau_hp": (F64, allowed(lambda tau: is_finite(tau) and tau >= 0.0)),
    **{f"constants[{i}]": (F64, FINITE) for i in range(5)},
    **{f"scalars[{i}]": (F64, FINITE) for i in range(2)},
    "analog_cost": (F64, FINITE),
    "high_passed": (F64, FINITE),
    "ticket": (U32, POSITIVE),
    "state_crc": crc_of(zlib.crc32(THETA), MismatchedItem.STATE),
    "update_period": (U32, POSITIVE),
    "tau_theta": (U32, POSITIVE),
    "eta_count": ((0, 1, 2, 20, 2**16, 2**20, 2**31 - 1, 2**31, 2**32 - 1), lambda count: _eta_count(count)),
    "eta_crc": crc_of(0, MismatchedItem.ETA),
    "optimizer": ((0, 6, 7, 127, 128, 255), allowed(lambda optimizer: optimizer < 6, UNSUPPORTED)),
    "flags": ((8, 10, 12, 14, 24, 40, 62, 64, 127, 128, 255), allowed(lambda flags: flags <= 63)),
    "guard_crc": crc_of(0, MismatchedItem.GUARD),
}


def _eta_count(count: int) -> Expect:
    if count == 0:
        return FINE
    return mismatch(MismatchedItem.ETA) if 2 <= count <= 2**16 else BAD  # two updates; eta_crc is that of none


BASE: dict[Type, Any] = {
    Type.IDENTIFY: Identify(7, 0, LONGEST, 1),
    Type.READ: Read(Area.REQUESTED, 0, 2 * P),
    Type.SET: Set(0, THETA_CRC),
    Type.MEASURE: Measure(0, 0, 8, zlib.crc32(SAMPLES[:32]), THETA_CRC, DATASET_CRC),
    Type.INFER: Infer(5, 8, zlib.crc32(SAMPLES[:32]), THETA_CRC, DATASET_CRC),
    Type.RESTORE: Snapshot(8, 0),
}
NEEDS = {
    Type.MEASURE: (MismatchedItem.PARAMETERS, MismatchedItem.DATASET),
    Type.INFER: (MismatchedItem.PARAMETERS, MismatchedItem.DATASET),
    Type.PROBE: (MismatchedItem.PARAMETERS, MismatchedItem.DATASET),
    Type.LEARN: (MismatchedItem.DATASET,),
}
ROOM = 2**16
"""Samples that both boards take at once."""


def _count(count: int) -> Expect:
    if not 1 <= count <= ROOM:
        return BAD
    return FINE if count == 8 else mismatch(MismatchedItem.SAMPLES)


FIELDS: dict[Type, dict[str, tuple[tuple[Any, ...], Judge]]] = {
    Type.IDENTIFY: {
        "session": (U32, POSITIVE),
        "dead_man_ms": ((0, 2**31, 2**32 - 1), anything),
        "max_payload": (U16, allowed(lambda size: size >= 256)),
        "take": ((1, 2, 3, 127, 128, 255), allowed(lambda take: take <= 1)),
    },
    Type.READ: {
        "area": ((1, 2, 7, 8, 9, 10, 11, 12, 3, 4, 5, 6, 13, 14, 15, 16, 127, 128, 255), lambda area: _readable(area)),
        "offset": (U32, allowed(lambda offset: offset == 0)),
        "length": (U32, allowed(lambda length: length <= 2 * P)),
    },
    Type.SET: {"step": (U64, BELOW), "crc": crc_of(THETA_CRC, MismatchedItem.PARAMETERS)},
    Type.MEASURE: {
        "step": (U64, BELOW),
        "part": (U8, allowed(lambda part: part <= 2)),
        "count": ((*U32, 2**22), _count),
        "samples_crc": crc_of(zlib.crc32(SAMPLES[:32]), MismatchedItem.SAMPLES),
        "theta_crc": crc_of(THETA_CRC, MismatchedItem.PARAMETERS),
        "dataset_crc": crc_of(DATASET_CRC, MismatchedItem.DATASET),
    },
    Type.INFER: {
        "step": (U64, BELOW),
        "count": ((0, 1, 7, 8, 2**16, 2**22, 2**31 - 1, 2**31, 2**32 - 1), _count),
        "samples_crc": crc_of(zlib.crc32(SAMPLES[:32]), MismatchedItem.SAMPLES),
        "theta_crc": crc_of(THETA_CRC, MismatchedItem.PARAMETERS),
        "dataset_crc": crc_of(DATASET_CRC, MismatchedItem.DATASET),
    },
    Type.RESTORE: {"size": (U32, lambda _: UNSUPPORTED), "crc": ((0, 2**32 - 1), lambda _: UNSUPPORTED)},
}


def _readable(area: int) -> Expect:
    return FINE if area in (1, 2) or 7 <= area <= 12 else BAD


def packed(kind: Type, name: str, value: Any) -> bytes:
    """The payload of a message with one field changed."""
    if kind is Type.PROBE:
        return replace(PROBE, **{name: value}).pack()
    if kind is Type.LEARN:
        if name in PROBE_FIELDS and name not in LEARN_FIELDS:
            return LearnRequest(replace(PROBE, **{name: value}), LEARN).pack()
        return LearnRequest(PROBE, _learn(name, value)).pack()
    return bytes(replace(BASE[kind], **{name: value}).pack())


def _learn(name: str, value: Any) -> Learn:
    if "[" not in name:
        return replace(LEARN, **{name: value})
    field, at = name[:-1].split("[")
    numbers = list(getattr(LEARN, field))
    numbers[int(at)] = value
    return replace(LEARN, **{field: tuple(numbers)})


def fields() -> Iterator[Row]:
    """Every field of every message, at its limits."""
    learn = {name: values for name, values in PROBE_FIELDS.items() if name not in ("theta_crc", "flags")}
    learn |= {"n_probes": (U32, POSITIVE)} | LEARN_FIELDS
    for kind, table in {**FIELDS, Type.PROBE: PROBE_FIELDS, Type.LEARN: learn}.items():
        for name, (values, judge) in table.items():
            for value in values:
                payload = packed(kind, name, value)
                yield Row(f"{kind.name}: {name} = {value!r}", kind, payload, judge(value), NEEDS.get(kind, ()))
