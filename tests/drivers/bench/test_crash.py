"""A program that was killed: its instruments are brought to their safe state at the next start."""

import asyncio
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from mgdhw_drivers.bench.crash import FOLDER, CrashMarkers
from mgdhw_drivers.bench.rack import Place
from tests.drivers.bench.simulated import simulated

PROGRAM = """
import asyncio, sys
import numpy as np
from mgdhw.device import open_device

async def main():
    async with open_device(sys.argv[1]) as device:
        await device.write(np.full(13, 2.0))
        print("there", flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_after_sigkill_the_next_start_ramps_to_the_safe_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path / "marks"))
    async with simulated("source-and-scope", tmp_path) as rack:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, rack.uri, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        assert await process.stdout.readline() == b"there\n"
        process.send_signal(signal.SIGKILL)
        await process.wait()
        async with rack.device() as device:
            assert "did not leave them safe" in caplog.text
            np.testing.assert_array_equal(await device.read(), np.zeros(13))
            await device.write(np.full(13, 1.0))
        caplog.clear()
        async with rack.device() as device:
            assert "did not leave them safe" not in caplog.text
    steps = {place: step for place, step in rack.recorder.largest.items() if int(place.channel) <= 13}
    assert set(steps) == {Place("source", str(channel)) for channel in range(1, 14)}
    assert max(steps.values()) <= 0.5 + 1e-9


def test_markers_belong_to_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path))
    one = CrashMarkers(["TCPIP::a::5025::SOCKET", "TCPIP::b::5025::SOCKET"], "one.toml")
    other = CrashMarkers(["tcpip::B::5025::socket"], "other.toml")
    third = CrashMarkers(["TCPIP::c::5025::SOCKET"], "third.toml")
    assert not one.left()
    one.set()
    assert one.left()
    assert other.left()
    assert not third.left()
    one.clear()
    assert not other.left()
