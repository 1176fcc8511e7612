"""A session is for one training."""

from __future__ import annotations

import pytest

import mgdhw
from mgdhw.errors import ConfigError
from mgdhw.training.events import Event, Started
from tests.runs.kept import XOR


def test_a_session_is_for_one_training(digest: str) -> None:
    session = mgdhw.TrainingHandle()
    assert not session.stop()
    assert mgdhw.train(XOR, runs=None, session=session).reason == "stopped"
    for again in (
        lambda: mgdhw.train(XOR, runs=None, session=session),
        lambda: mgdhw.train_replicas(XOR, runs=None, session=session, replicas=2),
    ):
        with pytest.raises(ConfigError, match=r"this one has had its own .*: session = mgdhw\.TrainingHandle\(\)"):
            again()
    assert mgdhw.train(XOR, runs=None, session=mgdhw.TrainingHandle()).digest == digest


def test_a_session_is_free_again_where_nothing_began(digest: str) -> None:
    session = mgdhw.TrainingHandle()
    session.stop()
    with pytest.raises(ConfigError, match="nonsense"):
        mgdhw.train({**XOR, "nonsense": 1}, runs=None, session=session)
    assert mgdhw.train(XOR, runs=None, session=session).digest == digest


def test_a_session_is_not_shared_by_two_at_once() -> None:
    session = mgdhw.TrainingHandle()

    def listen(event: Event) -> None:
        if isinstance(event, Started):
            with pytest.raises(ConfigError, match="a handle is for one training"):
                mgdhw.train(XOR, runs=None, session=session)

    assert mgdhw.train(XOR, runs=None, session=session, listeners=[listen]).reason == "done"
