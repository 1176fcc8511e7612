"""Hostile boards on real lines: a process that serves each case at a TCP port or a pseudo-terminal of its own.

It is told on stdin which case to serve ("serve NAME"), answers with an address, and serves until it is told "end NAME".
Behind each case is a correct board in software, whose answers are hurt on their way out; nothing of it greets.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tty
from collections.abc import Callable
from typing import Any, Protocol

from mgdhw.device import open_device
from mgdhw_drivers.protocol import frames
from mgdhw_drivers.protocol.frames import Frame, FrameReader
from mgdhw_drivers.protocol.messages import Chunk, Pong
from mgdhw_drivers.protocol.numbers import ANSWER, OPERATIONS, Area, State, Type
from mgdhw_drivers.server.endpoint import Endpoint, Line
from tests.hostile.cases import CASES, Case, redescribed

HELD_BACK_SECONDS = 0.15
"""How long an operation seems to take where its PONGs are to be hurt."""
BYTE_SECONDS = 0.05
CHUNK = 1 << 16


class Wire(Protocol):
    """Where bytes to the host go."""

    def write(self, data: bytes) -> None:
        """Send."""

    def close(self) -> None:
        """End the connection."""

    async def drained(self) -> None:
        """Wait until the host has taken most of it."""


class Peer:
    """One connection of a host to a case's board.

    Args:
        case: what goes wrong.
        station: the board.
        wire: to the host.
    """

    def __init__(self, case: Case, station: Endpoint, wire: Wire) -> None:
        self._case = case
        self._station = station
        self._wire = wire
        self._reader = FrameReader(frames.LARGEST_PAYLOAD)
        self._from_board = FrameReader(frames.LARGEST_PAYLOAD)
        self._running = 0
        self._mad = False
        self._description = b""
        self._queue: asyncio.Queue[list[bytes]] = asyncio.Queue()
        self._tasks = [asyncio.create_task(self._send())]
        if station.occupied:
            station.disconnected()
        station.connected(self._answered, wire.close)

    def received(self, data: bytes) -> None:
        """Bytes from the host."""
        if self._mad and self._case.line == "echo":
            self._wire.write(data)
        for request in self._reader.feed(data):
            self._asked(request)

    def gone(self) -> None:
        """The host has left."""
        for task in self._tasks:
            task.cancel()
        self._station.disconnected()

    def _asked(self, request: Frame) -> None:
        case = self._case
        if not self._mad and case.line and request.type == case.answer:
            self._mad = True
            self._tasks.append(asyncio.create_task(self._go_mad(request)))
            if case.line == "echo":
                self._wire.write(frames.encode(request))
        if self._mad:
            if request.type == Type.PING and case.line.startswith("pings"):
                self._pong(request)
            return
        if request.type in OPERATIONS:
            self._running = request.sequence
        if case.answer == Type.PING and request.type == Type.PING and self._running:
            pong = Frame(Type.PING | ANSWER, request.sequence, Pong(self._running, 0, State.READY, 0).pack())
            self._put(self._hurt(pong))
            return
        self._station.received(frames.encode(request))

    def _answered(self, data: bytes) -> None:
        """Frames from the board."""
        if self._mad:
            return
        for frame in self._from_board.feed(data):
            answer = self._redescribe(frame)
            if self._case.answer == Type.PING and frame.type & ~ANSWER in OPERATIONS and frame.type & ANSWER:
                loop = asyncio.get_running_loop()
                loop.call_later(HELD_BACK_SECONDS, self._held_back, answer)
            else:
                self._put(self._hurt(answer))

    def _held_back(self, answer: Frame) -> None:
        self._running = 0
        self._put([frames.encode(answer)])

    def _hurt(self, frame: Frame) -> list[bytes]:
        case = self._case
        if case.change is not None and case.answer is not None and frame.type == case.answer | ANSWER:
            return case.change(frame)
        return [frames.encode(frame)]

    def _redescribe(self, frame: Frame) -> Frame:
        """Another description than the board's own."""
        change, board = self._case.description, self._station._board
        if change is None or board is None:
            return frame
        changed = change(board.work.described)
        if frame.type == Type.IDENTIFY | ANSWER:
            return frame._replace(payload=redescribed(frame.payload, changed))
        if frame.type == Type.READ | ANSWER and frame.payload[0] == Area.DESCRIPTION:
            offset = Chunk.parse(frame.payload).offset
            room = board.connection.host_payload - Chunk.form.size
            return frame._replace(payload=frame.payload[: Chunk.form.size] + changed[offset : offset + room])
        if frame.type == Type.ERROR and len(changed) > len(board.work.described):
            # The board has no such bytes; the host asks in pieces of one size, one after the other.
            room = min(board.connection.max_payload, board.connection.host_payload) - Chunk.form.size
            self._description = self._description or changed[room:]
            part, self._description = self._description[:room], self._description[room:]
            offset = len(changed) - len(part) - len(self._description)
            return Frame(Type.READ | ANSWER, frame.sequence, Chunk(Area.DESCRIPTION, offset).pack() + part)
        return frame

    def _put(self, pieces: list[bytes]) -> None:
        self._queue.put_nowait(pieces)

    async def _send(self) -> None:
        while True:
            pieces = await self._queue.get()
            for number, piece in enumerate(pieces):
                if number:
                    await asyncio.sleep(BYTE_SECONDS if len(pieces) > 2 else 0.01)
                self._wire.write(piece)
            await self._wire.drained()

    # --- lines gone mad --------------------------------------------------------------------------------------------

    async def _go_mad(self, request: Frame) -> None:
        line = self._case.line
        if line.startswith("closed"):
            if line != "closed":
                self._wire.write(frames.encode(Frame(request.type | ANSWER, request.sequence, bytes(40)))[:20])
            self._wire.close()
        elif line == "text, slowly":
            for byte in b"hello, I am a console; " * 10_000:
                self._wire.write(bytes([byte]))
                await asyncio.sleep(BYTE_SECONDS)
        elif (make := _floods(request).get(line)) is not None:
            number = 0
            while True:
                self._wire.write(make(number))
                number += 1
                await self._wire.drained()
                await asyncio.sleep(0)
        elif line.startswith("pings"):
            self._running = request.sequence

    def _pong(self, ping: Frame) -> None:
        running = 0 if self._case.line == "pings, nothing runs" else self._running
        self._done = getattr(self, "_done", 0) + (1 << 20 if self._case.line == "pings, done grows" else 0)
        payload = Pong(running, self._done & 0xFFFFFFFF, State.READY, 0).pack()
        self._wire.write(frames.encode(Frame(Type.PING | ANSWER, ping.sequence, payload)))


def _floods(request: Frame) -> dict[str, Callable[[int], bytes]]:
    """What a line is full of, chunk by chunk."""
    stray = frames.encode(Frame(Type.STATISTICS | ANSWER, request.sequence ^ 1, bytes(40)))
    tiny = frames.encode(Frame(0x40, 5))[:3] + b"\0"
    fault = frames.encode(Frame(Type.FAULT, 0, bytes(8)))
    noise = os.urandom(CHUNK)
    ones = b"\xff" * CHUNK
    text = b"0123456789 abcdef\r\n" * (CHUNK // 19)

    def values(number: int, step: int) -> bytes:
        header = (number * step * 1000).to_bytes(5, "little")[:4] + (1000).to_bytes(2, "little") + b"\0\0"
        return frames.encode(Frame(request.type | ANSWER, request.sequence, header + bytes(2000)))

    return {
        "text, fast": lambda number: text,
        "zeros": lambda number: bytes(CHUNK),
        "ones": lambda number: ones,
        "noise": lambda number: noise,
        "tiny frames": lambda number: tiny * (CHUNK // len(tiny)),
        "frames that answer nothing": lambda number: stray * (CHUNK // len(stray)),
        "faults": lambda number: fault * (CHUNK // len(fault)),
        "values without an end": lambda number: b"".join(values(n, 1) for n in range(16 * number, 16 * number + 16)),
        "the same values again and again": lambda number: values(0, 1) * 16,
    }


# --- where hosts come in ---------------------------------------------------------------------------------------------


class TcpWire(asyncio.Protocol):
    """A TCP connection."""

    def __init__(self, case: Case, station: Endpoint) -> None:
        self._case, self._station = case, station
        self._may_write = asyncio.Event()
        self._may_write.set()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._peer = Peer(self._case, self._station, self)

    def data_received(self, data: bytes) -> None:
        self._peer.received(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._may_write.set()
        self._peer.gone()

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    def write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        self._transport.close()

    async def drained(self) -> None:
        await self._may_write.wait()


class PtyWire:
    """A pseudo-terminal, whose other end a host opens as a serial port."""

    def __init__(self, case: Case, station: Endpoint) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.name = os.ttyname(self._slave)
        self._unsent = bytearray()
        self._peer = Peer(case, station, self)
        asyncio.get_running_loop().add_reader(self._master, self._readable)

    def _readable(self) -> None:
        with contextlib.suppress(OSError):
            self._peer.received(os.read(self._master, CHUNK))

    def write(self, data: bytes) -> None:
        if self._master >= 0:
            self._unsent += data
            self._push()

    def _push(self) -> None:
        with contextlib.suppress(OSError):
            while self._unsent:
                del self._unsent[: os.write(self._master, self._unsent[:CHUNK])]

    def close(self) -> None:
        if self._master >= 0:
            asyncio.get_running_loop().remove_reader(self._master)
            os.close(self._master)
            os.close(self._slave)
            self._master = -1

    def end(self) -> None:
        """No longer."""
        self._peer.gone()
        self.close()

    async def drained(self) -> None:
        while self._unsent and self._master >= 0:
            await asyncio.sleep(0.001)
            self._push()


async def serve(case: Case) -> tuple[str, Callable[[], None], Endpoint]:
    """Serve a case; its address, what ends it, and the board behind it."""
    station = Endpoint(open_device(case.chip), Line())
    await station.start()
    if case.how == "pty":
        wire = PtyWire(case, station)
        return f"serial:{wire.name}", wire.end, station
    server = await asyncio.get_running_loop().create_server(lambda: TcpWire(case, station), "127.0.0.1", 0)
    return f"tcp:127.0.0.1:{server.sockets[0].getsockname()[1]}", server.close, station


async def main() -> None:
    """Do what stdin says, until it ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    served: dict[str, tuple[Callable[[], None], Endpoint]] = {}
    while line := (await reader.readline()).decode():
        word, _, name = line.rstrip("\n").partition(" ")
        if word == "serve":
            address, end, station = await serve(CASES[name])
            served[name] = (end, station)
            sys.stdout.write(f"{address}\n")
            sys.stdout.flush()
        else:
            end, station = served.pop(name)
            end()
            await station.stop()


if __name__ == "__main__":
    asyncio.run(main())
