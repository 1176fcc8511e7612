"""The table of hostile requests: every field of every message at its limits, in everything that a board may be doing.

Each row says what must be answered, whoever the board is. It is made of small lists: what a field of so many bits can
be, and which of these values its message allows (docs/link.md, "What a board refuses").
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from mgdhw_drivers.protocol.messages import Chunk, Infer, Measure, Probe
from mgdhw_drivers.protocol.numbers import OPTIMIZERS, Area, LearnFlag, MismatchedItem, Type
from mgdhw_drivers.protocol.segments import LearnRequest, areas_in_use

from .fields import F64, LONGEST, NEEDS, RAW, U8, U64, fields, is_finite
from .rows import BAD, FINE, LATE_BAD, LIMIT, UNKNOWN, Expect, Row, mismatch
from .world import (
    AREAS,
    DATASET_CRC,
    INPUTS,
    LEARN,
    PROBE,
    RATES,
    SAMPLES,
    SAMPLES_HELD,
    SHAPES,
    TARGETS,
    THETA_CRC,
    Holding,
    load,
)

Written = tuple[Area, bytes]


def lengths() -> Iterator[Row]:
    """Payloads of any length but the right one."""
    for kind, size in SHAPES.items():
        for length in {0, 1, size - 1, size + 1, 2 * size, 255, 256, LONGEST} - {size, -1}:
            yield Row(f"{kind.name} of {length} bytes", kind, bytes(length), BAD)
    for length in range(9):
        yield Row(f"WRITE of {length} bytes", Type.WRITE, b"\1" + bytes(length - 1) if length else b"", BAD)


def unknown() -> Iterator[Row]:
    """Types that no request has."""
    for kind in (0x00, 0x0F, 0x10, 0x55, 0x7F, 0x80, 0x81, 0x8B, 0xFE, 0xFF):
        for payload in (b"", bytes(12), bytes(LONGEST)):
            yield Row(f"type {kind:#x} of {len(payload)} bytes", kind, payload, UNKNOWN)


def writes() -> Iterator[Row]:
    """WRITE to any area, and beyond; what is there already, so that nothing changes but what is known of it."""
    content = {**AREAS, Area.INPUTS: INPUTS, Area.TARGETS: TARGETS}
    for number in (*range(18), 127, 128, 255):
        raw = content.get(Area(number)) if number in list(Area) else None
        for offset in (0, 1, 2**31 - 1, 2**31, 2**32 - 1):
            good = raw is not None and offset < 2
            payload = Chunk(number, offset).pack() + (raw[offset:] if raw is not None and good else b"\1")
            yield Row(f"WRITE to area {number} at {offset}", Type.WRITE, payload, FINE if good else BAD)
        if raw is not None and number not in (Area.SAMPLES, Area.ETA, Area.INPUTS, Area.TARGETS):  # of the chip's size
            for extra, expect in ((0, FINE), (1, BAD)):
                payload = Chunk(number, 1).pack() + raw[1:] + bytes(extra)
                yield Row(f"WRITE to area {number} up to {extra} beyond its end", Type.WRITE, payload, expect)


def loads() -> Iterator[Row]:
    """LOAD of datasets that are none."""
    wrong = mismatch(MismatchedItem.DATASET)
    counts = {(1, 1): FINE, (7, 1): FINE, (7, 7): FINE, (8, 8): wrong, (2**16, 1): wrong}
    counts |= dict.fromkeys(((0, 0), (0, 1), (7, 0), (7, 8), (7, 2**32 - 1), (1, 7)), BAD)
    counts |= dict.fromkeys(((2**31 - 1, 1), (2**31, 1), (2**32 - 1, 1), (2**32 - 1, 2**32 - 1)), BAD)
    for (n, n_train), expect in counts.items():
        yield Row(f"LOAD: {n} samples, {n_train} to train", Type.LOAD, load(n, n_train).pack(), expect)
    for kind in U8:
        yield Row(f"LOAD: kind {kind}", Type.LOAD, load(kind=kind).pack(), BAD if kind else FINE)
    for scale in F64:
        good = is_finite(scale) and scale > 0.0
        yield Row(f"LOAD: scale {scale}", Type.LOAD, load(scale=scale).pack(), FINE if good else BAD)
    for crc in (0, 1, 2**32 - 1):
        yield Row(f"LOAD: crc {crc}", Type.LOAD, replace(load(), crc=crc).pack(), wrong)


def together() -> Iterator[Row]:
    """Fields that are fine alone."""

    def probe(name: str, expect: Expect, **changes: Any) -> Row:
        return Row(f"PROBE: {name}", Type.PROBE, replace(PROBE, **changes).pack(), expect, NEEDS[Type.PROBE])

    for density in (*F64, 2.0**-15, 2.0**-16, math.nextafter(1.0, 2.0), 0.5):
        expect = FINE if 2.0**-15 <= density <= 1.0 else BAD
        yield probe(f"sparse, density {density}", expect, family=2, code_parameter=density)
    for step in U64:
        yield probe(f"held at {step}", FINE if step < 2**63 else BAD, flags=1, held_step=step)
    for value in RAW:
        yield probe(f"held {value.hex()}", FINE, flags=1, held_value=value)
    for step, expect in ((2**63 - 9, FINE), (2**63 - 8, BAD), (2**63 - 1, BAD), (2**64 - 8, BAD), (2**64 - 1, BAD)):
        yield probe(f"one sample, first_step {step}", expect, batch=1, first_step=step)
        yield probe(f"held long, first_step {step}", expect, batch=2**16, tau_x=2**20, first_step=step)
    for family in range(6):
        for baseline in range(4):
            yield probe(f"family {family}, baseline {baseline}", FINE, family=family, baseline=baseline, groups=1)
    samples = SAMPLES[: 4 * SAMPLES_HELD]
    crc = zlib.crc32(samples)
    for kind, payload in (
        (Type.MEASURE, Measure(0, 0, SAMPLES_HELD, crc, THETA_CRC, DATASET_CRC).pack()),
        (Type.INFER, Infer(5, SAMPLES_HELD, crc, THETA_CRC, DATASET_CRC).pack()),
    ):
        yield Row(f"{kind.name} of a sample beyond the dataset", kind, payload, LATE_BAD, NEEDS[kind])


def segments() -> Iterator[Row]:
    """LEARN with state that a host has written, and learning rates."""

    def learn(name: str, expect: Expect, *before: Written, probe: Probe = PROBE, **changes: Any) -> Row:
        payload = LearnRequest(probe, replace(LEARN, **changes)).pack()
        return Row(f"LEARN: {name}", Type.LEARN, payload, expect, NEEDS[Type.LEARN], before)

    wraps = replace(PROBE, first_step=2**64 - 5, n_probes=222)
    yield learn("learning rates of a step that wraps", BAD, probe=wraps, update_period=7, eta_count=20)
    for count, probes, expect in (
        (20, 8, FINE),
        (20, 80, FINE),
        (20, 84, BAD),
        (2, 8, FINE),
        (1, 8, BAD),
        (1, 4, FINE),
    ):
        crc = zlib.crc32(RATES[: 8 * count])
        row = replace(PROBE, n_probes=probes)
        yield learn(f"{count} rates for {probes} probes", expect, probe=row, eta_count=count, eta_crc=crc)
    for optimizer, used in SLOTS.items():
        continuous = LearnFlag.CONTINUOUS
        for flags in (LearnFlag.WINDOW_EMPTY, LearnFlag(0), continuous, continuous | LearnFlag.WEIGHTED):
            areas = areas_in_use(OPTIMIZERS[optimizer], flags)
            assert areas[1 : 1 + len(used)] == list(used)
            baseline = 3 if flags & LearnFlag.CONTINUOUS else 0
            for number in areas:
                for value, expect in state_values(number, optimizer, weighted=LearnFlag.WEIGHTED in flags):
                    raw = AREAS[number][:-8] + value
                    crc = zlib.crc32(b"".join(raw if area is number else AREAS[area] for area in areas))
                    name = f"optimizer {optimizer}, {flags!r}: {number.name} ends with {value.hex()}"
                    probe = replace(PROBE, baseline=baseline)
                    changes: dict[str, Any] = {"optimizer": optimizer, "flags": flags, "state_crc": crc}
                    yield learn(
                        name, expect, (number, raw), probe=probe, **changes, constants=(0.5, 0.5, 1e-8, 1.0, 0.0)
                    )
    for value in (math.nan, math.inf, -math.inf):
        raw = struct.pack("<2d", 0.01, value)
        yield learn(f"rate {value}", LATE_BAD, (Area.ETA, raw), eta_count=2, eta_crc=zlib.crc32(raw))


SLOTS: dict[int, tuple[Area, ...]] = {
    0: (),
    1: (Area.SLOT1,),
    2: (Area.SLOT1,),
    3: (Area.SLOT1,),
    4: (Area.SLOT1, Area.SLOT2),
    5: (Area.SLOT1, Area.SLOT2),
}


def state_values(area: Area, optimizer: int, *, weighted: bool) -> list[tuple[bytes, Expect]]:
    """What may be the last number of a state area, and what may not; ENERGY may hold weights of continuous mode."""
    if area in (Area.CROSS, Area.ENERGY) and not weighted:
        below = LATE_BAD if area is Area.ENERGY else FINE
        return [(struct.pack("<q", value), FINE if value >= 0 else below) for value in (0, 1, -1, 2**40, -(2**63))]
    none = [(struct.pack("<d", value), LATE_BAD) for value in (math.nan, math.inf, -math.inf)]
    if area is Area.THETA:
        return [*none, *((struct.pack("<d", value), LIMIT) for value in (4.1, -4.1, 1e308))]
    squares = area in (Area.SLOT2, Area.ENERGY) or (optimizer == 3 and area is Area.SLOT1)
    return [*none, (bytes(8), FINE), (struct.pack("<d", -1.0), LATE_BAD if squares else FINE)]


def rows() -> Iterator[Row]:
    """The whole table."""
    for holding in Holding:
        for part in (fields, lengths, unknown, writes, loads, together):
            for row in part():
                yield replace(row, holding=holding)
    for holding in (Holding.SET, Holding.LEARNT):
        for row in segments():
            yield replace(row, holding=holding)
