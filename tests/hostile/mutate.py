"""Requests that make sense but for some of their fields: what a fuzzer sends to a board, with valid checksums.

Pure: the same seed and target give the same requests. Checksums of what a request depends on are mostly right, so that
what is wrong elsewhere is not hidden behind a MISMATCH.
"""

from __future__ import annotations

import math
import random
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any

from mgdhw_drivers.protocol.layout import Layout
from mgdhw_drivers.protocol.messages import Chunk, Identify, Infer, Learn, Load, Measure, Probe, Read, Set, Snapshot
from mgdhw_drivers.protocol.numbers import OPTIMIZERS, Area, LearnFlag, Type
from mgdhw_drivers.protocol.segments import areas_in_use

Request = tuple[int, bytes]

SESSION_REQUESTS = 60
"""Requests of one session, about: then the board is told everything anew."""

_UPSETTING = (Type.IDENTIFY, Type.SAFE, Type.SET, Type.LEARN, Type.RESTORE)
"""After these the parameters may be others than those that were set."""
_FLOATS = (
    0.0, -0.0, 1.0, -1.0, 0.5, 1e-300, 5e-324, 1e300, -1e300, 1.7976931348623157e308, math.inf, -math.inf, math.nan,
    2.0**-15, 2.0**63, 2.0**64, 1.0000000000000002, 0.9999999999999999,
)  # fmt: skip


def boundaries(code: str) -> tuple[Any, ...]:
    """Values of a struct item that programs are likely to mistake."""
    if code == "d":
        return _FLOATS
    if code.endswith("s"):
        size = int(code[:-1])
        ends = b"\xff" * (size - 1)
        return bytes(size), b"\xff" + ends, ends + b"\x7f", bytes(size - 1) + b"\x80", bytes(size - 2) + b"\xf8\x7f"
    bits = 8 * struct.calcsize(code)
    some = {0, 1, 2, 3, 4, 5, 6, 7, 8, 15, 16, 17, 31, 100, 255, 256, 1000, 32767, 32768, 65535, 65536, 65537}
    for power in (bits - 2, bits - 1, bits):
        some |= {(1 << power) + off for off in (-1000, -8, -2, -1, 0, 1)}
    return tuple(sorted(value for value in some if 0 <= value < 1 << bits))


def _items(form: struct.Struct) -> list[str]:
    found = []
    for count, code in re.findall(r"(\d*)([a-zA-Z])", form.format):
        if code == "x":
            continue
        found += [count + code] if code == "s" else [code] * int(count or 1)
    return found


@dataclass
class Target:
    """A board, as far as requests depend on it.

    Args:
        n_parameters, n_inputs, n_outputs: of its chip.
        parameter_bytes: 2 for codes, 8 for values.
        input_kind, input_bytes, target_bytes: of its dataset.
        cells: what it puts into CELLS at first; empty if nothing.
        n_samples: of the dataset that it is sent.
    """

    n_parameters: int
    n_inputs: int
    n_outputs: int
    parameter_bytes: int = 2
    input_kind: int = 0
    input_bytes: int = 1
    target_bytes: int = 2
    cells: bytes = b""
    n_samples: int = 7


@dataclass
class _Areas:
    """What has been written, so that checksums can be right."""

    content: dict[Area, bytearray] = field(default_factory=dict)

    def put(self, area: Area, offset: int, content: bytes) -> None:
        held = self.content.setdefault(area, bytearray())
        if offset + len(content) <= 1 << 16:
            held.extend(bytes(max(0, offset + len(content) - len(held))))
            held[offset : offset + len(content)] = content

    def first(self, area: Area, size: int) -> bytes:
        held = bytes(self.content.get(area, b"")[:size])
        return held + bytes(size - len(held))


class Mutator:
    """Makes requests for a board, session after session.

    Args:
        seed: of everything.
        target: the board.
    """

    def __init__(self, seed: int, target: Target) -> None:
        self._random = random.Random(seed)
        self._target = target
        self._areas = _Areas()
        self._load_crc = self._theta_crc = self._ticket = 0
        self._session_number = 1

    def requests(self) -> Iterator[Request]:
        """Requests without end."""
        while True:
            yield from self._session()

    def _session(self) -> Iterator[Request]:
        chance = self._random.random
        self._areas = _Areas()
        self._theta_crc = 0
        self._session_number = self._random.randrange(1, 4)
        yield self._identify()
        yield from self._dataset()
        yield from self._parameters()
        kind = 0
        for _ in range(self._random.randrange(2 * SESSION_REQUESTS)):
            if kind in _UPSETTING and chance() < 0.5:
                yield self._identify()
                yield from self._parameters()
            wild = chance()
            if wild < 0.02:
                kind = self._random.choice((Type.SAFE, Type.PING, Type.STATISTICS, Type.SNAPSHOT))
                yield kind, b""
            elif wild < 0.04:
                yield from self._dataset()
            elif wild < 0.08:
                yield from self._parameters()
            elif wild < 0.16:
                yield self._write()
            elif wild < 0.18:
                yield self._random.randrange(256), self._random.randbytes(self._random.randrange(300))
            else:
                for kind, message in self._sensible():
                    yield self._mutated(kind, message) if chance() < 0.75 else (kind, message.pack())

    def _identify(self) -> Request:
        return Type.IDENTIFY, Identify(self._session_number, 0, 0x4000, 1).pack()

    # --- what makes sense ----------------------------------------------------------------------------------------

    def _dataset(self) -> Iterator[Request]:
        target, n = self._target, self._target.n_samples
        high = {1: 255, 2: 127, 8: 1}[target.input_bytes]
        numbers = [self._random.randrange(high + 1) for _ in range(n * target.n_inputs)]
        form = {1: "B", 2: "h", 8: "d"}[target.input_bytes]
        inputs = struct.pack(f"<{len(numbers)}{form}", *numbers)
        wanted = [self._random.randrange(2) for _ in range(n * target.n_outputs)]
        if target.target_bytes == 2:
            targets = struct.pack(f"<{len(wanted)}h", *(4096 * value for value in wanted))
        else:
            targets = struct.pack(f"<{len(wanted)}d", *map(float, wanted))
        for area, content in ((Area.INPUTS, inputs), (Area.TARGETS, targets)):
            self._areas.put(area, 0, content)
            yield Type.WRITE, Chunk(area, 0).pack() + content
        yield Type.LOAD, self._load().pack()

    def _load(self) -> Load:
        target = self._target
        load = Load(target.n_samples, target.n_samples - 1, 1.0, target.input_kind, 0)
        inputs = self._areas.first(Area.INPUTS, target.n_samples * target.n_inputs * target.input_bytes)
        targets = self._areas.first(Area.TARGETS, target.n_samples * target.n_outputs * target.target_bytes)
        self._load_crc = zlib.crc32(load.pack()[:-4], zlib.crc32(targets, zlib.crc32(inputs)))
        return replace(load, crc=self._load_crc)

    def _parameters(self) -> Iterator[Request]:
        p, size = self._target.n_parameters, self._target.parameter_bytes
        if size == 2:
            content = struct.pack(f"<{p}h", *(self._random.randrange(-50, 50) for _ in range(p)))
        else:
            content = struct.pack(f"<{p}d", *(self._random.randrange(-50, 50) / 128 for _ in range(p)))
        self._areas.put(Area.REQUESTED, 0, content)
        yield Type.WRITE, Chunk(Area.REQUESTED, 0).pack() + content
        self._theta_crc = zlib.crc32(content)
        yield Type.SET, Set(self._random.randrange(1000), self._theta_crc).pack()

    def _sensible(self) -> list[tuple[int, Layout | _Pair | _Raw]]:
        """A request, and what has to be written before it."""
        kind = self._random.choice(
            (Type.PROBE,) * 6 + (Type.LEARN,) * 6 + (Type.MEASURE, Type.INFER, Type.LOAD, Type.SET, Type.READ)
            + (Type.IDENTIFY, Type.RESTORE)
        )  # fmt: skip
        count = self._random.randrange(1, 8)
        samples_crc = zlib.crc32(self._areas.first(Area.SAMPLES, 4 * count))
        match kind:
            case Type.PROBE:
                return [(kind, self._probe(self._theta_crc))]
            case Type.LEARN:
                learn, used = self._learn()
                p = self._target.n_parameters
                state = [_Raw(Chunk(area, 0).pack() + self._areas.first(area, 8 * p)) for area in used]
                writes = [(Type.WRITE, write) for write in state] if self._random.random() < 0.5 else []
                return [*writes, (kind, _Pair(self._probe(0), learn))]
            case Type.MEASURE:
                part = self._random.randrange(3)
                return [(kind, Measure(5, part, count, samples_crc, self._theta_crc, self._load_crc))]
            case Type.INFER:
                return [(kind, Infer(5, count, samples_crc, self._theta_crc, self._load_crc))]
            case Type.LOAD:
                return [(kind, self._load())]
            case Type.SET:
                size = self._target.n_parameters * self._target.parameter_bytes
                return [(kind, Set(7, zlib.crc32(self._areas.first(Area.REQUESTED, size))))]
            case Type.READ:
                return [(kind, Read(self._random.randrange(16), 0, 8))]
            case Type.IDENTIFY:
                return [(kind, Identify(self._session_number, 0, 0x4000, self._random.randrange(2)))]
            case _:
                cells = bytearray(self._target.cells)
                for _ in range(self._random.choice((0, 0, 1, 3)) if cells else 0):
                    cells[self._random.randrange(len(cells))] = self._random.choice((0, 1, 127, 128, 255))
                self._areas.put(Area.CELLS, 0, bytes(cells))
                write = _Raw(Chunk(Area.CELLS, 0).pack() + bytes(cells))
                return [(Type.WRITE, write), (kind, Snapshot(len(cells), zlib.crc32(cells)))]

    def _probe(self, theta_crc: int) -> Probe:
        draw = self._random.randrange
        return Probe(
            first_step=draw(50), code_seed=draw(1 << 64), order_seed=draw(1 << 64), code_parameter=0.25,
            held_value=struct.pack("<q", draw(100)), held_step=draw(50), n_probes=draw(1, 9),
            order_n=self._target.n_samples, batch=self._random.choice((1, 1, 1, 4)), tau_x=draw(1, 4),
            theta_crc=theta_crc, dataset_crc=self._load_crc, amplitude=draw(1, 4), family=draw(6),
            groups=draw(2), baseline=draw(4), flags=draw(2),
        )  # fmt: skip

    def _learn(self) -> tuple[Learn, list[Area]]:
        draw = self._random.randrange
        optimizer, flags = draw(6), draw(64)
        used = areas_in_use(OPTIMIZERS[optimizer], LearnFlag(flags))
        crc = 0
        for area in used:
            crc = zlib.crc32(self._areas.first(area, 8 * self._target.n_parameters), crc)
        rates = draw(3) and draw(20)
        learn = Learn(
            update=draw(50), rounding_seed=draw(1 << 64), eta=0.1, scale=0.01, low=-0.9, high=0.9, tau_hp=10.0,
            constants=(0.9, 0.99, 1e-8, 1.0, 0.01), scalars=(0.9, 0.99), analog_cost=0.5, high_passed=0.25,
            ticket=self._ticket_next(), state_crc=crc, update_period=draw(1, 9), tau_theta=draw(1, 30),
            eta_count=rates, eta_crc=zlib.crc32(self._areas.first(Area.ETA, 8 * rates)), optimizer=optimizer,
            flags=flags, guard_crc=0,
        )  # fmt: skip
        return learn, used

    def _ticket_next(self) -> int:
        self._ticket = self._ticket % 1000 + self._random.choice((0, 1, 1, 1)) or 1
        return self._ticket

    # --- what does not -------------------------------------------------------------------------------------------

    def _write(self) -> Request:
        """Numbers into an area: good ones, or such as no host would write."""
        draw, choose = self._random.randrange, self._random.choice
        area = choose((*Area, Area.ETA, Area.THETA, Area.SLOT1, Area.SLOT2, Area.ENERGY))
        count = draw(1, self._target.n_parameters + 2)
        if area == Area.SAMPLES:
            content = struct.pack(f"<{count}I", *(choose((0, 1, 2, 3, 4, 5, 6, 7, 1 << 31)) for _ in range(count)))
        elif area in (Area.ENERGY, Area.CROSS):
            content = struct.pack(f"<{count}q", *(choose((0, 1, 5, 9, -1, 1 << 62, -1 << 63)) for _ in range(count)))
        else:
            few = _FLOATS if draw(2) else (0.0, 0.25, 0.5, -0.5)
            content = struct.pack(f"<{count}d", *(choose(few) for _ in range(count)))
        offset = choose((0, 0, 0, 0, 8, 1, 1 << 20, (1 << 32) - 1))
        self._areas.put(area, offset, content)
        return Type.WRITE, Chunk(area, offset).pack() + content

    def _mutated(self, kind: int, message: Layout | _Pair | _Raw) -> Request:
        """A request of which some fields, or bytes, are others."""
        choose = self._random.choice
        if isinstance(message, _Raw):
            return kind, message.pack()
        for _ in range(choose((0, 1, 1, 1, 2, 3))):
            message = message.mutated(self) if isinstance(message, _Pair) else self.changed(message)
        payload = message.pack()
        wild = self._random.random()
        if wild < 0.05 and payload:
            raw = bytearray(payload)
            raw[self._random.randrange(len(raw))] = choose((0, 1, 127, 128, 255))
            payload = bytes(raw)
        elif wild < 0.07:
            payload = payload[: self._random.randrange(len(payload) + 1)]
        elif wild < 0.08:
            payload += self._random.randbytes(self._random.randrange(1, 9))
        return kind, payload

    def half(self) -> bool:
        """Heads or tails."""
        return self._random.random() < 0.5

    def changed(self, message: Any) -> Any:
        """A message of which one field is another, or one item of it."""
        names = [one.name for one in fields(message)]
        codes = _items(message.form)
        values: list[Any] = []
        for name in names:
            value = getattr(message, name)
            values += value if name in message.tuples else [value]
        at = self._random.randrange(len(values))
        values[at] = self._random.choice(boundaries(codes[at]))
        return type(message).parse(type(message).form.pack(*values))


@dataclass
class _Pair:
    """LEARN: two messages in one payload."""

    probe: Any
    learn: Any

    def pack(self) -> bytes:
        return bytes(self.probe.pack() + self.learn.pack())

    def mutated(self, mutator: Mutator) -> _Pair:
        """One of its halves changed."""
        if mutator.half():
            return _Pair(mutator.changed(self.probe), self.learn)
        return _Pair(self.probe, mutator.changed(self.learn))


@dataclass
class _Raw:
    """Bytes that stay as they are."""

    payload: bytes

    def pack(self) -> bytes:
        return self.payload
