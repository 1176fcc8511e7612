"""Runs that were stopped, or have not begun."""

from __future__ import annotations

from pathlib import Path

import pytest

import mgdhw
from mgdhw.experiment.schema import Experiment
from mgdhw.runs import Run, create_run
from mgdhw.training.events import BlockDone, Event
from tests.runs.kept import XOR


@pytest.fixture(scope="module")
def digest() -> str:
    return mgdhw.train(XOR, runs=None).digest


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """A run that was stopped in the middle."""
    session = mgdhw.TrainingHandle()

    def listen(event: Event) -> None:
        if isinstance(event, BlockDone) and event.step >= 300:
            session.stop()

    run = mgdhw.train(XOR, runs=tmp_path / "runs", session=session, listeners=[listen]).run
    assert run is not None
    return run


@pytest.fixture
def empty(tmp_path: Path) -> Run:
    return create_run(tmp_path / "runs", Experiment(name="test"), {"base": str(tmp_path)})
