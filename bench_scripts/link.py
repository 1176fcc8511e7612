"""What the link costs: a block of 1,000 probes over TCP and a pseudo-terminal, beside the bare transports.

A process of its own serves a simulated chip. The targets are those of issue 5, case 4: a block costs no more than 1.3
times the device's own time and one raw round trip of as many bytes; no more than 6 bytes per evaluation; no more than
4 system calls per 100 results (of this process, counted with strace, where there is one); on a slow line at least 90 %
of the probes/s that its bits allow. Times are those of the fastest tenth: what nothing else disturbs; it takes an idle
machine, where a process that is waiting is woken on a processor of its own. Case 6: a board that goes away in the
middle of a block (its process is killed: the connection, or the pseudo-terminal, is gone) is noticed within 100 ms,
and blocks go on within 2 s of its being there again.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import tty
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

import numpy as np
from common import Row, arguments, progress, report

from mgdhw import open_device
from mgdhw.block import Block, CodeSpec
from mgdhw.datasets import load
from mgdhw.device import Device
from mgdhw.errors import LinkLost
from mgdhw.random.sample_order import SampleOrder
from mgdhw_drivers.client.device import LinkedDevice

CHIP = "sim:analog-8bit"
INSTANT_CHIP = "sim:analog-8bit?engine=reference"
"""One that has nothing to compile when its process begins."""
K = 1000
BATCH = 32
WARM_UP = 6
TURNS = 10
LONG = 10_000
"""Probes of a block on a slow line."""
REQUEST, ANSWER = 100, 2100
"""Bytes of a raw round trip: about those of a block and its answer."""
SERVE = [sys.executable, "-c", "from mgdhw.cli.main import main; main()", "serve", CHIP]


@contextmanager
def served(*options: str) -> Iterator[str]:
    """Address of a chip in a process of its own."""
    with subprocess.Popen([*SERVE, *options], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split(" at ")[1].strip()
        try:
            yield address
        finally:
            process.terminate()


def block(step: int, probes: int = K) -> Block:
    """The probes from a step on, with one baseline."""
    return Block(step, probes, CodeSpec("random", 1, 1), SampleOrder(2, 1437, BATCH, probes))


async def ready(device: Device, probes: int = K) -> None:
    """Give an open device what blocks need, and let it run some."""
    await device.load(load("digits"))
    await device.write(np.zeros(device.info.n_parameters))
    for i in range(WARM_UP):
        await device.probe(block(i * probes, probes))


async def seconds_per_block(device: Device, blocks: int, probes: int = K) -> list[float]:
    """Seconds of each of some blocks."""
    times = []
    for i in range(blocks):
        began = time.perf_counter()
        await device.probe(block((WARM_UP + i) * probes, probes))
        times.append(time.perf_counter() - began)
    return times


async def beside(
    uri: str, bare: Callable[[int], list[float]], blocks: int, rounds: int
) -> tuple[float, float, float, float, float | None]:
    """A linked device, the same in this process and a bare round trip, in turns: machines are now faster, now slower.

    Returns:
        Seconds of a block over the link, of one in this process, and of a bare round trip; bytes per evaluation; and
        this process's system calls per 100 results.
    """
    async with open_device(uri) as device, open_device(CHIP) as chip:
        assert isinstance(device, LinkedDevice)
        await ready(device)
        await ready(chip)
        link = device.session.link
        ours: list[float] = []
        alone: list[float] = []
        raw: list[float] = []
        before = link.host_bytes + link.board_bytes
        for _ in range(TURNS):
            alone += await seconds_per_block(chip, blocks)
            raw += bare(rounds)
            ours += await seconds_per_block(device, blocks)
        size = (link.host_bytes + link.board_bytes - before) / (TURNS * blocks * (K + 1))
        calls = await counted(lambda: device.probe(block(0)), TURNS * blocks)
        return best(ours), best(alone), best(raw), size, calls


async def slowly(uri: str, blocks: int) -> float:
    """Probes/s of long blocks."""
    async with open_device(uri) as device:
        await ready(device, LONG)
        return LONG / best(await seconds_per_block(device, blocks, LONG))


def best(times: list[float]) -> float:
    """The fastest tenth's slowest."""
    return sorted(times)[len(times) // 10]


async def counted(work: Callable[[], Awaitable[object]], blocks: int) -> float | None:
    """System calls of this process per 100 results; None where they cannot be counted."""
    strace = shutil.which("strace")
    if strace is None:
        return None
    with tempfile.NamedTemporaryFile("r") as log:
        tracer = await asyncio.create_subprocess_exec(
            strace, "-f", "-c", "-o", log.name, "-p", str(os.getpid()), stderr=asyncio.subprocess.PIPE
        )
        assert tracer.stderr is not None
        await tracer.stderr.readline()
        for _ in range(blocks):
            await work()
        tracer.terminate()
        await tracer.communicate()
        summary = log.read().splitlines()
    if not summary:
        return None  # nobody may watch this process
    end = summary[0].index("calls") + len("calls")  # of the column that counts them; others come and go with versions
    return int(summary[-1][:end].split()[-1]) / (blocks * K / 100)


async def unplugged(where: list[str]) -> tuple[float, float]:
    """Seconds until it is noticed that a board is gone, and from its being there again to the next block's end."""
    board, address = await begun(where)
    lost: list[float] = []
    try:
        async with open_device(address) as device:
            assert isinstance(device, LinkedDevice)
            await device.load(load("digits"))
            await device.write(np.zeros(device.info.n_parameters))
            device.session.link.on_loss = lambda why: lost.append(time.perf_counter())
            asked = asyncio.create_task(device.probe(block(0, LONG)))
            await asyncio.sleep(0.005)
            gone = time.perf_counter()
            board.kill()
            await asyncio.wait([asked])
            assert isinstance(asked.exception(), LinkLost), asked
            asked = asyncio.create_task(device.probe(block(0, 10)))
            await board.wait()
            board, _ = await begun(where)
            back = time.perf_counter()
            await asked
            return lost[0] - gone, time.perf_counter() - back
    finally:
        board.terminate()
        await board.wait()


async def begun(where: list[str]) -> tuple[asyncio.subprocess.Process, str]:
    """A process that serves a chip, and its address."""
    board = await asyncio.create_subprocess_exec(
        *SERVE[:-1], INSTANT_CHIP, *where, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert board.stdout is not None
    return board, (await board.stdout.readline()).decode().split(" at ")[1].strip()


def unplugging(name: str, where: list[str], times: int) -> list[Row]:
    """The slowest of some unplugs."""
    both = [asyncio.run(unplugged(where)) for _ in range(times)]
    noticed, back = (max(column) for column in zip(*both, strict=True))
    return [
        Row(f"6 {name} unplugged", "ms until it is noticed", 1e3 * noticed, target="ours <= 100", holds=noticed <= 0.1),
        Row(f"6 {name} plugged in", "s until blocks go on", back, target="ours <= 2", holds=back <= 2),
    ]


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def read_exactly(read: Callable[[int], bytes], size: int) -> None:
    """Read so many bytes."""
    while size > 0:
        size -= len(read(size))


def raw_socket(rounds: int) -> list[float]:
    """Seconds of round trips over a blocking TCP socket."""
    server = socket.create_server(("127.0.0.1", 0))

    def echo() -> None:
        peer, _ = server.accept()
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with peer, suppress(OSError):
            for _ in range(rounds):
                read_exactly(peer.recv, REQUEST)
                peer.sendall(bytes(ANSWER))

    thread = threading.Thread(target=echo)
    thread.start()
    times = []
    with server, socket.create_connection(server.getsockname()) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(rounds):
            began = time.perf_counter()
            sock.sendall(bytes(REQUEST))
            read_exactly(sock.recv, ANSWER)
            times.append(time.perf_counter() - began)
    thread.join()
    return times


@contextmanager
def echoing_pty(rounds: int) -> Iterator[str]:
    """A pseudo-terminal that answers requests."""
    master, slave = os.openpty()
    tty.setraw(slave)

    def echo() -> None:
        with suppress(OSError):
            for _ in range(rounds):
                read_exactly(lambda size: os.read(master, size), REQUEST)
                os.write(master, b"\1" * (ANSWER - 1) + b"\n")

    thread = threading.Thread(target=echo)
    thread.start()
    try:
        yield os.ttyname(slave)
    finally:
        thread.join()
        os.close(master)
        os.close(slave)


def raw_pty(rounds: int) -> list[float]:
    """Seconds of round trips over a pseudo-terminal, with plain reads."""
    times = []
    with echoing_pty(rounds) as name:
        port = os.open(name, os.O_RDWR | os.O_NOCTTY)
        for _ in range(rounds):
            began = time.perf_counter()
            os.write(port, bytes(REQUEST))
            read_exactly(lambda size: os.read(port, size), ANSWER)
            times.append(time.perf_counter() - began)
        os.close(port)
    return times


def pyserial(rounds: int) -> float:
    """The same with pyserial, as its documentation reads lines."""
    import serial

    times = []
    with echoing_pty(rounds) as name, serial.Serial(name, 115_200, timeout=5) as port:
        for _ in range(rounds):
            began = time.perf_counter()
            port.write(bytes(REQUEST))
            port.read_until(b"\n")
            times.append(time.perf_counter() - began)
    return best(times)


async def pyserial_asyncio(rounds: int) -> float:
    """The same with pyserial-asyncio-fast."""
    import serial_asyncio_fast

    times = []
    with echoing_pty(rounds) as name:
        reader, writer = await serial_asyncio_fast.open_serial_connection(url=name, baudrate=115_200)
        for _ in range(rounds):
            began = time.perf_counter()
            writer.write(bytes(REQUEST))
            await reader.readexactly(ANSWER)
            times.append(time.perf_counter() - began)
        writer.close()
        await asyncio.sleep(0.01)
    return best(times)


def main() -> None:
    options = arguments(__doc__)
    blocks, rounds = (2, 20) if options.quick else (25, 100)
    rows: list[Row] = []
    progress("peers")
    plain = pyserial(rounds)
    rows.append(Row("E pyserial read_until", "µs per round trip", 1e6 * plain))
    try:
        fast: float | None = asyncio.run(pyserial_asyncio(TURNS * rounds))
    except ImportError:
        fast = None
    rows.append(Row("E pyserial-asyncio-fast", "µs per round trip", None if fast is None else 1e6 * fast))
    for name, how, bare in (("tcp", ("--tcp", "0"), raw_socket), ("pty", ("--pty",), raw_pty)):
        progress(f"blocks over {name}")
        with served(*how) as address:
            ours, alone, raw, size, calls = asyncio.run(beside(address, bare, blocks, rounds))
        allowed = 1.3 * (alone + raw)
        rows.append(Row(f"E {name}: the chip in process", f"ms per block of {K}", 1e3 * alone))
        rows.append(Row(f"E {name}: raw, without mgdhw", "µs per round trip", 1e6 * raw))
        rows.append(
            Row(f"E {name}", f"ms per block of {K}", 1e3 * ours, 1e3 * (alone + raw), "device + raw round trip",
                "ours <= 1.3 peer", ours <= allowed)
        )  # fmt: skip
        rows.append(Row(f"E {name}", "bytes per evaluation", size, target="ours <= 6", holds=size <= 6))
        rows.append(
            Row(f"E {name}", "system calls per 100 results", calls, target="ours <= 4",
                holds=None if calls is None else calls <= 4)
        )  # fmt: skip
        if name == "pty":
            for peer_name, peer in (("pyserial", plain), ("pyserial-asyncio-fast", fast)):
                if peer is not None:
                    rows.append(
                        Row(
                            "E pty", "µs beyond the device", 1e6 * (ours - alone), 1e6 * peer, f"{peer_name} round trip"
                        )
                    )
    for baud in (115_200, 921_600):
        progress(f"a line of {baud} baud")
        with served("--tcp", "0", "--baud", str(baud)) as address:
            rate = asyncio.run(slowly(address, 2 if options.quick else 5))
        wire = baud / 10 / 2  # two bytes for a cost of this chip and batch, and nothing else
        rows.append(
            Row(f"E {baud} baud", "probes/s", rate, wire, "two bytes per probe on the wire", "ours >= 0.9 peer",
                rate >= 0.9 * wire)
        )  # fmt: skip
    progress("unplugging")
    with tempfile.TemporaryDirectory() as folder:
        for name, where in (("tcp", ["--tcp", str(free_port())]), ("pty", ["--pty", "--link", f"{folder}/port"])):
            rows += unplugging(name, where, 1 if options.quick else 3)
    report("The link", rows, options)


if __name__ == "__main__":
    main()
