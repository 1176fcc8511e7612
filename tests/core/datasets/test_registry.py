"""Names, options and paths."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mgdhw.datasets import NAMES, load
from mgdhw.errors import DatasetError


@pytest.mark.parametrize("name", ["xor", "parity-4", "nist7x7", "digits"])
def test_twice_the_same(name: str) -> None:
    first, second = load(name, seed=3), load(name, seed=3)
    assert first.digest == second.digest
    assert not first.inputs.flags.writeable
    assert not first.targets.flags.writeable


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("digit", "digits"), ("XOR", "xor"), ("nist", "nist7x7"), ("parity-x", "parity"), ("npx", "npz")],
)
def test_unknown_name(name: str, nearest: str) -> None:
    with pytest.raises(DatasetError, match=f"did you mean '{nearest}'") as caught:
        load(name)
    assert all(valid in str(caught.value) for valid in NAMES)


@pytest.mark.parametrize("name", ["", "cifar10", "csv:file"])
def test_name_like_no_other(name: str) -> None:
    with pytest.raises(DatasetError, match=r"^there is no dataset '[^']*'; there are xor, "):
        load(name)


def test_unknown_option() -> None:
    with pytest.raises(DatasetError, match=r"did you mean 'test_fraction'\?\); its options are: seed, test_fraction"):
        load("digits", test_fractoin=0.1)
    with pytest.raises(DatasetError, match=r"'xor' has no option 'flips'; its options are: none"):
        load("xor", flips=0.1)


def test_parity_without_and_with_too_many_numbers() -> None:
    with pytest.raises(DatasetError, match="needs the option 'n'"):
        load("parity")
    with pytest.raises(DatasetError, match="already says how many bits"):
        load("parity-4", n=4)
    with pytest.raises(DatasetError, match=r"2\.\.12"):
        load("parity-13")


@pytest.mark.parametrize("seed", [-1, 2**64, 0.5, "0", True])
def test_senseless_seed(seed: object) -> None:
    with pytest.raises(DatasetError, match="'seed' must be a whole number"):
        load("xor", seed=seed)  # type: ignore[arg-type]


def test_numpy_numbers_are_numbers() -> None:
    options = {"seed": np.int64(1), "test_fraction": np.float32(0.5)}
    assert load("digits", **options).digest == load("digits", seed=1, test_fraction=0.5).digest  # type: ignore[arg-type]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with data/mine.npz in it."""
    (tmp_path / "data").mkdir()
    np.savez(tmp_path / "data" / "mine.npz", x=np.zeros((10, 2)), y=np.arange(10) % 2)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return tmp_path


def test_paths(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(f"npz:{home}/data/mine.npz", base=Path("/nowhere")).n_samples == 10
    assert load("npz:~/data/mine.npz", base=Path("/nowhere")).n_samples == 10
    assert load("npz:mine.npz", base=home / "data").n_samples == 10
    assert load("npz:../data/mine.npz", base=home / "data").n_samples == 10
    monkeypatch.chdir(home)
    assert load("npz:data/mine.npz").n_samples == 10


def test_paths_that_lead_nowhere(home: Path) -> None:
    with pytest.raises(DatasetError, match="idx:PATH"):
        load("idx:")
    with pytest.raises(DatasetError, match=r"theirs\.npz: no such file"):
        load("npz:theirs.npz", base=home)
    with pytest.raises(DatasetError, match="no such folder"):
        load("idx:data/mine.npz", base=home)
    with pytest.raises(DatasetError, match="home"):
        load("idx:~nobody-of-this-name/data")
