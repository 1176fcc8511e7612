"""Where runs are kept, and what a whole training comes to."""

from __future__ import annotations

from pathlib import Path

import pytest

import mgdhw
from tests.core.running import XOR


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture(scope="module")
def digest() -> str:
    return mgdhw.train(XOR, runs=None).digest
