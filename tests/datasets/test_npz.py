"""A user's own npz file."""

from __future__ import annotations

import io
import pickle
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mgdhw.datasets import load, size_limits
from mgdhw.errors import DatasetError

IMAGES = np.arange(10 * 6, dtype=np.uint8).reshape(10, 3, 2)
FLOATS = np.linspace(-2, 2, 30).reshape(10, 3)
LABELS = np.arange(10) % 3


def write(folder: Path, **arrays: Any) -> str:
    path = folder / "mine.npz"
    np.savez(path, **arrays)
    return f"npz:{path}"


def split(x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    return {"x_train": x[:7], "y_train": y[:7], "x_test": x[7:], "y_test": y[7:]}


def test_images_with_their_own_split(tmp_path: Path) -> None:
    dataset = load(write(tmp_path, **split(IMAGES, LABELS)))
    assert (dataset.n_train, dataset.n_test, dataset.n_inputs, dataset.n_outputs) == (7, 3, 6, 3)
    assert dataset.inputs.dtype == np.uint8
    np.testing.assert_array_equal(dataset.inputs, IMAGES.reshape(10, 6))
    np.testing.assert_array_equal(dataset.values([9]), IMAGES.reshape(10, 6)[[9]] * (1 / 255))
    np.testing.assert_array_equal(dataset.targets.argmax(axis=1), LABELS)
    assert dataset.classes == ("0", "1", "2")


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int16, ">f4"])
def test_floats_are_natural_units(tmp_path: Path, dtype: Any) -> None:
    x = FLOATS.astype(dtype)
    dataset = load(write(tmp_path, **split(x, LABELS)))
    assert dataset.inputs.dtype == np.float64
    np.testing.assert_array_equal(dataset.values(range(10)), x.astype(np.float64))


@pytest.mark.parametrize(
    ("y", "n_outputs", "classes"),
    [
        (LABELS.reshape(10, 1), 3, ("0", "1", "2")),
        (LABELS.astype(np.uint8), 3, ("0", "1", "2")),
        (LABELS > 0, 2, ("0", "1")),
        (np.eye(4, dtype=np.int64)[LABELS], 4, ()),
        (FLOATS / 4 + 0.5, 3, ()),
        ((FLOATS / 4 + 0.5)[:, 0], 1, ()),
        (LABELS + 1, 3, ("1", "2", "3")),  # counted from 1
        (LABELS * 1.0, 3, ("0", "1", "2")),  # floats
        (LABELS * 1.0 + 1, 3, ("1", "2", "3")),
        (LABELS - 1, 3, ("-1", "0", "1")),
        (np.where(LABELS > 0, 1, -1), 2, ("-1", "1")),
        ((LABELS > 0) * 1.0, 1, ()),  # a single output that is to be low or high
        (np.array(["cat", "dog", "eel"])[LABELS], 3, ("cat", "dog", "eel")),
        (np.array([b"cat", b"dog", b"eel"])[LABELS], 3, ("cat", "dog", "eel")),
        (LABELS * 2, 5, ("0", "1", "2", "3", "4")),  # from 0 on: as it ever was
    ],
)
def test_kinds_of_y(tmp_path: Path, y: np.ndarray, n_outputs: int, classes: tuple[str, ...]) -> None:
    for arrays in (split(FLOATS, y), {"x": FLOATS, "y": y}):
        dataset = load(write(tmp_path, **arrays))
        assert (dataset.n_outputs, dataset.classes) == (n_outputs, classes)
        assert dataset.targets.min() >= 0


def test_split_here(tmp_path: Path) -> None:
    name = write(tmp_path, x=FLOATS, y=LABELS)
    dataset = load(name)
    assert dataset.n_test == 3  # one of each class: 0.2 of 4, 3, 3
    rows = {tuple(row): label for row, label in zip(FLOATS, LABELS, strict=True)}
    for row, target in zip(dataset.inputs, dataset.targets, strict=True):
        assert rows.pop(tuple(row)) == target.argmax()
    assert not rows
    assert load(name).digest == dataset.digest
    assert load(name, seed=1).digest != dataset.digest
    assert load(name, test_fraction=0).n_test == 0


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, r"holds no arrays; expected x_train, y_train, x_test, y_test \(or x, y"),
        ({"images": IMAGES, "y": LABELS}, r"holds images \(10, 3, 2\), y \(10,\); expected x_train"),
        ({"x_train": IMAGES, "y_train": LABELS}, "expected x_train, y_train, x_test"),
        (
            split(IMAGES, LABELS) | {"x_test": IMAGES[7:, :2]},
            r"x_test is uint8 \(3, 2, 2\), x_train is uint8 \(7",
        ),
        (split(IMAGES, LABELS) | {"x_test": IMAGES[7:] / 255}, "x_test is float64"),
        (split(IMAGES, LABELS) | {"y_test": LABELS}, r"y_test is int64 \(10,\); expected 3 entries"),
        (split(IMAGES, LABELS) | {"y_test": LABELS[7:] / 2}, "y_test is float64"),
        ({"x": IMAGES, "y": LABELS[:4]}, "expected 10 entries, one per sample of x"),
        ({"x": IMAGES, "y": 3}, "expected 10 entries"),
        ({"x": 3, "y": 3}, r"x is int64 \(\); expected numbers"),
        ({"x": np.zeros((0, 3)), "y": np.zeros(0)}, "expected numbers"),
        ({"x": LABELS.astype(str), "y": LABELS}, "x is <U21"),
        ({"x": FLOATS, "y": LABELS * 10**12}, "labels from 0 to 2000000000000"),
        (
            {"x": FLOATS, "y": LABELS * 1.5},
            r"y lies in \[0, 3\], targets must lie in \[0, 1\]; scale them, for example",
        ),
        ({"x": FLOATS + np.nan, "y": LABELS}, "x: inputs must be finite numbers; 30 of 30 .* in sample 0"),
        ({"x": FLOATS, "y": np.where(LABELS == 2, np.nan, 0.5)}, "y: targets must be finite .* 3 of 10 .* sample 2 "),
        ({"x": FLOATS, "y": LABELS + 1j}, "y is complex128"),
        ({"x": FLOATS, "y": np.arange(10) * 10**12}, "labels from 0 to 9000000000000; expected 0..4095"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=message) as caught:
        load(write(tmp_path, **arrays))
    assert "mine.npz" in str(caught.value)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count memory otherwise")
@pytest.mark.parametrize("size", [2**36, 2**50, 2**62])
def test_a_header_that_claims_more_than_the_file_holds(tmp_path: Path, size: int) -> None:
    """Nothing is made for what is not there."""
    address = write(tmp_path, x=FLOATS, y=LABELS)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (size,)})
    with zipfile.ZipFile(tmp_path / "mine.npz", "w") as archive:
        archive.writestr("x.npy", header.getvalue() + bytes(1000))
        archive.writestr("y.npy", header.getvalue())
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DatasetError, match="is not a valid npz file"):
        load(address)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 16  # KiB


def test_fraction_for_a_file_with_its_own_split(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="has its own split"):
        load(write(tmp_path, **split(IMAGES, LABELS)), test_fraction=0.1)
    with pytest.raises(DatasetError, match="'test_fraction' must be"):
        load(write(tmp_path, x=IMAGES, y=LABELS), test_fraction=2)


class Bomb:
    """Leaves a mark when unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.mark,))


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    bomb = np.empty(1, dtype=object)
    bomb[0] = Bomb(mark)
    with pytest.raises(DatasetError, match=r"x holds Python objects \(dtype object\), which are never unpickled; save"):
        load(write(tmp_path, x=bomb, y=LABELS[:1]))
    plain = tmp_path / "plain.npz"
    plain.write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(DatasetError, match="never unpickled"):
        load(f"npz:{plain}")
    assert not mark.exists()


def test_other_files(tmp_path: Path) -> None:
    np.save(tmp_path / "single.npy", FLOATS)
    with pytest.raises(DatasetError, match="holds a single array"):
        load(f"npz:{tmp_path / 'single.npy'}")
    (tmp_path / "empty.npz").touch()
    with pytest.raises(DatasetError, match="not a valid npz file"):
        load(f"npz:{tmp_path / 'empty.npz'}")
    with pytest.raises(DatasetError, match="no such file"):
        load(f"npz:{tmp_path}")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count memory otherwise")
def test_a_bomb_is_never_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read that has no room, before its header is believed."""
    import resource

    zeros = io.BytesIO()
    np.lib.format.write_array_header_1_0(zeros, {"descr": "|u1", "fortran_order": False, "shape": (10, 1 << 23)})
    path = tmp_path / "mine.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("x.npy", "w") as member:
            member.write(zeros.getvalue() + bytes(10 << 23))
        with archive.open("y.npy", "w") as member:
            np.save(member, LABELS)
    assert path.stat().st_size < 1 << 20
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    monkeypatch.setattr(size_limits, "_memory", lambda: 1 << 27)
    with pytest.raises(DatasetError, match=r"mine\.npz: x needs 80 MiB, more than half of this machine's memory"):
        load(f"npz:{path}")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 14  # KiB


def test_arrays_of_other_names_are_not_read(tmp_path: Path) -> None:
    load(write(tmp_path, x=FLOATS, y=LABELS, names=np.array([None, "a"], dtype=object)))


def size_or_error(path: Path) -> int | str:
    try:
        return load(f"npz:{path}").n_samples
    except DatasetError as error:
        return "error that names the file" if str(path) in str(error) else str(error)


@settings(deadline=None)  # files, on disks of any speed
@given(data=st.data(), compressed=st.booleans())
def test_damaged_anywhere(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, compressed: bool) -> None:
    buffer = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, x=IMAGES, y=LABELS)
    content = buffer.getvalue()
    path = tmp_path_factory.mktemp("damaged") / "mine.npz"
    where = data.draw(st.integers(0, len(content) - 1))

    path.write_bytes(content[:where])
    with pytest.raises(DatasetError, match=r"mine\.npz"):
        load(f"npz:{path}")

    damaged = bytearray(content)
    damaged[where] ^= data.draw(st.integers(1, 255))
    path.write_bytes(damaged)
    # 10: the damage was in a time stamp, say
    assert size_or_error(path) in (10, "error that names the file")
