"""No text of a board, of a file or of a name steers the terminal that it is shown on."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mgdhw.report.console import printable
from tests.hostile.process import hostile_board

from .conftest import EXPERIMENT, command
from .terminal import Terminal, terminal

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")

EVIL = "\x1b]0;evil\x07\x1b[2J\x9b31m[red]\u202e"
"""Sets the window's title, clears the screen, colours it twice over, and turns the direction of writing."""
SHOWN = r"\x1b]0;evil\x07"
TOML = r"\u001b]0;evil\u0007\u001b[2J"


def assert_harmless(shown: Terminal) -> None:
    """What begins with a raw ESC there is rich's own."""
    assert b"\x1b]0;" not in shown.raw
    assert b"\x1b[2J" not in shown.raw
    assert "\x9b" not in shown.shown
    assert "\u202e" not in shown.shown


@pytest.mark.long
@pytest.mark.parametrize("name", ["description: a model of control characters", "SET: refused with 7"])
def test_a_board_steers_no_terminal(name: str, folder: Path, unmeasured: dict[str, str]) -> None:
    with (
        hostile_board(name) as address,
        terminal(command("train", "short.toml", "--device", address), folder, unmeasured) as shown,
    ):
        shown.end()
        assert SHOWN in shown.shown
        assert_harmless(shown)


FILES = {
    "a chip file that is not there": ("train", "short.toml", "--device", f"sim:{EVIL}.toml"),
    "an experiment that is not there": ("train", f"{EVIL}.toml"),
    "a run that is not there": ("evaluate", EVIL),
    "a run to resume": ("train", "--resume", f"runs/{EVIL}"),
    "a command": (EVIL,),
    "what is too much": ("evaluate", "a", EVIL),
    "a name in a chip file": ("sim", "show", "sim:named.toml"),
    "a key in a chip file": ("sim", "show", "sim:wrong.toml"),
    "an experiment's name": ("train", "named-experiment.toml", "--runs", f"runs {EVIL}"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_or_a_name_steers_no_terminal(case: str, folder: Path, unmeasured: dict[str, str]) -> None:
    (folder / "named.toml").write_text(f'layers = [2, 3, 1]\nname = "{TOML}"\n')
    (folder / "wrong.toml").write_text(f'layers = [2, 3, 1]\n"{TOML}" = 1\n')
    text = EXPERIMENT.format(probes=20).replace('name = "xor"', f'name = "{TOML}"', 1)
    (folder / "named-experiment.toml").write_text(text)
    with terminal(command(*FILES[case]), folder, unmeasured) as shown:
        shown.end()
        assert_harmless(shown)
        assert r"\x1b" in shown.shown


def test_what_is_printable() -> None:
    assert printable(EVIL) == r"\x1b]0;evil\x07\x1b[2J\x9b31m[red]\u202e"
    assert printable("θ = 0.5 µs\n\tnext") == r"θ = 0.5 µs\n\tnext"
    assert printable("θ = 0.5 µs\n\tnext\r", lines=True) == "θ = 0.5 µs\n\tnext\\r"
    assert printable("\x7f\ud800\u2028\u2066") == r"\x7f\ud800\u2028\u2066"
