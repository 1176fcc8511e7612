"""Both ends of the link as state machines: bytes in, events out. No socket, no clock, no task."""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

from mgdhw.errors import LinkCorrupt, LinkLost
from mgdhw.report.console import printable
from mgdhw.report.text import readable
from mgdhw_drivers.protocol import frames
from mgdhw_drivers.protocol.frames import Frame, FrameReader
from mgdhw_drivers.protocol.messages import LONGEST_TEXT, ErrorPayload
from mgdhw_drivers.protocol.numbers import ANSWER, OPERATIONS, Code, Type

HOST_PAYLOAD = 1 << 14
"""Longest payload that a host on a computer takes."""


class HostState(Enum):
    """Where a host's end stands."""

    CLOSED = auto()
    """Not connected."""
    UNSURE = auto()
    """Connected, but what the board is and holds is not known (any more): it has to be identified."""
    READY = auto()
    """Nothing is awaited."""
    WAITING = auto()
    """Answers are awaited."""


class Answer(NamedTuple):
    """A board's answer to a request that was awaited; for `Type.ERROR`, `trouble` and `text` say what is wrong."""

    type: int
    sequence: int
    payload: bytes
    trouble: ErrorPayload | None = None
    text: str = ""


class HostConnection:
    """The host's end.

    Args:
        first_sequence: random, so that what an earlier connection left on the line answers nothing.
        max_payload: longest payload that is taken.
    """

    def __init__(self, first_sequence: int, max_payload: int = HOST_PAYLOAD) -> None:
        self.state = HostState.CLOSED
        self.max_payload = max_payload
        self.window = 1
        self.stray = 0
        """Frames that answered nothing that was awaited."""
        self.echoed = 0
        """Requests that came back, which only a line sends that echoes."""
        self.bad_frames = 0
        self.bad_crc = 0
        self._sequence = first_sequence
        self._awaited: dict[int, int] = {}
        self._reader = FrameReader(max_payload)

    @property
    def awaited(self) -> int:
        """Answers that are awaited."""
        return len(self._awaited)

    def outstanding(self) -> list[int]:
        """Sequence numbers of the requests that are awaited, in the order in which they were sent."""
        return list(self._awaited)

    def connect(self) -> bytes:
        """A new stream of bytes to a board. What to send first: it ends whatever the line was in the middle of."""
        self._count()
        self._reader = FrameReader(self.max_payload)
        self._awaited.clear()
        self.state = HostState.UNSURE
        return frames.END

    def disconnect(self) -> None:
        """The stream is gone."""
        self._awaited.clear()
        self.state = HostState.CLOSED

    def poison(self) -> None:
        """What was asked is given up; nothing but IDENTIFY may be sent until `verified`."""
        self._awaited.clear()
        if self.state is not HostState.CLOSED:
            self.state = HostState.UNSURE

    def verified(self, window: int) -> None:
        """The board was identified, and holds `window` frames."""
        self.window = max(1, window)
        self.state = HostState.WAITING if self._awaited else HostState.READY

    def give_up(self, sequence: int) -> None:
        """Await this answer no longer; it is dropped when it comes."""
        self._awaited.pop(sequence, None)
        if self.state is HostState.WAITING and not self._awaited:
            self.state = HostState.READY

    def send(self, kind: Type, payload: bytes = b"") -> tuple[int, bytes]:
        """Sequence number of a request, and the bytes to send.

        Raises:
            LinkLost: there is no stream, or the board must be identified first.
            LinkCorrupt: there are as many requests under way as the board can hold.
        """
        if self.state is HostState.CLOSED:
            raise LinkLost("the link is not connected")
        if self.state is HostState.UNSURE and kind not in (Type.IDENTIFY, Type.PING):
            raise LinkLost("the link is not in step with the board; identify it first")
        if len(self._awaited) >= self.window and kind is not Type.PING and self._requests() >= self.window:
            raise LinkCorrupt(f"{self.window} requests are under way, more than that the board cannot hold")
        sequence = self._next_sequence()
        self._awaited[sequence] = kind
        if self.state is HostState.READY:
            self.state = HostState.WAITING
        return sequence, frames.encode(Frame(kind, sequence, payload))

    def farewell(self) -> bytes:
        """SAFE, whatever was identified or is awaited, for a board that answers no more but may still listen."""
        return frames.encode(Frame(Type.SAFE, self._next_sequence()))

    def receive(self, data: bytes) -> list[Answer]:
        """Answers that end in `data`. Whatever comes, nothing is raised but DeviceFault's cause as an Answer.

        Raises:
            LinkCorrupt: the board speaks another version of the protocol.
        """
        answers: list[Answer] = []
        for frame in self._reader.feed(data):
            if frame.version != frames.VERSION:
                raise LinkCorrupt(f"the board speaks version {frame.version} of the link, not {frames.VERSION}")
            answer = self._answer(frame)
            if answer is not None:
                answers.append(answer)
            elif frame.type < ANSWER:
                self.echoed += 1
            else:
                self.stray += 1
        return answers

    def counts(self) -> dict[str, int]:
        """What went wrong on the way to here."""
        return {
            "stray": self.stray,
            "bad_frames": self.bad_frames + self._reader.bad_frames,
            "bad_crc": self.bad_crc + self._reader.bad_crc,
        }

    def _next_sequence(self) -> int:
        self._sequence = self._sequence % 0xFFFFFFFF + 1
        return self._sequence

    def _count(self) -> None:
        self.bad_frames += self._reader.bad_frames
        self.bad_crc += self._reader.bad_crc

    def _requests(self) -> int:
        return sum(kind != Type.PING for kind in self._awaited.values())

    def _answer(self, frame: Frame) -> Answer | None:
        if frame.type == Type.FAULT:
            return _troubled(frame)
        kind = self._awaited.get(frame.sequence)
        if kind is None:
            return None
        if frame.type == Type.ERROR:
            answer = _troubled(frame)
            if answer is None:
                return None
        elif frame.type == kind | ANSWER:
            answer = Answer(frame.type, frame.sequence, frame.payload)
            if kind in (Type.INFER, Type.PROBE):
                return answer  # one of many frames; whoever counts them gives it up
        else:
            return None
        self.give_up(frame.sequence)
        return answer


def _troubled(frame: Frame) -> Answer | None:
    if len(frame.payload) < ErrorPayload.form.size:
        return None
    text = printable(frame.payload[ErrorPayload.form.size :][:LONGEST_TEXT].decode(errors="replace"))
    return Answer(frame.type, frame.sequence, b"", ErrorPayload.parse(frame.payload), text)


class BoardConnection:
    """A board's end.

    Args:
        max_payload: longest payload that is taken.
    """

    def __init__(self, max_payload: int) -> None:
        self.max_payload = max_payload
        self._host_payload = frames.SMALLEST_PAYLOAD
        self.frames_out = 0
        self._reader = FrameReader(max_payload)
        self._last_operation = 0

    @property
    def host_payload(self) -> int:
        """Longest payload to send: what the host takes, and no more than what is good for the line."""
        return min(self._host_payload, self.max_payload)

    @host_payload.setter
    def host_payload(self, size: int) -> None:
        self._host_payload = size

    def connect(self) -> None:
        """A new stream of bytes from a host: what was half there is of no use."""
        before, self._reader = self._reader, FrameReader(self.max_payload)
        self._reader.frames = before.frames
        self._reader.bad_crc, self._reader.bad_frames = before.bad_crc, before.bad_frames
        self._last_operation = 0

    @property
    def counts(self) -> tuple[int, int, int]:
        """Good frames, frames with a wrong checksum, and frames that are none."""
        return self._reader.frames, self._reader.bad_crc, self._reader.bad_frames

    def receive(self, data: bytes) -> tuple[list[Frame], list[bytes]]:
        """Requests that end in `data`, and what has to be sent because of the others."""
        requests: list[Frame] = []
        refusals: list[bytes] = []
        for frame in self._reader.feed(data):
            if frame.version != frames.VERSION:
                refusals.append(self.error(frame.sequence, Code.VERSION, frames.VERSION))
            elif frame.type not in _REQUESTS:
                refusals.append(self.error(frame.sequence, Code.UNKNOWN, frame.type))
            elif frame.type not in OPERATIONS:
                requests.append(frame)
            elif frame.sequence != self._last_operation:  # else the line has said it twice
                self._last_operation = frame.sequence
                requests.append(frame)
        return requests, refusals

    def answer(self, request: Frame, payload: bytes = b"") -> bytes:
        """Bytes of an answer."""
        self.frames_out += 1
        return frames.encode(Frame(request.type | ANSWER, request.sequence, payload))

    def error(self, sequence: int, code: Code, value: int = 0, text: str = "") -> bytes:
        """Bytes of an ERROR."""
        self.frames_out += 1
        return frames.encode(Frame(Type.ERROR, sequence, _trouble(code, value, text)))

    def fault(self, value: int, text: str) -> bytes:
        """Bytes of a FAULT, which nobody has asked for."""
        self.frames_out += 1
        return frames.encode(Frame(Type.FAULT, 0, _trouble(Code.FAULT, value, text)))


_REQUESTS = frozenset(int(kind) for kind in Type if kind < ANSWER)


def _trouble(code: Code, value: int, text: str) -> bytes:
    encoded = readable(text).encode()[:LONGEST_TEXT].decode(errors="ignore").encode()  # cut between letters
    return ErrorPayload(code, value).pack() + encoded
