"""A whole board of the C core in this process, with a clock that the test winds and a recorder for its hardware."""

from __future__ import annotations

import ctypes as c
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from mgdhw_drivers.protocol.connection import Answer, HostConnection
from mgdhw_drivers.protocol.numbers import Type
from mgdhw_sim.spec import ChipSpec

from .core import Core
from .structures import Arena, Hardware, spec_of

BOARD_BYTES = 1 << 16
"""More than the board's structure."""
MEMORY = 1 << 20
DETACHED = -1
LOOK_US = 20
"""How far the clock goes on with each look at it."""
TURNS = 20_000
"""Turns after which an answer will never come."""


class LimitsC(c.Structure):
    _fields_ = (("max_slew", c.c_double), ("max_stress", c.c_double), ("slew_interval_us", c.c_uint32))


class ConfigC(c.Structure):
    _fields_ = (
        *(
            (name, c.c_uint32)
            for name in ("max_payload", "window", "samples_room", "etas_room", "most_samples", "boot")
        ),
        ("learns", c.c_int32),
        ("crashed", c.c_int32),
        ("limits", LimitsC),
        ("model", c.c_char_p),
    )


class HalC(c.Structure):
    _fields_ = (
        ("self", c.c_void_p),
        ("read", c.CFUNCTYPE(c.c_int32, c.c_void_p, c.c_void_p, c.c_uint32)),
        ("write", c.CFUNCTYPE(None, c.c_void_p, c.POINTER(c.c_uint8), c.c_uint32)),
        ("microseconds", c.CFUNCTYPE(c.c_uint64, c.c_void_p)),
        ("watchdog", c.CFUNCTYPE(None, c.c_void_p)),
    )


class Move(NamedTuple):
    """What a converter was told, and when (µs)."""

    time: int
    parameter: int
    code: int


@dataclass
class Recorder:
    """Converters that write down what they are told. Outputs follow from inputs and parameters, whatever they are."""

    clock: Callable[[], int]
    codes: np.ndarray
    outputs: int
    moves: list[Move] = field(default_factory=list)
    largest: int = 0
    """Largest change of a parameter at once, since the start; where it stood before that is nobody's doing."""
    soonest: int | None = None
    """Least time between two changes of a parameter."""
    inputs: int = 0
    _last: dict[int, Move] = field(default_factory=dict)

    def set_parameter(self, _: int | None, i: int, code: int) -> None:
        move = Move(self.clock(), i, code)
        before = self._last.get(i)
        if before is not None:
            waited = move.time - before.time
            self.largest = max(self.largest, abs(code - before.code))
            self.soonest = waited if self.soonest is None else min(self.soonest, waited)
        self._last[i] = move
        self.codes[i] = code
        self.moves.append(move)

    def apply_input(self, _: int | None, i: int, code: int) -> None:
        self.inputs = (self.inputs * 31 + code + i) % 251

    def trigger(self, _: int | None) -> None:
        """The outputs follow at once."""

    def read_output(self, _: int | None, j: int) -> int:
        return (int(self.codes.sum()) * (j + 3) + self.inputs) % self.outputs

    def hardware(self) -> Hardware:
        methods: list[Callable[..., object]] = [self.set_parameter, self.apply_input, self.trigger, self.read_output]
        kinds = [kind for name, kind in Hardware._fields_ if name != "self"]
        return Hardware(None, *(kind(method) for kind, method in zip(kinds, methods, strict=True)))


class InProcess:
    """A board.

    Args:
        core: the library.
        spec: its chip.
        slew, stress, interval_us: limits.
        recorded: whether the chip is a recorder's rather than simulated.
    """

    def __init__(
        self,
        core: Core,
        spec: ChipSpec,
        *,
        slew: float = 0.0,
        stress: float = 0.0,
        interval_us: int = 0,
        recorded: bool = False,
    ) -> None:
        self.core, self.now, self.attached = core, 0, True
        self._turn_us = interval_us // 8
        self.recorder = Recorder(
            lambda: self.now, np.full(spec.topology.n_parameters, 99, dtype=np.int64), 1 << spec.output_bits
        )
        self.sent = bytearray()
        self.connection = HostConnection(1000)
        self._memory = (c.c_uint64 * (MEMORY // 8))()
        self._board = (c.c_uint64 * (BOARD_BYTES // 8))()
        arena = Arena(c.addressof(self._memory), MEMORY, 0)
        limits = LimitsC(slew, stress, interval_us)
        config = ConfigC(4096, 16, 4096, 64, 32, 5, 1, 0, limits, b"in process")
        kinds = dict(HalC._fields_)
        methods = (self._read, self._write, self._microseconds, self._watchdog)
        names = ("read", "write", "microseconds", "watchdog")
        self._hal = HalC(None, *(kinds[name](method) for name, method in zip(names, methods, strict=True)))
        self._hardware = self.recorder.hardware() if recorded else None
        status = core.lib.mg_board_init(
            self._board,
            c.byref(config),
            c.byref(spec_of(spec)),
            c.byref(self._hardware) if self._hardware else None,
            c.byref(self._hal),
            c.byref(arena),
        )
        assert status == 0, status
        self.connection.window = 1 << 30
        self.connection.connect()
        self.connection.verified(1 << 30)

    # --- what the board asks of its port ------------------------------------------------------------------------

    def _read(self, _: int | None, to: int, room: int) -> int:
        return 0 if self.attached else DETACHED

    def _write(self, _: int | None, data: c.Array[c.c_uint8], count: int) -> None:
        self.sent += c.string_at(data, count)

    def _microseconds(self, _: int | None) -> int:
        self.now += LOOK_US
        return self.now

    def _watchdog(self, _: int | None) -> None:
        self.now += 5

    # --- the host -----------------------------------------------------------------------------------------------

    def poll(self) -> bool:
        """One turn; whether the board has more to do."""
        return bool(self.core.lib.mg_board_poll(self._board))

    def receive(self, data: bytes) -> None:
        """Bytes from the line."""
        self.core.lib.mg_board_receive(self._board, data, len(data))

    def answers(self) -> list[Answer]:
        """What has come since the last time."""
        found = self.connection.receive(bytes(self.sent))
        self.sent.clear()
        return found

    def send(self, kind: int, payload: bytes = b"") -> int:
        """A request; its sequence."""
        sequence, data = self.connection.send(Type(kind), payload)
        self.receive(data)
        return sequence

    def until_answered(self, sequence: int) -> list[Answer]:
        """Turns until a request has its last answer; everything that was answered to it."""
        found: list[Answer] = []
        for _ in range(TURNS):
            found += [answer for answer in self.answers() if answer.sequence == sequence]
            if found and _is_last(found[-1]):
                return found
            self.poll()
            self.now += self._turn_us
        raise AssertionError("no answer")

    def ask(self, kind: int, payload: bytes = b"") -> Answer:
        """A request and the last frame of its answer."""
        return self.until_answered(self.send(kind, payload))[-1]

    def rest(self) -> None:
        """Turns until nothing is left to do."""
        for _ in range(TURNS):
            if not self.poll():
                return
            self.now += self._turn_us
        raise AssertionError("it never comes to rest")

    def fault(self, code: int) -> None:
        """The hardware reports an error."""
        self.core.lib.mg_board_fault(self._board, code, b"broken")


def _is_last(answer: Answer) -> bool:
    return answer.type not in (Type.INFER | 0x80, Type.PROBE | 0x80) or bool(answer.payload[7])
