"""What VISA costs beside bare pyvisa: a query, a block of 100 probes, and 1,024 parameters written.

Two processes serve the same chip by SCPI, one to mgdhw and one to pyvisa alone, as its own best user would have it:
nothing in between, binary blocks, whole messages. They take turns; a ratio is the median of the turns' ratios of
medians. The targets are those of issue 16, case 6: a block of 100 probes takes no more than 1.15 times what it takes
with bare pyvisa, and 1,024 parameters no more than 3 times one binary block of the same bytes (which is written to the
chip's memory and acknowledged, and moves nothing).
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyvisa
from common import Row, arguments, progress, report

from mgdhw import open_device
from mgdhw.block import Block, CodeSpec
from mgdhw.datasets import load
from mgdhw.random.sample_order import SampleOrder
from mgdhw_drivers.client.device import LinkedDevice
from mgdhw_drivers.protocol.blocks import probe_of
from mgdhw_drivers.protocol.messages import Chunk, Identify, Identity
from mgdhw_drivers.protocol.numbers import Area, Type
from mgdhw_drivers.visa.resource import Resource, ResourceSettings

CHIP = "sim:analog-8bit"
WIDE_CHIP = "sim:analog-8bit?layers=31-32"
"""1,024 parameters."""
K = 100
BATCHES = (32, 256)
"""Samples per probe: a block takes a quarter of a millisecond in the chip's own process, and about one."""
PARAMETERS = 1024
TURNS = 9
SERVE = [sys.executable, "-c", "from mgdhw.cli.main import main; main()", "serve"]


@contextmanager
def served(chip: str, listen: str) -> Iterator[str]:
    """VISA address of a chip in a process of its own."""
    with subprocess.Popen(
        [*SERVE, chip, "--listen", listen], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split(" at ")[1].strip()
        try:
            yield address.removeprefix("visa:")
        finally:
            process.terminate()


@contextmanager
def bare(address: str) -> Iterator[Any]:
    """A resource of pyvisa alone."""
    resource: Any = pyvisa.ResourceManager("@py").open_resource(
        address, read_termination="\n", write_termination="\n", timeout=60_000, chunk_size=1 << 16
    )
    try:
        resource.write("FORM INT,32;FORM:BORD SWAP")
        yield resource
    finally:
        resource.close()


def with_block(head: str, content: bytes) -> bytes:
    """A message that ends in a block."""
    size = str(len(content))
    return f"{head}#{len(size)}{size}".encode() + content + b"\n"


def acknowledged(resource: Any, kind: Type, payload: bytes) -> bytes:
    """The block that answers a message of the link."""
    resource.write_raw(with_block(f"MGD:REQ? {kind:d},", payload))
    answer: bytes = resource.read_raw()
    digits = answer[1] - ord("0")
    size = int(answer[2 : 2 + digits])
    while len(answer) < 2 + digits + size + 1:  # a line feed within
        answer += resource.read_raw()
    return answer[2 + digits : 2 + digits + size]


def block(step: int, batch: int) -> Block:
    """The probes from a step on, with one baseline."""
    return Block(step, K, CodeSpec("random", 1, 1), SampleOrder(2, 1437, batch, K))


class Turns:
    """Two that do the same, in turns.

    Args:
        calls: of each, in one turn.
    """

    def __init__(self, calls: int) -> None:
        self._calls = calls
        self.ours: list[float] = []
        self.peer: list[float] = []

    async def take(self, ours: Callable[[int], Awaitable[object]], peer: Callable[[int], object]) -> None:
        """One turn each."""
        self.ours.append(await self._median(ours))

        async def blocking(i: int) -> None:
            peer(i)

        self.peer.append(await self._median(blocking))

    async def _median(self, call: Callable[[int], Awaitable[object]]) -> float:
        times = []
        for i in range(self._calls):
            began = time.perf_counter()
            await call(i)
            times.append(time.perf_counter() - began)
        return statistics.median(times)

    def row(self, case: str, metric: str, peer_name: str, most: float | None) -> Row:
        """The medians in ms, and whether the median of the ratios is small enough."""
        ratio = statistics.median(ours / peer for ours, peer in zip(self.ours, self.peer, strict=True))
        ours = 1e3 * statistics.median(self.peer) * ratio
        return Row(
            case,
            metric,
            ours,
            1e3 * statistics.median(self.peer),
            peer_name,
            None if most is None else f"ours <= {most:g} x peer",
            None if most is None else ratio <= most,
        )


async def queries(addresses: tuple[str, str], turns: int, calls: int) -> Turns:
    """One short query."""
    taken = Turns(calls)
    ours = Resource("ours", addresses[0], ResourceSettings(check_errors=False), "")
    await ours.open()
    try:
        with bare(addresses[1]) as theirs:
            for _ in range(turns):
                await taken.take(lambda i: ours.query("*OPC?"), lambda i: theirs.query("*OPC?"))
    finally:
        await ours.close()
    return taken


async def blocks(addresses: tuple[str, str], turns: int, calls: int, batch: int) -> Turns:
    """Blocks of K probes."""
    taken = Turns(calls)
    dataset = load("digits")
    async with open_device(f"visa:{addresses[0]}") as device:
        assert isinstance(device, LinkedDevice)
        zeros = np.zeros(device.info.n_parameters)
        await device.load(dataset)
        await device.write(zeros)
        samples = device.session.samples
        assert samples is not None
        with bare(addresses[1]) as theirs:
            hello = Identify(1, 0, 1 << 14, 1).pack()
            acknowledged(theirs, Type.IDENTIFY, hello)
            step = (1 << 14) - Chunk.form.size
            for area, content in ((Area.INPUTS, samples.inputs), (Area.TARGETS, samples.targets)):
                for start in range(0, len(content), step):
                    chunk = Chunk(area, start).pack() + content[start : start + step]
                    acknowledged(theirs, Type.WRITE, chunk)
            acknowledged(theirs, Type.LOAD, samples.load.pack())
            theirs.write("FORM ASC")
            theirs.write("MGD:PAR " + ",".join(["0"] * zeros.size))
            theirs.write("FORM INT,32")
            held = Identity.unpack(acknowledged(theirs, Type.IDENTIFY, Identify(1, 0, 1 << 14, 0).pack()))

            def probe(i: int) -> object:
                payload = probe_of(block(i * K, batch), held.theta_crc, held.dataset_crc, floats=False).pack()
                theirs.write_raw(with_block("MGD:PROB? ", payload))
                costs = theirs.read_binary_values(datatype="i", container=np.ndarray)
                assert costs.size == K + 1
                return costs

            assert np.array_equal(probe(0)[1:], (await device.probe(block(0, batch))).perturbed)  # type: ignore[index]
            for _ in range(turns):
                await taken.take(lambda i: device.probe(block(i * K, batch)), probe)
    return taken


async def writes(addresses: tuple[str, str], turns: int, calls: int) -> Turns:
    """1,024 parameters, other ones each time; and as many bytes."""
    taken = Turns(calls)
    async with open_device(f"visa:{addresses[0]}") as device:
        assert device.info.n_parameters == PARAMETERS
        some = [np.random.default_rng(i).uniform(-1, 1, PARAMETERS) for i in range(calls)]
        await device.write(some[-1])
        with bare(addresses[1]) as theirs:
            acknowledged(theirs, Type.IDENTIFY, Identify(1, 0, 1 << 14, 1).pack())
            content = np.zeros(PARAMETERS, "<i2").tobytes()
            written = Chunk(Area.REQUESTED, 0).pack() + content
            for _ in range(turns):
                await taken.take(lambda i: device.write(some[i]), lambda i: acknowledged(theirs, Type.WRITE, written))
    return taken


def main() -> None:
    """Measure, and report."""
    options = arguments(__doc__)
    turns, calls = (2, 3) if options.quick else (TURNS, 60)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        lines = {
            "socket": ("scpi:0", "scpi:0"),
            "pty": (f"scpi:pty:{Path(folder) / 'ours'}", f"scpi:pty:{Path(folder) / 'theirs'}"),
        }
        for name, (ours, theirs) in lines.items():
            progress(name)
            with served(CHIP, ours) as one, served(CHIP, theirs) as other:
                taken = asyncio.run(queries((one, other), turns, calls))
                rows.append(taken.row(f"6 {name}", "ms per query", "pyvisa query", None))
                for batch in BATCHES:
                    taken = asyncio.run(blocks((one, other), turns, calls, batch))
                    metric = f"ms per block, K = {K}, B = {batch}"
                    rows.append(taken.row(f"6 {name}", metric, "pyvisa read_binary_values", 1.15))
            with served(WIDE_CHIP, ours) as one, served(WIDE_CHIP, theirs) as other:
                taken = asyncio.run(writes((one, other), turns, calls))
                rows.append(taken.row(f"6 {name}", "ms per 1,024 parameters", "pyvisa, a block of their bytes", 3))
    report("VISA", rows, options)


if __name__ == "__main__":
    main()
