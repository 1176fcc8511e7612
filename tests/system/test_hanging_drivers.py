"""Drivers that do not come back from disconnecting: told, left after a while, and never said to be safe."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .terminal import terminal

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals"),
    pytest.mark.long,
]

HANGS = """
import asyncio
import time
import numpy as np
from mgdhw.blocking import BlockingDevice
from mgdhw.device import Capability, DeviceInfo
from mgdhw.topology import Topology
from mgdhw_sim.uri import parse
from mgdhw_sim.device import SimDevice


class Awaits(SimDevice):
    closing_seconds = SECONDS
    closings = 0

    def __init__(self, uri):
        super().__init__(uri, parse("sim:analog-8bit?layers=2-2-1"))

    async def disconnect(self):
        self.closings += 1
        if self.closings > (1 if self.served else 0):  # a server closes it first when it starts
            await asyncio.sleep(3600)

    served = False


class Served(Awaits):
    served = True


class Blocks(BlockingDevice):
    closing_seconds = SECONDS

    def start_up(self):
        can = Capability.MEASURE
        self.info = DeviceInfo("instrument", "1", Topology(3), -2.0, 2.0, 2.0**-10, 2, 1, "mse", 1.0, can)

    def shut_down(self):
        time.sleep(3600)

    def set_parameters(self, theta):
        self.theta = theta.copy()

    def read_outputs(self, inputs):
        return np.tanh(inputs @ self.theta[:2, None])
"""
WORDS = "NOT confirmed to be safe: its driver did not return from disconnect(); check the hardware"
EXPERIMENT = """
[data]
name = "xor"
[training]
probes = {probes}
tau_theta = 10
init = "uniform"
[codes]
delta = 0.05
"""
MGDHW = [sys.executable, "-W", "error", "-c", "from mgdhw.cli.main import main; main()"]


def lab(folder: Path, env: dict[str, str], seconds: float) -> dict[str, str]:
    """The drivers, installed; the environment that finds them."""
    site = folder / "site"
    information = site / "hanging-1.0.dist-info"
    information.mkdir(parents=True)
    (site / "hanging.py").write_text(HANGS.replace("SECONDS", str(seconds)))
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: hanging\nVersion: 1.0\n")
    points = "".join(f"{name.lower()} = hanging:{name}\n" for name in ("Awaits", "Served", "Blocks"))
    (information / "entry_points.txt").write_text(f"[mgdhw.devices]\n{points}")
    (folder / "short.toml").write_text(EXPERIMENT.format(probes=20))
    path = os.pathsep.join([str(site), env.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return {**env, "PYTHONPATH": path}


@pytest.mark.parametrize("device", ["awaits:1", "blocks:1"])
def test_a_finished_training_has_its_result_and_the_process_ends(
    device: str, tmp_path: Path, unmeasured: dict[str, str]
) -> None:
    line = [*MGDHW, "train", "short.toml", "--device", device]
    done = subprocess.run(
        line, cwd=tmp_path, env=lab(tmp_path, unmeasured, 2.5), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1, done.stderr
    assert f"{device}: going to the safe state (1 s so far)" in done.stdout
    assert "digest" in done.stdout
    assert f"error: {device}: {WORDS}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("device", ["awaits:1", "blocks:1"])
def test_the_fourth_ctrl_c_leaves_at_once(device: str, tmp_path: Path, unmeasured: dict[str, str]) -> None:
    line = [*MGDHW, "train", "short.toml", "--device", device]
    with terminal(line, tmp_path, lab(tmp_path, unmeasured, 3600.0)) as seen:
        seen.wait_for(lambda shown: "going to the safe state (" in shown)
        for _ in range(12):  # the fourth that arrives: on a busy machine two may become one
            if seen.process.poll() is not None:
                break
            seen.press_ctrl_c()
            pressed = time.monotonic()
            seen.wait_for(lambda _, since=pressed: time.monotonic() - since > 0.5 or WORDS[:13] in seen.shown)  # type: ignore[misc]
        assert seen.end() == 130, seen.shown
    assert "".join(WORDS.split()) in "".join(seen.shown.split())  # a terminal wraps lines


def test_a_server_ends_and_says_what_it_waited_for(tmp_path: Path, unmeasured: dict[str, str]) -> None:
    env = lab(tmp_path, unmeasured, 2.5)
    for device, code in (("served:1", 0), ("awaits:1", 1)):
        process = subprocess.Popen(
            [*MGDHW, "serve", device, "--unix", str(tmp_path / "socket")],
            cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            if code == 0:
                assert "serving served:1" in first
                process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
            process.wait()
        assert process.returncode == code, err
        assert "Traceback" not in err
        if code == 0:
            assert "bringing served:1 to its safe state" in err
            assert "served:1: in its safe state" in err
        else:
            assert "awaits:1: NOT confirmed to be safe" in err
