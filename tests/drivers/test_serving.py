"""`mgdhw serve`, faults by name, and what is found at ports."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mgdhw.errors import ConfigError
from mgdhw_drivers.client import discovery
from mgdhw_drivers.server.fault_injection import FaultInjector, Faults
from mgdhw_drivers.transports.serial import SERIAL


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-W", "error", "-c", "from mgdhw.cli.main import main; main()", *arguments]


@pytest.mark.parametrize("arguments", [["serve", "sim:analog-8bit"], ["sim", "serve", "analog-8bit"]], ids=" ".join)
def test_a_chip_is_served_until_it_is_asked_to_end(arguments: list[str], tmp_path: Path) -> None:
    link = tmp_path / "port"
    with subprocess.Popen(
        command(*arguments, "--pty", "--link", str(link)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"serving sim:analog-8bit at serial:{link}\n"
        assert link.is_symlink()
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert err.endswith("sim:analog-8bit: in its safe state\n")
    assert not link.is_symlink()


def test_the_short_form_shows_the_options_of_the_long_one() -> None:
    options = []
    for arguments in (["serve"], ["sim", "serve"]):
        done = subprocess.run(
            command(*arguments, "--help"),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "COLUMNS": "120"},
        )
        assert (done.returncode, done.stderr) == (0, "")
        options.append(set(re.findall(r"--[a-z]+", done.stdout.partition("Options")[2])))
    assert (
        options[0] == options[1] >= {"--tcp", "--unix", "--pty", "--link", "--serial", "--baud", "--faults", "--help"}
    )
    assert re.search(r"Usage: .* sim serve .*CHIP", done.stdout)
    assert "Example: mgdhw sim serve analog-8bit --tcp 5510" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "say where"),
        (["--tcp", "0", "--pty"], "say where"),
        (["--tcp", "0", "--link", "x"], "only with --pty"),
        (["--tcp", "0", "--unix", "x"], "say where"),
        (["--unix", __file__], "is there already, and no socket"),
        (["--unix", "no-such-folder/x"], "unix:no-such-folder/x: cannot be made"),
        (["--tcp", "99999"], "tcp:99999: port '99999': expected 0 ... 65535"),
        (["--pty", "--link", __file__], "is there already, and no link"),
        (["--pty", "--link", "no-such-folder/x"], "pty:no-such-folder/x: cannot be made"),
        (["--tcp", "0", "--faults", "drpo=1"], "no fault 'drpo'"),
        (["--tcp", "0", "--faults", "drop=2"], "expected a share"),
    ],
)
def test_options_that_make_no_sense(arguments: list[str], says: str) -> None:
    done = subprocess.run(
        command("serve", "sim:analog-8bit", *arguments), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode != 0
    assert says in re.sub(r"\s+", " ", done.stderr)
    assert "Traceback" not in done.stderr
    assert Path(__file__).is_file()  # what --link names is somebody's


def test_faults_by_name() -> None:
    assert Faults.parse("") == Faults()
    assert Faults.parse("drop=0.01, delay=5ms") == Faults(drop=0.01, delay=0.005, late=1.0)
    with pytest.raises(ConfigError, match="expected a time"):
        Faults.parse("delay=5")


def test_the_same_seed_has_the_same_fate() -> None:
    faults = Faults.parse("drop=0.3,corrupt=0.3,dup=0.3,split=0.3,delay=5ms,late=0.3,reboot=0.1,unplug=0.1")
    sent = [bytes([i, 1, 2, 3, 0]) for i in range(200)]
    fates = [[FaultInjector(faults, seed, "x").inject(frame) for frame in sent] for seed in (1, 1, 2)]
    assert fates[0] == fates[1] != fates[2]
    one = FaultInjector(faults, 1, "x")
    struck = [one.inject(frame) for frame in sent]
    assert 20 < sum(not fate.pieces for fate in struck) < 100
    assert any(fate.reboot for fate in struck)


async def test_what_a_board_at_a_port_answers(bench: Any) -> None:
    async with bench.serve(how="pty") as address:
        answer = await discovery.describe_board(SERIAL.stream(address, *SERIAL.parse(address)))
        assert answer.startswith("simulated chip analog-8bit, ")
        assert answer.endswith(": 13 parameters")
    assert (
        await discovery.describe_board(SERIAL.stream("serial:x", "/dev/no-such-port", SERIAL.options()))
    ).startswith("no answer")
    assert "serial:PORT" in SERIAL.presets()
