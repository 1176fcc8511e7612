"""A short training that is kept, and what is said when it is resumed."""

from __future__ import annotations

from pathlib import Path

import mgdhw
from mgdhw.training.events import Event, Started
from tests.helpers.experiments import xor_experiment

XOR = xor_experiment(600, evaluation={"every": 100}, run={"checkpoint_seconds": 0.05, "block": 10})


def notes_of(run: Path, digest: str) -> tuple[str, ...]:
    """What is said first when a run goes on, which it does to the right digest."""
    heard: list[Event] = []
    assert mgdhw.train(resume=run, listeners=[heard.append]).digest == digest
    assert isinstance(heard[0], Started)
    return heard[0].notes
