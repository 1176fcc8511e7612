"""What racks of instruments do in a second: single probes, overlapped writes, and hardware-timed blocks.

The three example racks are simulated in a process of their own (`mgdhw bench simulate`), with a latency of 1 ms a
message, and used over sockets. The targets are those of issue 16, case 2: hardware-timed blocks give 20 times as many
probes per second as single ones, and writes to nine instruments overlap.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from common import Row, arguments, progress, report

import mgdhw
from mgdhw.block import Block, CodeSpec
from mgdhw.device import Capability
from mgdhw.random.sample_order import SampleOrder
from mgdhw_drivers.bench.device import BenchDevice, open_uri
from mgdhw_drivers.bench.live_try import try_rack

ROOT = Path(__file__).resolve().parents[1]
RACKS = ("source-and-scope", "source-measure-units", "generator-and-digitizer")
LATENCY = "1ms"
BATCH, TAU_X = 4, 100
SIMULATE = [sys.executable, "-c", "from mgdhw.cli.main import main; main()", "bench", "simulate"]


@contextmanager
def simulated(name: str, folder: Path) -> Iterator[str]:
    """Address of a simulated rack."""
    path = folder / f"{name}.toml"
    command = [*SIMULATE, str(ROOT / "examples" / "benches" / f"{name}.toml"), "--latency", LATENCY, "-o", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("train it with"):
                break
        try:
            yield f"bench:{path}"
        finally:
            process.terminate()


async def seconds_per_probe(device: BenchDevice, n_probes: int, turns: int, *, single: bool) -> float:
    """The median of several blocks."""
    times = []
    for turn in range(turns):
        block = Block(turn * n_probes, n_probes, CodeSpec("random", 1, 63), SampleOrder(2, 4, BATCH, TAU_X))
        began = time.perf_counter()
        await (device.probe_with_host_codes(block) if single else device.probe(block))
        times.append((time.perf_counter() - began) / n_probes)
    return statistics.median(times)


async def measured(name: str, uri: str, quick: bool) -> list[Row]:
    """One rack."""
    turns, few, many = (1, 4, 20) if quick else (5, 20, 1000)
    async with open_uri(uri) as device:
        await device.load(mgdhw.load_dataset("xor"))
        await device.write(np.zeros(device.info.n_parameters))
        single = 1 / await seconds_per_probe(device, few, turns, single=True)
        rows = [Row(f"2 {name}", f"single probes/s, B = {BATCH}", single)]
        if Capability.PROBE in device.info.capabilities:
            timed = 1 / await seconds_per_probe(device, many, turns, single=False)
            holds = None if quick else timed >= 20 * single
            rows.append(
                Row(
                    f"2 {name}",
                    f"hardware-timed probes/s, K = {many}",
                    timed,
                    single,
                    "single",
                    "ours >= 20 x peer",
                    holds,
                )
            )
    trial = await try_rack(open_uri(uri), 63)
    (write,) = (phase for phase in trial.phases if phase.name == "write θ + θ̃")
    target = "ours <= peer / 3" if write.instruments > 3 else None
    rows.append(
        Row(
            f"2 {name}",
            f"ms per write, {write.instruments} instrument{'s' * (write.instruments > 1)}",
            1e3 * write.seconds,
            1e3 * write.instrument_seconds,
            "one message after another",
            target,
            None if target is None or quick else write.seconds <= write.instrument_seconds / 3,
        )
    )
    return rows


def main() -> None:
    """Measure, and report."""
    options = arguments(__doc__)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in RACKS:
            progress(name)
            with simulated(name, Path(folder)) as uri:
                rows += asyncio.run(measured(name, uri, options.quick))
    report(f"Racks, {LATENCY} a message", rows, options)


if __name__ == "__main__":
    main()
