"""The table of hostile requests against both kinds of board, as processes of their own: they refuse the same."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from mgdhw_drivers.protocol.numbers import Code, Type
from tests.firmware.core import build
from tests.firmware.talk import board as board_in_c
from tests.firmware.talk import line

from .requests import rows
from .rows import Expect, Row
from .sending import Sender
from .world import CHIP, LSB, PROBE, Holding

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="boards on pseudo-terminals")

KINDS = ("C", "Python")
FEW = 23
"""One of so many rows is sent where all of them would take too long."""
LARGEST_MIB = 700


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The host port, with sanitizers: whatever they say ends it."""
    folder = tmp_path_factory.mktemp("host")
    build(folder, "all", sanitize=True)
    return folder / "mgdhw-host"


@contextmanager
def served(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`mgdhw serve` and its address. It has to end well, and no exception may have gone astray."""
    command = [sys.executable, "-c", "from mgdhw.cli.main import main; main()", "serve", "--pty", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = re.search(r"serial:\S+", process.stdout.readline())
        assert found is not None
        try:
            yield process, found[0]
        finally:
            process.terminate()
            said = process.communicate()[1]
    assert "Traceback" not in said, said
    assert process.returncode == 0


@contextmanager
def serving(kind: str, program: Path, slew: int = 0) -> Iterator[tuple[subprocess.Popen[str], Sender]]:
    """A board of one kind, and a hostile host on its line."""
    if kind == "C":
        running = board_in_c(program, "--pty", *CHIP, f"max_slew={slew}")
    else:
        running = served("sim:analog-8bit?" + "&".join(CHIP), f"--slew={slew * LSB}")
    with running as (process, address), line(address) as talk:
        yield process, Sender(talk, learns=not slew)  # a served device keeps no limits while it learns


def differences(sender: Sender, some: Iterator[Row]) -> list[str]:
    """Rows that are answered otherwise. Raises Hangs."""
    found = []
    for row in some:
        expected, got = row.expected(), sender.send(row)
        if got != Expect(expected.code, thing=expected.thing):
            found.append(f"{row.holding.value}: {row.name}: expected {expected}, got {got}")
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_some_rows(kind: str, program: Path) -> None:
    with serving(kind, program) as (_, sender):
        assert differences(sender, (row for number, row in enumerate(rows()) if number % FEW == 0)) == []


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_the_whole_table(kind: str, program: Path) -> None:
    with serving(kind, program) as (process, sender):
        assert differences(sender, rows()) == []
        peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
        assert peak is not None
        assert int(peak[1]) < LARGEST_MIB * 1024


@pytest.mark.parametrize("kind", KINDS)
def test_swings(kind: str, program: Path) -> None:
    with serving(kind, program, slew=7) as (_, sender):
        for amplitude, code in ((3, None), (4, Code.LIMIT)):
            row = Row("PROBE", Type.PROBE, replace(PROBE, amplitude=amplitude).pack(), Expect(), holding=Holding.SET)
            assert sender.send(row).code is code


def test_the_table_is_as_large_as_it_should_be() -> None:
    table = list(rows())
    assert len(table) > 6000
    assert {row.expected().code for row in table} == {None, *Code} - {Code.FAULT, Code.VERSION}
    assert {row.kind for row in table} >= {int(kind) for kind in Type}
