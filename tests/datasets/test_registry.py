"""Names, options and paths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
    with pytest.raises(DatasetError, match=r"^there is no dataset '[^']*'; available: xor, "):
        load(name)


def test_mnist_is_said_where_it_is() -> None:
    for name in ("mnist", "MNIST"):
        with pytest.raises(DatasetError, match=r"'mnist' is not included: download its four files .* use idx:FOLDER"):
            load(name)
    with pytest.raises(DatasetError, match="did you mean 'fashion'"):
        load("fashion-mnist")


def test_unknown_option() -> None:
    with pytest.raises(DatasetError, match=r"did you mean 'test_fraction'\?\); its options are: seed, test_fraction"):
        load("digits", test_fractoin=0.1)
    with pytest.raises(DatasetError, match=r"'xor' has no option 'flips'; its options are: none"):
        load("xor", flips=0.1)


def test_parity_without_and_with_too_many_numbers() -> None:
    with pytest.raises(DatasetError, match="needs the option 'n'"):
        load("parity")
    with pytest.raises(DatasetError, match="already gives the number of bits"):
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


def test_files_are_known_by_their_names(
    home: Path, monkeypatch: pytest.MonkeyPatch, idx_files_gz: Any, fill: Any
) -> None:
    monkeypatch.chdir(home)
    wanted = load("npz:data/mine.npz").digest
    for name in ("data/mine.npz", f"{home}/data/mine.npz", "~/data/mine.npz", "NPZ:data/mine.npz"):
        assert load(name).digest == wanted
    assert load("mine.npz", base=home / "data").digest == wanted
    (home / "data" / "mine.npz").rename(home / "data" / "MINE.NPZ")
    assert load("data/MINE.NPZ").digest == wanted
    fill(home / "pictures", idx_files_gz)
    assert load("pictures").digest == load("idx:pictures").digest == load(f"{home}/pictures").digest
    (home / "digits").mkdir()  # a dataset in the box comes first
    (home / "parity-4").mkdir()
    assert (load("digits").n_inputs, load("parity-4").n_inputs) == (64, 4)


def test_files_of_other_forms(home: Path) -> None:
    (home / "table.csv").write_text("1,2\n")
    with pytest.raises(
        DatasetError, match=r"'table\.csv' is a file, but not an npz file: .* npz:FILE \(written by numpy\.savez"
    ):
        load("table.csv", base=home)
    with pytest.raises(DatasetError, match=r"theirs\.npz: no such file"):
        load("theirs.npz", base=home)


def test_backslashes_that_were_taken_for_something_else() -> None:
    with pytest.raises(
        DatasetError, match=r"has control characters, probably from a backslash in double quotes: use single"
    ):
        load("npz:C:\temp\new.npz")


def test_whole_numbers_may_be_floats() -> None:
    assert load("parity", n=3.0).digest == load("parity-3").digest
    assert load("digits", seed=1e3).digest == load("digits", seed=1000).digest  # type: ignore[arg-type]


def test_paths_that_lead_nowhere(home: Path) -> None:
    with pytest.raises(DatasetError, match="idx:PATH"):
        load("idx:")
    with pytest.raises(DatasetError, match=r"theirs\.npz: no such file"):
        load("npz:theirs.npz", base=home)
    with pytest.raises(DatasetError, match="no such folder"):
        load("idx:data/mine.npz", base=home)
    with pytest.raises(DatasetError, match="home"):
        load("idx:~nobody-of-this-name/data")
