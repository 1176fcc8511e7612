"""Checkpoints come back to the bit, or not at all."""

from __future__ import annotations

import errno
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mgdhw.block import HeldBaseline
from mgdhw.errors import CheckpointError
from mgdhw.learning.filters import FilterState
from mgdhw.learning.gradient import Window
from mgdhw.learning.state import TrainState
from mgdhw.runs import atomic, checkpoint

finite = st.floats(allow_nan=False, allow_infinity=False)
whole = st.integers(0, 2**63 - 1)


@st.composite
def states(draw: st.DrawFn) -> TrainState:
    n = draw(st.integers(1, 5))
    vector = arrays.arrays(np.float64, n, elements=finite)
    codes = arrays.arrays(np.int64, n, elements=st.integers(-(2**63), 2**63 - 1))
    scalar = arrays.arrays(np.float64, (), elements=finite)
    names = st.text("abcdefgh_0123456789", min_size=1, max_size=8)
    return TrainState(
        step=draw(whole),
        update=draw(whole),
        theta=draw(vector),
        optimizer=draw(st.dictionaries(names, st.one_of(vector, scalar), max_size=4)),
        window=Window(draw(st.one_of(vector, codes)), draw(codes)),
        filters=FilterState(draw(vector), draw(st.none() | finite), draw(finite)),
        held=draw(st.none() | st.builds(HeldBaseline, st.one_of(whole, finite), whole)),
        evaluations=draw(whole),
        digest_state=draw(st.binary(min_size=32, max_size=32)),
        recent=tuple(draw(st.lists(finite, max_size=4))),
    )


def assert_same(left: TrainState, right: TrainState) -> None:
    """Every bit, every type."""
    for name in ("step", "update", "evaluations", "digest_state", "held", "recent"):
        assert getattr(left, name) == getattr(right, name)
        assert type(getattr(left, name)) is type(getattr(right, name))
    if left.held is not None and right.held is not None:
        assert type(left.held.value) is type(right.held.value)
    assert repr((left.filters.cost, left.filters.high_passed)) == repr((right.filters.cost, right.filters.high_passed))
    assert left.optimizer.keys() == right.optimizer.keys()
    pairs = [
        (left.theta, right.theta),
        (left.window.cross, right.window.cross),
        (left.window.energy, right.window.energy),
        (left.filters.gradient, right.filters.gradient),
        *((left.optimizer[name], right.optimizer[name]) for name in left.optimizer),
    ]
    for one, other in pairs:
        assert (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())


@pytest.fixture
def state() -> TrainState:
    return TrainState(
        step=1234,
        update=12,
        theta=np.array([0.5, -0.25]),
        optimizer={"m": np.array([1.0, 2.0]), "beta1_power": np.asarray(0.9)},
        window=Window.empty(2),
        filters=FilterState.empty(2),
        held=HeldBaseline(17, 1200),
        evaluations=2500,
        digest_state=bytes(range(32)),
    )


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(state=states(), extra=st.dictionaries(st.text(max_size=5), st.integers() | finite | st.text(), max_size=3))
def test_comes_back_to_the_bit(tmp_path: Path, state: TrainState, extra: dict[str, object]) -> None:
    path = tmp_path / "checkpoint.npz"
    checkpoint.save(path, state, extra)
    saved = checkpoint.load(path)
    assert_same(saved.state, state)
    assert saved.extra == extra


def test_cut_short_anywhere(tmp_path: Path, state: TrainState) -> None:
    path = tmp_path / "checkpoint.npz"
    checkpoint.save(path, state)
    whole_file = path.read_bytes()
    for length in {*range(0, len(whole_file), 7), *range(len(whole_file) - 32, len(whole_file))}:
        path.write_bytes(whole_file[:length])
        with pytest.raises(CheckpointError, match=r"checkpoint\.npz: is damaged.*remove it to go on"):
            checkpoint.load(path)


def test_a_flipped_bit_is_seen_or_harmless(tmp_path: Path, state: TrainState) -> None:
    path = tmp_path / "checkpoint.npz"
    checkpoint.save(path, state)
    whole_file = path.read_bytes()
    for position in range(0, len(whole_file), 7):
        damaged = bytearray(whole_file)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        try:
            found = checkpoint.load(path)
        except CheckpointError:
            continue
        assert_same(found.state, state)  # a date in the archive's directory


def test_content_exchanged_behind_an_intact_archive(tmp_path: Path, state: TrainState) -> None:
    path = tmp_path / "checkpoint.npz"
    checkpoint.save(path, state)
    with np.load(path) as archive:
        members = {name: archive[name] for name in archive.files}
    members["theta"] = members["theta"] + 1.0
    np.savez(path, **members)
    with pytest.raises(CheckpointError, match="is damaged"):
        checkpoint.load(path)


@pytest.mark.parametrize("content", [b"", b"hello", pickle.dumps({"theta": 1}), b"PK\x05\x06" + bytes(18)])
def test_foreign_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "foreign.npz"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"foreign\.npz"):
        checkpoint.load(path)


def test_foreign_archives(tmp_path: Path) -> None:
    np.save(tmp_path / "single.npy", np.zeros(3))
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    np.savez(tmp_path / "pickled.npz", json=np.array([{"a": 1}], dtype=object))
    for path in tmp_path.iterdir():
        with pytest.raises(CheckpointError, match=path.name):
            checkpoint.load(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="No such file"):
        checkpoint.load(tmp_path / "none.npz")


def test_newer_format(tmp_path: Path, state: TrainState, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "checkpoint.npz"
    monkeypatch.setattr(checkpoint, "FORMAT", 2)
    checkpoint.save(path, state)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match=r"format 2.*update mgdhw"):
        checkpoint.load(path)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, state: TrainState, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "checkpoint.npz"
    checkpoint.save(path, state)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(path, replace(state, step=9999))
    assert checkpoint.load(path).state.step == 1234
    assert [found.name for found in tmp_path.iterdir()] == ["checkpoint.npz"]


@given(state=states())
@settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_not_looked_for_leaves_no_trace(state: TrainState, tmp_path: Path) -> None:
    """A checkpoint of a training that looks for no outliers is what it was before there was such a thing."""
    path = tmp_path / "checkpoint.npz"
    for recent, members in (((), set[str]()), ((1.5,), {"recent"})):
        checkpoint.save(path, replace(state, recent=recent))
        with np.load(path) as archive:
            assert set(archive.files) & {"recent"} == members
