"""What the board in C is told on its command line."""

import subprocess
from pathlib import Path

import pytest


@pytest.mark.parametrize("option", ["cost=table", "activation=table", "output_activation=table"])
def test_the_core_has_no_tables_and_says_so(host: Path, option: str) -> None:
    done = subprocess.run([host, option], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert f"no such choice: {option}" in done.stderr
