"""Training through the ordinary drivers on the C core ends at the digest of the in-process chip.

The boards are a process on TCP and on a pseudo-terminal, and an emulated Cortex-M3 that runs the bare-metal firmware.
"""

import re
import shutil
import socket
import subprocess
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mgdhw.datasets import load
from mgdhw.device import open_device
from mgdhw.experiment.load import check_experiment
from mgdhw.training.events import Finished
from mgdhw.training.trainer import Trainer
from mgdhw_drivers.protocol.numbers import Area, Type
from tests.helpers.paths import EXAMPLES

from .core import build
from .talk import board, line

XOR = ("layers=2-3-1", "weight_range=8")
NONIDEAL = (
    *("read_noise=0.02", "input_noise=0.01", "cost_noise=0.001", "write_noise=0.01", "cell_gain_std=0.05"),
    *("stuck=0.05", "retention=3000", "drift_every=7", "settling=0.1", "seed=5"),
    *("temperature_std=3", "temperature_every=50", "temperature_midpoint=0.003"),
)
QEMU = "qemu-system-arm"
LEVELS = ("host-codes", "device-codes", "learn")


@contextmanager
def emulated(folder: Path, where: str, *options: str) -> Iterator[str]:
    """The address of an emulated Cortex-M3 whose serial port is a pseudo-terminal or a TCP port."""
    build(folder, "mps2", *options)
    command = [QEMU, "-M", "mps2-an385", "-nographic", "-monitor", "none", "-kernel", str(folder / "mps2.elf")]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = listener.fileno()  # it listens before the emulator has started, so nobody has to wait
        port = "pty" if where == "pty" else "chardev:line"
        command += ["-serial", port, "-chardev", f"socket,id=line,server=on,wait=off,fd={number}"]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, pass_fds=(number,)
        ) as process:
            assert process.stdout is not None
            try:
                if where == "pty":
                    told = re.search(r"/dev/\S+", process.stdout.readline())
                    assert told is not None
                    yield f"serial:{told[0]}"
                else:
                    yield f"tcp:127.0.0.1:{listener.getsockname()[1]}"
            finally:
                process.terminate()


async def digest_of(uri: str, level: str, probes: int, optimizer: str = "adam", **sections: dict[str, Any]) -> str:
    """Train XOR on a device; the digest of the trajectory."""
    values = tomllib.loads((EXAMPLES / "xor.toml").read_text(encoding="utf-8"))
    values["device"], values["run"] = {"uri": uri}, {"level": level}
    values["training"]["probes"] = probes
    values["optimizer"] = {"name": optimizer, "eta": 0.03}
    values["evaluation"] = {"every": 160}
    for section, keys in sections.items():
        values.setdefault(section, {}).update(keys)
    experiment = check_experiment(values, source="test")
    async with open_device(uri) as device:
        async for event in Trainer(experiment, device, load("xor")):
            if isinstance(event, Finished):
                return event.digest
    raise AssertionError("training did not finish")


async def assert_same(
    uri: str, probes: dict[str, int], optimizer: str = "adam", chip_options: tuple[str, ...] = XOR
) -> None:
    """Every level on a board ends, after so many probes, where the chip in this process does."""
    chip = f"sim:analog-8bit?{'&'.join(chip_options)}&engine=reference"
    for level, count in probes.items():
        expected = await digest_of(chip, "device-codes", count, optimizer)
        assert await digest_of(uri, level, count, optimizer) == expected


@pytest.mark.parametrize("polarity", [(), ("input_bipolar=1",)])
async def test_a_board_says_what_its_inputs_take(host: Path, polarity: tuple[str, ...]) -> None:
    low = -1.0 if polarity else 0.0
    with board(host, "--tcp", "0", *XOR, *polarity) as (_, address):
        async with open_device(address) as device:
            assert device.info.input_range == (low, 1.0)


@pytest.mark.parametrize("where", ["--tcp 0", "--pty"])
async def test_on_the_host_port(host: Path, where: str) -> None:
    with board(host, *where.split(), *XOR) as (_, address):
        await assert_same(address, dict.fromkeys(LEVELS, 1600))


@pytest.mark.parametrize("family", ["random", "walsh"])
async def test_continuous_mode_divides_as_in_this_process(host: Path, family: str) -> None:
    mode: dict[str, Any] = {"training": {"mode": "continuous", "update_every": 3}, "codes": {"family": family}}
    expected = await digest_of("sim:analog-8bit?layers=2-3-1&weight_range=8&engine=reference", "learn", 200, **mode)
    with board(host, "--pty", *XOR) as (_, address):
        for level in LEVELS:
            assert await digest_of(address, level, 200, **mode) == expected, level


async def test_limits_on_how_parameters_move_change_no_bit(host: Path) -> None:
    with board(host, "--pty", *XOR, "max_slew=2", "slew_interval=0.1") as (_, address):
        await assert_same(address, dict.fromkeys(LEVELS, 400))


async def test_a_nonideal_chip_on_the_host_port(host: Path) -> None:
    options = (*XOR, *NONIDEAL)
    with board(host, "--tcp", "0", *options) as (_, address):
        await assert_same(address, {"device-codes": 400, "learn": 400}, chip_options=options)


@pytest.mark.long
@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="needs gcc-arm-none-eabi")
@pytest.mark.skipif(shutil.which(QEMU) is None, reason="needs qemu-system-arm")
@pytest.mark.parametrize(("where", "optimizer"), [("tcp", "sgd"), ("pty", "adam")])
async def test_on_an_emulated_cortex_m3(builds: Path, where: str, optimizer: str) -> None:
    with emulated(builds, where) as address:
        # The emulator takes a tenth of a millisecond for a byte, and host codes take many.
        await assert_same(address, {"learn": 1600, "device-codes": 160, "host-codes": 4}, optimizer)


@pytest.mark.long
@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="needs gcc-arm-none-eabi")
@pytest.mark.skipif(shutil.which(QEMU) is None, reason="needs qemu-system-arm")
def test_ramps_on_an_emulated_cortex_m3(builds: Path) -> None:
    chip = "CHIP=-DMG_MAX_SLEW=10 -DMG_SLEW_INTERVAL_US=20000"
    with emulated(builds / "ramps", "pty", chip) as address, line(address) as talk:
        talk.identify()
        codes = np.full(13, 100)  # of a chip of 2-3-1
        for way in (codes, -codes):
            began = time.monotonic()
            assert talk.set(way).trouble is None
            assert time.monotonic() - began >= (np.abs(way).max() / 10 - 1) * 0.02
            assert_array_equal(np.frombuffer(talk.read(Area.HELD, 26), "<i2"), way)
        began = time.monotonic()
        assert talk.ask(Type.SAFE).trouble is None
        assert time.monotonic() - began >= 9 * 0.02
