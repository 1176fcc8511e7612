"""What a served board takes of memory and time, whatever a host asks of it: measured at a real `mgdhw serve`."""

from __future__ import annotations

import contextlib
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mgdhw.block import Block, CodeSpec
from mgdhw.random.sample_order import SampleOrder
from mgdhw_drivers.protocol.blocks import probe_of
from mgdhw_drivers.protocol.messages import Chunk, Load
from mgdhw_drivers.protocol.numbers import ANSWER, Area, Code, MismatchedItem, State, Type
from tests.firmware.talk import Talk, line
from tests.helpers.chips import CHIP
from tests.helpers.waiting import wait_until

PATIENCE_S = 60.0
TABLE = np.array([[0, 0], [0, 255], [255, 0], [255, 255]], dtype="<u1")
WANTED = np.array([0, 4096, 4096, 0], dtype="<i2")

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux how much memory there is"),
]


class Served:
    """A process of `mgdhw serve`.

    Args:
        process: itself.
        address: where it serves.
    """

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self.address = address
        self._status = Path(f"/proc/{process.pid}/status")
        self._times = Path(f"/proc/{process.pid}/stat")

    @property
    def peak_mib(self) -> float:
        """Most memory that it has ever taken."""
        found = next(row for row in self._status.read_text().splitlines() if row.startswith("VmHWM"))
        return int(found.split()[1]) / 1024

    @property
    def busy_s(self) -> float:
        """Time of processors that it has used."""
        fields = self._times.read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100


@contextlib.contextmanager
def served(tmp_path: Path, chip: str = CHIP, *options: str) -> Iterator[Served]:
    """A chip on a pseudo-terminal. It has to end well."""
    link = tmp_path / "port"
    code = "from mgdhw.cli.main import main; main()"
    command = [sys.executable, "-W", "error", "-c", code, "serve", chip, "--pty", "--link", str(link), *options]
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        assert process.stdout is not None
        try:
            assert "serving" in process.stdout.readline()
            yield Served(process, f"serial:{link}")
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 0
    assert "Traceback" not in (tmp_path / "log").read_text()


def prepared(talk: Talk) -> None:
    """XOR, and parameters of zero."""
    talk.identify()
    talk.load(TABLE.tobytes(), WANTED.tobytes(), 4, 0)
    assert talk.set(np.zeros(13, dtype=np.int16)).trouble is None


def probe(talk: Talk, n_probes: int, batch: int) -> bytes:
    """A block of XOR."""
    block = Block(0, n_probes, CodeSpec("random", 1, 2), SampleOrder(1, 4, batch, 1))
    return probe_of(block, talk.theta_crc, talk.dataset_crc, floats=False).pack()


def test_one_byte_at_the_end_of_each_area(tmp_path: Path) -> None:
    with served(tmp_path, f"{CHIP}&write_noise=0.01") as server, line(server.address) as talk:
        talk.identify()
        before = server.peak_mib
        sizes = struct.unpack_from("<16I", talk.read(Area.DESCRIPTION, 168), 104)
        for area in set(Area) - {Area.DESCRIPTION, Area.HELD, Area.LIMITS}:
            if sizes[area]:
                talk.identify(session=20 + area)  # what another session wrote is given back
                payload = Chunk(area, sizes[area] - 1).pack() + b"\1"
                assert talk.ask(Type.WRITE, payload).trouble is None
                trouble = talk.ask(Type.WRITE, Chunk(area, sizes[area]).pack() + b"\1").trouble
                assert trouble is not None
                assert trouble.code == Code.BAD
        assert server.peak_mib - before < 32


def test_a_dataset_that_was_never_written(tmp_path: Path) -> None:
    with served(tmp_path) as server, line(server.address) as talk:
        talk.identify()
        before, began = server.peak_mib, time.monotonic()
        for n, code, value in ((1 << 25, Code.BAD, 0), (1 << 20, Code.MISMATCH, MismatchedItem.DATASET)):
            trouble = talk.ask(Type.LOAD, Load(n, n, 1.0, 0, 77).pack()).trouble
            assert trouble is not None
            assert (trouble.code, trouble.value) == (code, value)
        assert time.monotonic() - began < PATIENCE_S / 10
        assert server.peak_mib - before < 8


@pytest.mark.long
@pytest.mark.parametrize("how", [(), ("--baud", "2000000")], ids=["fast", "paced"])
def test_an_endless_block_that_nobody_reads(tmp_path: Path, how: tuple[str, ...]) -> None:
    with served(tmp_path, CHIP, *how) as server:
        with line(server.address) as talk:
            prepared(talk)
            talk.send(Type.PROBE, probe(talk, 1000, 1))  # compiled now
            while talk.next().payload[7] == 0:
                pass
            before = server.peak_mib
            talk.send(Type.PROBE, probe(talk, (1 << 31) - 1, 1))
            busy = -1.0
            until_idle = time.monotonic() + PATIENCE_S
            while server.busy_s - busy > 0.05:  # until it waits for somebody to read
                assert time.monotonic() < until_idle
                busy = server.busy_s
                time.sleep(0.5)
            assert server.peak_mib - before < 24
        assert wait_until(lambda: "in its safe state (link-lost)" in (tmp_path / "log").read_text())
        with line(server.address) as talk:
            pong = talk.ping()
            assert (pong.running, pong.state) == (0, State.SAFE)
            talk.identify()
            assert talk.set(np.zeros(13, dtype=np.int16)).trouble is None


@pytest.mark.long
def test_the_largest_batch_and_one_that_is_larger(tmp_path: Path) -> None:
    with served(tmp_path, "sim:analog-8bit?layers=2-300-300-1") as server, line(server.address) as talk:
        talk.identify()
        talk.load(TABLE.tobytes(), WANTED.tobytes(), 4, 0)
        n_parameters = 3 * 300 + 301 * 300 + 301
        assert talk.set(np.zeros(n_parameters, dtype=np.int16)).trouble is None
        before = server.peak_mib
        for batch in ((1 << 32) - 1, (1 << 16) + 1):
            trouble = talk.ask(Type.PROBE, probe(talk, 4, batch)).trouble
            assert trouble is not None
            assert trouble.code == Code.BAD
        assert server.peak_mib - before < 8
        talk.send(Type.PROBE, probe(talk, 4, 1 << 16))
        began = time.monotonic()
        assert talk.ping().running
        assert time.monotonic() - began < PATIENCE_S / 10
        assert talk.ask(Type.SAFE).type == Type.SAFE | ANSWER
        assert time.monotonic() - began < PATIENCE_S / 10


@pytest.mark.long
def test_a_large_dataset_is_taken_in_while_the_board_answers(tmp_path: Path) -> None:
    n = 40_000
    rng = np.random.default_rng(1)
    inputs = rng.integers(0, 256, (n, 784), dtype=np.uint8).tobytes()
    targets = (4096 * rng.integers(0, 2, (n, 10))).astype("<i2").tobytes()
    with served(tmp_path, "sim:analog-8bit?layers=784-10-10") as server, line(server.address) as talk:
        talk.identify()
        before = server.peak_mib
        talk.write(Area.INPUTS, inputs, 16_000)
        talk.write(Area.TARGETS, targets, 16_000)
        bare = Load(n, n, 1.0, 0, 0)
        load = Load(n, n, 1.0, 0, zlib.crc32(inputs + targets + bare.pack()[:-4]))
        loading = talk.send(Type.LOAD, load.pack())
        longest, pings, done = 0.0, 0, False
        while not done:
            began = time.monotonic()
            ping = talk.send(Type.PING)
            answers = {answer.sequence for answer in talk.receive()}
            while ping not in answers:
                answers |= {answer.sequence for answer in talk.receive()}
            longest, pings, done = max(longest, time.monotonic() - began), pings + 1, loading in answers
        assert pings > 2
        assert longest < PATIENCE_S / 10
        size = (len(inputs) + 2 * len(targets)) / (1 << 20)
        assert server.peak_mib - before < 5 * size
