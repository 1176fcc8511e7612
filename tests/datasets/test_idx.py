"""Folders of IDX files, whole and damaged."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mgdhw.datasets import load
from mgdhw.datasets.idx import read_idx
from mgdhw.errors import DatasetError

Files = dict[str, bytes]
Fill = Callable[[Path, Files], Path]
Encode = Callable[[np.ndarray], bytes]


def test_plain_and_gzipped(tmp_path: Path, idx_files: Files, idx_files_gz: Files, fill: Fill) -> None:
    plain = load(f"idx:{fill(tmp_path / 'plain', idx_files)}")
    assert (plain.n_train, plain.n_test, plain.n_inputs, plain.n_outputs) == (6, 4, 6, 3)
    assert plain.inputs.dtype == np.uint8
    np.testing.assert_array_equal(plain.inputs, np.arange(60).reshape(10, 6) * 4)
    np.testing.assert_array_equal(plain.targets.argmax(axis=1), [0, 1, 2, 0, 1, 2, 2, 1, 0, 0])
    np.testing.assert_array_equal(plain.values([1]), plain.inputs[[1]] * (1 / 255))
    assert plain.classes == ("0", "1", "2")
    gzipped = load(f"idx:{fill(tmp_path / 'gz', idx_files_gz)}")
    assert gzipped.digest == plain.digest


@pytest.mark.parametrize(
    "rename",
    [
        lambda name: name.replace("t10k", "test"),
        lambda name: name.replace("-idx", ".idx"),
        lambda name: name + ".gz",  # unpacked by a browser, which leaves the ending
    ],
)
def test_other_spellings(tmp_path: Path, idx_files: Files, fill: Fill, rename: Callable[[str], str]) -> None:
    fill(tmp_path, {rename(name): content for name, content in idx_files.items()})
    assert load(f"idx:{tmp_path}").n_samples == 10


@pytest.mark.parametrize("missing", range(4))
def test_missing_file(tmp_path: Path, idx_files: Files, fill: Fill, missing: int) -> None:
    name = list(idx_files)[missing]
    del idx_files[name]
    with pytest.raises(DatasetError, match=f"no {name}"):
        load(f"idx:{fill(tmp_path, idx_files)}")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"\(none\), expected 00 00 08 03"),
        (b"\0\0\x08", "starts with bytes 00 00 08, expected"),
        (b"<html>not found</html>", "starts with bytes 3c 68 74 6d, expected"),
        (b"\0\0\x08\x01\0\0\0\x06" + bytes(6), "starts with bytes 00 00 08 01"),  # labels, not images
        (b"\0\0\x0d\x03" + bytes(12), "starts with bytes 00 00 0d 03"),  # floats, not bytes
        (b"\0\0\x08\x03\0\0\0", "truncated: 7 bytes, expected a header of 16"),
        (b"\0\0\x08\x03" + b"\0\0\0\x06\0\0\0\x03\0\0\0\x02" + bytes(35), "35 bytes of data, expected 36"),
        (b"\0\0\x08\x03" + b"\0\0\0\x06\0\0\0\x03\0\0\0\x02" + bytes(37), "37 bytes of data, expected 36"),
        (b"\0\0\x08\x03" + b"\xff" * 12 + bytes(36), "expected 79228162458924105385300197375"),
        (b"\0\0\x08\x03" + bytes(12), "is empty: the header declares 0 × 0 × 0"),
        (b"\x1f\x8b rubbish", "expected a whole gzip file"),
        (gzip.compress(b"rubbish", mtime=0), "starts with bytes 72 75 62 62, expected"),
    ],
)
def test_malformed_file(tmp_path: Path, idx_files: Files, fill: Fill, content: bytes, message: str) -> None:
    idx_files["train-images-idx3-ubyte"] = content
    with pytest.raises(DatasetError, match=message) as caught:
        load(f"idx:{fill(tmp_path, idx_files)}")
    assert "train-images-idx3-ubyte" in str(caught.value)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count memory otherwise")
def test_a_bomb_is_never_unpacked(tmp_path: Path) -> None:
    """Not a byte beyond what the header promises, and nothing that the packed bytes cannot hold."""
    import resource

    header = b"\0\0\x08\x03" + b"\0\0\0\x06\0\0\0\x03\0\0\0\x02"
    bomb = tmp_path / "bomb"
    bomb.write_bytes(gzip.compress(header + bytes(1 << 27), compresslevel=1, mtime=0))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DatasetError, match="bomb: more than 36 bytes of data; the header declares 6 × 3 × 2"):
        read_idx(bomb, ndim=3)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 14  # KiB
    bomb.write_bytes(gzip.compress(header[:4] + b"\0\0\x0f\xff" * 3 + bytes(1000), mtime=0))
    with pytest.raises(DatasetError, match=r"packed bytes cannot hold the data: expected 68669157375"):
        read_idx(bomb, ndim=3)


def test_labels_that_are_counted_from_1(tmp_path: Path, idx_files: Files, fill: Fill, encode: Encode) -> None:
    labels = np.array([1, 2, 3, 1, 2, 3, 3, 2, 1, 1], dtype=np.uint8)
    idx_files |= {"train-labels-idx1-ubyte": encode(labels[:6]), "t10k-labels-idx1-ubyte": encode(labels[6:])}
    dataset = load(f"idx:{fill(tmp_path, idx_files)}")
    assert dataset.classes == ("1", "2", "3")
    np.testing.assert_array_equal(dataset.targets.argmax(axis=1), labels - 1)


def test_files_that_do_not_fit_each_other(tmp_path: Path, idx_files: Files, fill: Fill, encode: Encode) -> None:
    few = idx_files | {"t10k-labels-idx1-ubyte": encode(np.zeros(3, np.uint8))}
    with pytest.raises(DatasetError, match=r"t10k-labels-idx1-ubyte: 3 labels, expected 4"):
        load(f"idx:{fill(tmp_path / 'few', few)}")
    wide = idx_files | {"t10k-images-idx3-ubyte": encode(np.zeros((4, 3, 3), np.uint8))}
    with pytest.raises(DatasetError, match=r"t10k-images-idx3-ubyte: images of 3 × 3 pixels, expected 3 × 2"):
        load(f"idx:{fill(tmp_path / 'wide', wide)}")


def test_file_that_may_not_be_read(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read"):
        read_idx(tmp_path, ndim=3)  # a folder: unreadable even for root


def size_or_error(path: Path) -> int | str:
    try:
        return read_idx(path, ndim=3).size
    except DatasetError as error:
        return "error that names the file" if str(path) in str(error) else str(error)


@settings(deadline=None)  # files, on disks of any speed
@given(data=st.data())
def test_cut_anywhere(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """However a file is cut short or damaged, the answer is an array of the right form or a DatasetError."""
    whole = b"\0\0\x08\x03" + b"\0\0\0\x05\0\0\0\x04\0\0\0\x03" + bytes(range(60))
    packed = data.draw(st.booleans())
    content = gzip.compress(whole, mtime=0) if packed else whole
    cut = data.draw(st.integers(0, len(content) - 1))
    path = tmp_path_factory.mktemp("cut") / "file"
    path.write_bytes(content[:cut])
    with pytest.raises(DatasetError, match="file: "):
        read_idx(path, ndim=3)

    damaged = bytearray(content)
    damaged[cut] ^= data.draw(st.integers(1, 255))
    path.write_bytes(damaged)
    # 60: the damage was in the pixels, or in what gzip ignores
    assert size_or_error(path) in (60, "error that names the file")


@settings(deadline=None)  # files, on disks of any speed
@given(content=st.binary(max_size=64))
def test_rubbish(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("rubbish") / "file"
    path.write_bytes(b"\0\0\x08\x03" + content)
    assert size_or_error(path) in (len(content) - 12, "error that names the file")
