"""What the firmware's tests share: everything is built once."""

import shutil
import sys
from pathlib import Path

import pytest

from .core import Core, build


@pytest.fixture(scope="session")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of what is built."""
    if shutil.which("make") is None or shutil.which("cc") is None:
        pytest.skip("needs make and a C compiler")
    return tmp_path_factory.mktemp("firmware")


@pytest.fixture(scope="session")
def core(builds: Path) -> Core:
    """The core as a library."""
    build(builds, "libcore.so")
    return Core(builds / "libcore.so")


@pytest.fixture(scope="session")
def host(builds: Path) -> Path:
    """The program that is a board."""
    if sys.platform == "win32":
        pytest.skip("the host port is a POSIX process")
    build(builds, "all")
    return builds / "mgdhw-host"


@pytest.fixture(scope="session")
def sanitized(builds: Path) -> Path:
    """The same with sanitizers: whatever they say fails the test that made them say it."""
    if sys.platform == "win32":
        pytest.skip("the host port is a POSIX process")
    build(builds / "sanitized", "all", sanitize=True)
    return builds / "sanitized" / "mgdhw-host"
