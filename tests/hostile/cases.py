"""What a hostile board does: each answer hurt in each way, each field of it at its boundaries, and lines gone mad.

What leaves the host no way of telling (another cost that could have been measured, another description that could be a
board's) is no case: the board's word is all there is.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from mgdhw_drivers.protocol import frames
from mgdhw_drivers.protocol.description import Head
from mgdhw_drivers.protocol.frames import Frame
from mgdhw_drivers.protocol.messages import (
    Chunk,
    ErrorPayload,
    Identity,
    LearnResult,
    Pong,
    Snapshot,
    Statistics,
    Stored,
)
from mgdhw_drivers.protocol.numbers import ANSWER, Type
from tests.helpers.chips import REFERENCE_CHIP

Change = Callable[[Frame], list[bytes]]
"""What is sent in the place of a good answer: pieces, between which there is a moment."""

FORGETFUL = "sim:rram?layers=2-3-1&engine=reference"
"""A chip whose cells remember, and have to be snapshot and restored."""


@dataclass(frozen=True)
class Case:
    """One way of misbehaving.

    Args:
        name: what is done to what.
        answer: the type of request whose answer it is done to; None: to the line.
        change: what is sent instead of an answer.
        line: what the line does from the first request of type `answer` on; "" if it does as lines do.
        level: of delegation at which it is tried.
        chip: what the board is otherwise.
        description: what is done to area DESCRIPTION.
        how: tcp or pty.
    """

    name: str
    answer: Type | None = None
    change: Change | None = None
    line: str = ""
    level: str = "learn"
    chip: str = REFERENCE_CHIP
    description: Callable[[bytes], bytes] | None = field(default=None)
    how: str = "tcp"


LEVELS = {Type.PROBE: "device-codes", Type.MEASURE: "host-codes"}
CHIPS = {Type.SNAPSHOT: FORGETFUL, Type.RESTORE: FORGETFUL}


def _case(name: str, answer: Type, change: Change, **more: Any) -> Case:
    level, chip = LEVELS.get(answer, "learn"), CHIPS.get(answer, REFERENCE_CHIP)
    return Case(f"{answer.name}: {name}", answer, change, level=level, chip=chip, **more)


# --- whole answers ---------------------------------------------------------------------------------------------------


def _encoded(frame: Frame, payload: bytes) -> list[bytes]:
    return [frames.encode(frame._replace(payload=payload))]


def _error(code: int, value: int, frame: Frame) -> list[bytes]:
    trouble = struct.pack("<HHi", code, 0, value) + b"\x1b]0;evil\x07no"
    return [frames.encode(Frame(Type.ERROR, frame.sequence, trouble))]


def _fault(times: int, frame: Frame) -> list[bytes]:
    trouble = struct.pack("<HHi", 7, 0, 1) + "überlast".encode()
    return [frames.encode(Frame(Type.FAULT, 0, trouble)) * times + frames.encode(frame)]


def _flipped(frame: Frame) -> list[bytes]:
    good = bytearray(frames.encode(frame))
    good[len(good) // 2] ^= 0x41 if good[len(good) // 2] != 0x41 else 0x42
    return [bytes(good)]


WHOLE: dict[str, Change] = {
    "without its last byte": lambda frame: _encoded(frame, frame.payload[:-1]),
    "half of it": lambda frame: _encoded(frame, frame.payload[: len(frame.payload) // 2]),
    "empty": lambda frame: _encoded(frame, b""),
    "a byte more": lambda frame: _encoded(frame, frame.payload + b"\1"),
    "a thousand bytes more": lambda frame: _encoded(frame, frame.payload + bytes(1000)),
    "more bytes than the host takes": lambda frame: _encoded(frame, frame.payload + bytes(60_000)),
    "all ones": lambda frame: _encoded(frame, b"\xff" * max(4, len(frame.payload))),
    "another sequence": lambda frame: [frames.encode(frame._replace(sequence=frame.sequence ^ 1))],
    "sequence 0": lambda frame: [frames.encode(frame._replace(sequence=0))],
    "another type": lambda frame: [frames.encode(frame._replace(type=frame.type ^ 1))],
    "as a request": lambda frame: [frames.encode(frame._replace(type=frame.type & ~ANSWER))],
    "another version": lambda frame: [frames.encode(frame._replace(version=9))],
    "a wrong checksum": _flipped,
    "never": lambda frame: [],
    "twice": lambda frame: [frames.encode(frame) * 2],
    "a thousand times": lambda frame: [frames.encode(frame) * 1000],
    "without its end": lambda frame: [frames.encode(frame)[:-1]],
    "in two pieces": lambda frame: [frames.encode(frame)[:5], frames.encode(frame)[5:]],
    "byte by byte": lambda frame: [bytes([byte]) for byte in frames.encode(frame)],
    "after noise": lambda frame: [bytes(range(256)) * 20 + b"\0" + frames.encode(frame)],
    "after a fault": partial(_fault, 1),
    "after a storm of faults": partial(_fault, 2000),
    **{f"refused with {code}": partial(_error, code, -1) for code in (0, 1, 2, 3, 4, 5, 6, 7, 8, 999)},
    "refused for parameter 2^31 - 1": partial(_error, 4, (1 << 31) - 1),
}
ANSWERED = [kind for kind in Type if kind < ANSWER]


def _whole() -> Iterator[Case]:
    for kind in ANSWERED:
        for name, change in WHOLE.items():
            yield _case(name, kind, change)


# --- single fields ---------------------------------------------------------------------------------------------------

NAN, INF = float("nan"), float("inf")
BOUNDARIES: dict[str, tuple[Any, ...]] = {
    "B": (0, 1, 2, 127, 255),
    "H": (0, 1, 255, 256, 65535),
    "I": (0, 1, 1 << 31, (1 << 32) - 1),
    "Q": (0, 1, 143_000_000, 1 << 63, (1 << 64) - 1),
    "i": (0, -1, 8, (1 << 31) - 1, -(1 << 31)),
    "d": (NAN, INF, -INF, -1.0, 1e300),
    "s": (b"\xff" * 8, b"\0" * 7 + b"\x7f"),
}
LAYOUTS: dict[Type, Any] = {
    Type.IDENTIFY: Identity,
    Type.PING: Pong,
    Type.STATISTICS: Statistics,
    Type.READ: Chunk,
    Type.SET: Stored,
    Type.LEARN: LearnResult,
    Type.SNAPSHOT: Snapshot,
}


def codes_of(form: struct.Struct) -> list[str]:
    """Struct codes of the items of a layout."""
    codes: list[str] = []
    count = ""
    for letter in form.format[1:]:
        if letter.isdigit():
            count += letter
            continue
        if letter == "s":
            codes.append("s")
        elif letter != "x":
            codes += [letter] * int(count or 1)
        count = ""
    return codes


def names_of(layout: Any) -> list[str]:
    """Names of the items of a layout: those of a tuple have numbers."""
    names: list[str] = []
    for name in layout.__match_args__:
        count = layout.tuples.get(name)
        names += [name] if count is None else [f"{name}[{i}]" for i in range(count)]
    return names


def with_item(form: struct.Struct, number: int, value: Any, payload: bytes) -> bytes:
    """The payload with one item replaced."""
    items = list(form.unpack_from(payload))
    items[number] = value
    return form.pack(*items) + payload[form.size :]


def _field(form: struct.Struct, number: int, value: Any, frame: Frame) -> list[bytes]:
    if len(frame.payload) < form.size:
        return [frames.encode(frame)]
    return _encoded(frame, with_item(form, number, value, frame.payload))


def _fields() -> Iterator[Case]:
    for kind, layout in LAYOUTS.items():
        for number, (name, code) in enumerate(zip(names_of(layout), codes_of(layout.form), strict=True)):
            for value in BOUNDARIES[code]:
                yield _case(f"{name} = {value}", kind, partial(_field, layout.form, number, value))
    for name, number, limits in (("code", 0, "H"), ("value", 1, "i")):
        for value in BOUNDARIES[limits]:
            for kind in (Type.SET, Type.LEARN):
                yield _case(f"refused, {name} = {value}", kind, partial(_refused, number, value))


def _refused(number: int, value: Any, frame: Frame) -> list[bytes]:
    trouble = with_item(ErrorPayload.form, number, value, ErrorPayload(4, 3).pack())
    return [frames.encode(Frame(Type.ERROR, frame.sequence, trouble))]


# --- values ----------------------------------------------------------------------------------------------------------

VALUES = struct.Struct("<IHBB")


def _value_field(number: int, value: int, frame: Frame) -> list[bytes]:
    return _encoded(frame, with_item(VALUES, number, value, frame.payload))


def _more_values(frame: Frame) -> list[bytes]:
    first, count, kind, _ = VALUES.unpack_from(frame.payload)
    more = frame.payload[VALUES.size :]
    return _encoded(frame, VALUES.pack(first, 2 * count, kind, 1) + more + more)


def _fewer_values(frame: Frame) -> list[bytes]:
    first, count, kind, _ = VALUES.unpack_from(frame.payload)
    size = (len(frame.payload) - VALUES.size) // count
    return _encoded(frame, VALUES.pack(first, 1, kind, 1) + frame.payload[VALUES.size :][:size])


def _endless_values(last: bool, frame: Frame) -> list[bytes]:
    _, count, kind, _ = VALUES.unpack_from(frame.payload)
    parts = [
        frames.encode(frame._replace(payload=VALUES.pack(n * count, count, kind, 0) + frame.payload[VALUES.size :]))
        for n in range(3000)
    ]
    return [b"".join(parts) + (frames.encode(frame) if last else b"")]


def _of_kind(form: str, value: float, frame: Frame) -> list[bytes]:
    kind = {"d": 3, "q": 2, "H": 0}[form]
    first, count, _, last = VALUES.unpack_from(frame.payload)
    return _encoded(frame, VALUES.pack(first, count, kind, last) + struct.pack(f"<{count}{form}", *[value] * count))


def _values() -> Iterator[Case]:
    for kind in (Type.PROBE, Type.MEASURE, Type.INFER):
        for number, (name, code) in enumerate(zip(("first", "count", "kind", "last"), "IHBB", strict=True)):
            for value in (*BOUNDARIES[code], *((3, 4, 5, 6) if name == "kind" else ())):
                yield _case(f"{name} = {value}", kind, partial(_value_field, number, value))
        yield _case("twice as many values", kind, _more_values)
        yield _case("a single value", kind, _fewer_values)
        yield _case("values beyond those asked for", kind, partial(_endless_values, False))
        yield _case("values beyond those asked for, then the right ones", kind, partial(_endless_values, True))
        if kind != Type.INFER:  # outputs decide no bit
            for form, value in (("d", NAN), ("d", INF), ("d", 7.5), ("q", -1), ("q", 1 << 62), ("H", 65535)):
                yield _case(f"values are {value} ({form})", kind, partial(_of_kind, form, value))


# --- descriptions ----------------------------------------------------------------------------------------------------

ABSURD: dict[str, tuple[Any, ...]] = {
    "capabilities": (0, 1 << 31, (1 << 32) - 1),
    "features": (0, 1),
    "n_parameters": (0, 1, 12, 14, 1 << 31, (1 << 32) - 1),
    "n_inputs": (0, 1, 3, 1 << 31, (1 << 32) - 1),
    "n_outputs": (0, 2, 1 << 31, (1 << 32) - 1),
    "n_sizes": (0, 1, 2, 4, (1 << 32) - 1),
    "theta_min": (NAN, INF, -INF, 1e300, -1e300),
    "theta_max": (NAN, INF, -INF, 1e300, -1e300),
    "theta_lsb": (NAN, INF, -INF, 0.0, -0.0, -1.0, 1e-300),
    "cost_lsb": (NAN, INF, -INF, 0.0, -1.0),
    "output_lsb": (NAN, INF, -INF, 0.0, -1.0),
    "max_slew": (NAN, INF, -INF, -1.0),
    "max_stress": (NAN, INF, -INF, -1.0),
    "input_low": (256, (1 << 31) - 1, -(1 << 31), -1),
    "input_high": (0, -1, (1 << 31) - 1, -(1 << 31)),
    "input_fraction": (127, -128),
    "input_kind": (1, 2, 4, 255),
    "parameter_kind": (1, 2, 255),
    "cost_kind": (2, 255),
    "float_costs": (2, 255),
    "per_parameter": (1, 2, 255),
    "model_size": (0, 65535),
    "identity_size": (0, 65535),
    "details_size": (0, 1 << 31, (1 << 32) - 1),
}
NEEDED_AREAS = (1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12)


def _texts() -> dict[str, Callable[[bytes], bytes]]:
    def text(name: str, content: bytes, whole: bytes) -> bytes:
        head = Head.parse(whole)
        sizes = Head.form.size + 4 * head.n_sizes
        parts = {"model": head.model_size, "identity": head.identity_size, "details": head.details_size}
        at, texts = sizes, {}
        for part, size in parts.items():
            texts[part] = whole[at : at + size]
            at += size
        texts[name] = content
        numbers = {f"{part}_size": names_of(Head).index(f"{part}_size") for part in parts}
        changed = whole[:sizes]
        for part in parts:
            changed = with_item(Head.form, numbers[f"{part}_size"], len(texts[part]), changed)
        return changed + b"".join(texts.values())

    return {
        "a model that is no UTF-8": partial(text, "model", b"\xff\xfe"),
        "an identity that is no UTF-8": partial(text, "identity", b"\xc0\x80"),
        "details that are no JSON": partial(text, "details", b"{"),
        "details that are a list": partial(text, "details", b"[1]"),
        "details nested too deeply": partial(text, "details", b"[" * 100_000),
        "details with a timing that is none": partial(text, "details", b'{"timing": {"probe_seconds": -1}}'),
        "a model of control characters": partial(text, "model", b"\x1b]0;evil\x07\x1b[2J[red]x"),
        "an endless model": partial(text, "model", b"m" * 60_000),
    }


def _descriptions() -> Iterator[Case]:
    names = names_of(Head)
    for name, values in ABSURD.items():
        for value in values:
            change = partial(with_item, Head.form, names.index(name), value)
            yield Case(f"description: {name} = {value}", description=change)
    for area in NEEDED_AREAS:
        for value in (0, 1):
            change = partial(with_item, Head.form, names.index(f"area_sizes[{area}]"), value)
            yield Case(f"description: area {area} has {value} bytes", description=change)
    for name, change in _texts().items():
        yield Case(f"description: {name}", description=change)


def redescribed(identity: bytes, description: bytes) -> bytes:
    """An answer to IDENTIFY that speaks of another description."""
    names = names_of(Identity)
    sized = with_item(Identity.form, names.index("description_size"), len(description), identity)
    return with_item(Identity.form, names.index("description_crc"), zlib.crc32(description), sized)


# --- lines -----------------------------------------------------------------------------------------------------------

LINES = (
    "silent",
    "echo",
    "text, slowly",
    "text, fast",
    "zeros",
    "ones",
    "noise",
    "tiny frames",
    "frames that answer nothing",
    "faults",
    "pings, done stays",
    "pings, done grows",
    "pings, nothing runs",
    "values without an end",
    "the same values again and again",
    "closed",
    "closed in the middle of a frame",
)
MOMENTS = (Type.IDENTIFY, Type.READ, Type.WRITE, Type.SET, Type.PROBE, Type.LEARN, Type.SAFE)


def _lines() -> Iterator[Case]:
    for line in LINES:
        for kind in MOMENTS:
            yield Case(f"line, from {kind.name}: {line}", kind, line=line, level=LEVELS.get(kind, "learn"))
        for kind in (Type.IDENTIFY, Type.LEARN):
            yield Case(f"terminal, from {kind.name}: {line}", kind, line=line, how="pty")


CASES = {case.name: case for make in (_whole, _fields, _values, _descriptions, _lines) for case in make()}
