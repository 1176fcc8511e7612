"""Mutated requests to a real `mgdhw serve`, over a Unix socket: it answers, stays small, and ends well."""

from __future__ import annotations

import contextlib
import re
import select
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mgdhw_drivers.protocol.frames import Frame, FrameReader, encode
from mgdhw_drivers.protocol.messages import ErrorPayload
from mgdhw_drivers.protocol.numbers import ANSWER, Code, State, Type

from .mutate import Mutator, Target

FRAMES, LONG_FRAMES, WINDOW = 600, 30_000, 16
PATIENCE_S = 60.0
LARGEST_MIB = 700


class Host:
    """Sends nonsense, no more than a host may have under way. A dead-man of a few milliseconds ends its connection.

    Args:
        path: of the server's socket.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sequence = 0
        self._connect()

    def close(self) -> None:
        """Leave."""
        self._connection.close()

    def send(self, kind: int, payload: bytes) -> int:
        """A request; its number."""
        self._sequence += 1
        try:
            self._connection.sendall(encode(Frame(kind, self._sequence, payload)))
        except OSError:
            self._connect_again()
        return self._sequence

    def ask(self, kind: Type) -> Frame:
        """A request without payload and its answer; whatever else was answered is read by then."""
        wanted = self.send(kind, b"")
        deadline = time.monotonic() + PATIENCE_S
        while True:
            assert select.select([self._connection], [], [], max(0.0, deadline - time.monotonic()))[0], kind.name
            try:
                data = self._connection.recv(1 << 16)
            except OSError:
                data = b""
            if not data:
                self._connect_again()
                wanted = self.send(kind, b"")
            for frame in self._reader.feed(data):
                assert frame.type != Type.FAULT, frame.payload[ErrorPayload.form.size :].decode()
                assert frame.type != Type.ERROR or ErrorPayload.parse(frame.payload).code in tuple(Code)
                if frame.sequence == wanted:
                    assert frame.type == kind | ANSWER
                    return frame

    def _connect(self) -> None:
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(str(self._path))
        self._reader = FrameReader(0xFFFF)

    def _connect_again(self) -> None:
        self.close()
        self._connect()


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux how much memory there is")
@pytest.mark.parametrize("count", [FRAMES, pytest.param(LONG_FRAMES, marks=pytest.mark.long)])
def test_mutated_frames_to_a_process(count: int, tmp_path: Path) -> None:
    path = tmp_path / "board.sock"
    chip = "sim:analog-8bit?layers=5-4-3&activation=tanh&weight_bits=10&engine=reference"
    code = "from mgdhw.cli.main import main; main()"
    command = [sys.executable, "-W", "error", "-c", code, "serve", chip, "--unix", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert "serving" in process.stdout.readline()
            with contextlib.closing(Host(path)) as host:
                requests = Mutator(3, Target(n_parameters=39, n_inputs=5, n_outputs=3)).requests()
                for number in range(count):
                    host.send(*next(requests))
                    if number % WINDOW == 0:
                        host.ask(Type.PING)
                host.ask(Type.SAFE)
                assert host.ask(Type.PING).payload[8] == State.SAFE
            peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
        finally:
            process.terminate()
            said = process.communicate()[1]
    assert process.returncode == 0
    assert "Traceback" not in said, said
    assert peak is not None
    assert int(peak[1]) < LARGEST_MIB * 1024
