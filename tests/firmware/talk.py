"""A host that speaks to a process of the firmware, one request at a time."""

from __future__ import annotations

import os
import select
import subprocess
import termios
import tty
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from mgdhw_drivers.protocol import values as link_values
from mgdhw_drivers.protocol.connection import Answer, HostConnection
from mgdhw_drivers.protocol.messages import Chunk, Identify, Identity, Load, Pong, Read, Set, Stored
from mgdhw_drivers.protocol.numbers import Area, MismatchedItem, Type
from tests.helpers.sockets import PATIENCE_S, connect


class NoAnswer(Exception):
    """Nothing came in time, or the line is gone."""


class Talk:
    """One line to a board.

    Args:
        descriptor: of the socket or of the terminal.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.connection = HostConnection(1000)
        self._unread: list[Answer] = []
        """Came together with one that `next` has returned."""
        self.connection.window = 1 << 30
        self.raw(self.connection.connect())
        self.connection.verified(1 << 30)
        self.dataset_crc = self.theta_crc = 0

    def raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        while data:
            select.select([], [self.descriptor], [], PATIENCE_S)
            data = data[os.write(self.descriptor, data) :]

    def send(self, kind: Type, payload: bytes = b"") -> int:
        """Send a request; its sequence number."""
        sequence, data = self.connection.send(kind, payload)
        self.raw(data)
        return sequence

    def receive(self) -> list[Answer]:
        """Whatever comes next."""
        if self._unread:
            answers, self._unread = self._unread, []
            return answers
        readable, _, _ = select.select([self.descriptor], [], [], PATIENCE_S)
        if not readable:
            raise NoAnswer("nothing came")
        data = os.read(self.descriptor, 1 << 16)
        if not data:
            raise NoAnswer("the line is gone")
        return self.connection.receive(data)

    def ask(self, kind: Type, payload: bytes = b"") -> Answer:
        """A request and its answer, which is one frame. What came before it and was not read is dropped."""
        self._unread.clear()
        self.send(kind, payload)
        return self.next()

    def next(self) -> Answer:
        """The next answer."""
        while True:
            answers = self.receive()
            if answers:
                self._unread = answers[1:]
                return answers[0]

    def values(self, kind: Type, payload: bytes) -> list[int]:
        """A request that is answered by values. Fails on an ERROR."""
        self.send(kind, payload)
        found: list[int] = []
        while True:
            for answer in self.receive():
                assert answer.trouble is None, answer
                first, numbers, last = link_values.unpack(answer.payload)
                assert first == len(found)
                found += numbers.tolist()
                if last:
                    return found

    def identify(self, session: int = 7, dead_man_ms: int = 0, *, take: bool = True) -> Identity:
        """IDENTIFY."""
        payload = Identify(session, dead_man_ms, self.connection.max_payload, int(take)).pack()
        return Identity.unpack(self.ask(Type.IDENTIFY, payload).payload)

    def ping(self) -> Pong:
        """PING."""
        return Pong.unpack(self.ask(Type.PING).payload)

    def write(self, area: Area, content: bytes, chunk: int = 4000) -> None:
        """WRITE a whole area."""
        for offset in range(0, len(content), chunk):
            answer = self.ask(Type.WRITE, Chunk(area, offset).pack() + content[offset : offset + chunk])
            assert answer.trouble is None, answer

    def read(self, area: Area, size: int, chunk: int = 4000) -> bytes:
        """READ a whole area."""
        content = b""
        while len(content) < size:
            answer = self.ask(Type.READ, Read(area, len(content), min(chunk, size - len(content))).pack())
            assert answer.trouble is None, answer
            content += answer.payload[Chunk.form.size :]
        return content

    def load(self, inputs: bytes, targets: bytes, samples: int, kind: int) -> None:
        """The dataset."""
        head = Load(samples, samples, 1.0, kind, 0).pack()[:20]
        self.dataset_crc = zlib.crc32(inputs + targets + head)
        payload = Load(samples, samples, 1.0, kind, self.dataset_crc).pack()
        first = self.ask(Type.LOAD, payload)
        assert first.trouble is not None
        assert first.trouble.value == MismatchedItem.DATASET
        self.write(Area.INPUTS, inputs)
        self.write(Area.TARGETS, targets)
        assert self.ask(Type.LOAD, payload).trouble is None

    def set(self, codes: np.ndarray) -> Answer:
        """Parameters; the answer to SET."""
        content = codes.astype("<i2").tobytes()
        self.write(Area.REQUESTED, content)
        answer = self.ask(Type.SET, Set(0, zlib.crc32(content)).pack())
        if answer.trouble is None:
            self.theta_crc = Stored.unpack(answer.payload).theta_crc
        return answer


@contextmanager
def board(program: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process of the firmware and its address. It has to end well and say nothing."""
    with subprocess.Popen([program, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        address = process.stdout.readline().strip()
        try:
            yield process, address
        finally:
            process.terminate()
            said = process.stderr.read()
            code = process.wait()
    assert (code, said) == (0, "")


@contextmanager
def line(address: str) -> Iterator[Talk]:
    """A line to a board at an address."""
    scheme, where = address.split(":", 1)
    if scheme != "serial":
        with connect(address) as connection:
            connection.setblocking(False)
            yield Talk(connection.fileno())
        return
    descriptor = os.open(where, os.O_RDWR | os.O_NOCTTY)
    try:
        tty.setraw(descriptor, termios.TCSANOW)
        yield Talk(descriptor)
    finally:
        os.close(descriptor)
