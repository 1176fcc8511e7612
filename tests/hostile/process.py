"""A hostile board in a process of its own, for tests that have no event loop."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.helpers.paths import ROOT


@contextmanager
def hostile_board(name: str) -> Iterator[str]:
    """Its address, for as long as this lasts.

    Args:
        name: of the case.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "tests.hostile.boards"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"serve {name}\n")
        process.stdin.flush()
        yield process.stdout.readline().strip()
        process.stdin.close()
