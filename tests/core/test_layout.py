"""The tests themselves: where they lie, and how long their files are."""

import random
import statistics
import sys
from importlib.util import find_spec
from pathlib import Path

from tests.helpers.paths import ROOT

TESTS = ROOT / "tests"
OTHERS = {"core", "drivers", "firmware", "golden", "helpers", "hostile", "sim", "statistics", "system"}
"""Folders that no package of `mgdhw` is named like; `core` has the tests of the modules at its top."""
LONGEST = 400


def test_folders_mirror_the_packages() -> None:
    folders = {path.name for path in TESTS.iterdir() if any(path.glob("*.py"))}
    assert {name for name in folders - OTHERS if find_spec(f"mgdhw.{name}") is None} == set()


def test_no_file_is_long() -> None:
    lines = {str(path.relative_to(TESTS)): path.read_text("utf-8").count("\n") for path in TESTS.rglob("*.py")}
    assert {name: count for name, count in lines.items() if count > LONGEST} == {}


def test_folders_hide_no_module_of_the_standard_library() -> None:
    """`tests/random` and `tests/statistics` are found as `tests.random` and `tests.statistics` only."""
    assert str(TESTS) not in {str(Path(entry).resolve()) for entry in sys.path if entry}
    assert random.Random(0).random() < 1.0
    assert statistics.mean([1.0, 3.0]) == 2.0
