"""Folders of IDX files: the format of MNIST, Fashion-MNIST and their relatives, with their official split.

An IDX file is two zero bytes, a type (8 = unsigned byte), the number of dimensions, each dimension as a
big-endian 32-bit integer, then the values; usually gzipped. Source: Y. LeCun, http://yann.lecun.com/exdb/mnist/.
"""

from __future__ import annotations

import contextlib
import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from mgdhw.datasets.dataset import Dataset, one_hot
from mgdhw.datasets.labels import targets_of
from mgdhw.datasets.size_limits import can_hold, check_room
from mgdhw.errors import DatasetError

_GZIP_MAGIC = b"\x1f\x8b"
_UNSIGNED_BYTE = 8
_TEST_NAMES = ("t10k", "test")


def idx_folder(path: Path) -> Dataset:
    """The dataset in a folder of four IDX files; pixels are bytes with 255 as 1.0, outputs one-hot.

    The files are those of MNIST (`train-images-idx3-ubyte.gz` and so on), gzipped or not; `t10k` may be spelt
    `test`, and the dash before `idx` may be a dot.

    Raises:
        DatasetError: a file is missing or malformed, or the files don't fit each other; names the file.
    """
    return read_folder(path, f"idx:{path}")


def read_folder(path: Path, name: str, classes: tuple[str, ...] = ()) -> Dataset:
    """As `idx_folder`, with a name and the names of the classes (by default as `targets_of` has them)."""
    train_images, train_labels, test_images, test_labels = find_files(path)
    train_x, train_y = _read_pair(train_images, train_labels)
    test_x, test_y = _read_pair(test_images, test_labels)
    if train_x.shape[1:] != test_x.shape[1:]:
        raise DatasetError(
            f"{test_images}: images of {_times(test_x.shape[1:])} pixels, "
            f"expected {_times(train_x.shape[1:])} as in {train_images.name}"
        )
    labels = np.concatenate([train_y, test_y])
    if classes and int(labels.max()) >= len(classes):
        raise DatasetError(f"{path}: has a label {labels.max()}; expected 0..{len(classes) - 1}")
    if classes:
        targets = one_hot(labels, len(classes))
    else:
        targets, classes, _ = targets_of(str(path), "labels", labels)
    images = np.concatenate([train_x, test_x])
    inputs = images.reshape(len(images), -1)
    inputs.setflags(write=False)  # ours alone: spares Dataset a copy
    return Dataset(name, inputs, 1.0 / 255.0, targets, len(train_x), classes)


def find_files(folder: Path) -> tuple[Path, Path, Path, Path]:
    """The four files of a folder: train images, train labels, test images, test labels.

    Raises:
        DatasetError: no such folder, or a file is missing; says which names were looked for.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder; expected a folder with four files in MNIST's format")
    return (
        _find(folder, ("train",), "images", 3),
        _find(folder, ("train",), "labels", 1),
        _find(folder, _TEST_NAMES, "images", 3),
        _find(folder, _TEST_NAMES, "labels", 1),
    )


def _find(folder: Path, parts: tuple[str, ...], what: str, ndim: int) -> Path:
    for part in parts:
        for separator in "-.":
            for ending in ("", ".gz"):
                file = folder / f"{part}-{what}{separator}idx{ndim}-ubyte{ending}"
                if file.is_file():
                    return file
    wanted = " or ".join(f"{part}-{what}-idx{ndim}-ubyte[.gz]" for part in parts)
    raise DatasetError(f"{folder}: no {wanted} in this folder")


def _read_pair(images: Path, labels: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    x, y = read_idx(images, ndim=3), read_idx(labels, ndim=1)
    if len(x) != len(y):
        raise DatasetError(f"{labels}: {len(y)} labels, expected {len(x)}: one for each image of {images.name}")
    return x, y


def read_idx(path: Path, *, ndim: int) -> NDArray[np.uint8]:
    """The array of unsigned bytes in one IDX file, gzipped or not.

    Args:
        path: the file.
        ndim: the number of dimensions that it must have.

    Raises:
        DatasetError: the file can't be read, isn't IDX, isn't of bytes or of `ndim` dimensions, holds
            nothing, or is shorter or longer than its header says.
    """
    import gzip
    import zlib

    magic = bytes([0, 0, _UNSIGNED_BYTE, ndim])
    length = 4 + 4 * ndim
    try:
        with _opened(path) as (stream, packed):
            header = stream.read(length)
            if header[:4] != magic:
                raise DatasetError(
                    f"{path}: starts with bytes {header[:4].hex(' ') or '(none)'}, expected {magic.hex(' ')}: "
                    f"an IDX file of unsigned bytes with {ndim} dimension{'s' if ndim > 1 else ''}, gzipped or not"
                )
            if len(header) < length:
                raise DatasetError(f"{path}: truncated: {len(header)} bytes, expected a header of {length}")
            shape = struct.unpack(f">{ndim}I", header[4:])
            size = math.prod(shape)  # of Python's integers: a hostile header can't overflow them
            if size == 0:
                raise DatasetError(f"{path}: is empty: the header declares {_times(shape)}")
            return _read_data(path, stream, packed, length, shape, size)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DatasetError(f"{path}: truncated or corrupt, expected a whole gzip file ({error})") from error
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror or error}") from error


def _read_data(
    path: Path, stream: IO[bytes], packed: int | None, header: int, shape: tuple[int, ...], size: int
) -> NDArray[np.uint8]:
    """The data after the header; at most one byte more than declared is unpacked, to detect excess data."""
    promise = f"expected {size}: the header declares {_times(shape)}"
    if packed is None:
        there = path.stat().st_size - header
        if there != size:
            raise DatasetError(f"{path}: {there} bytes of data, {promise}")
    elif not can_hold(packed, size):
        raise DatasetError(f"{path}: {packed} packed bytes cannot hold the data: {promise}")
    check_room(path, "the image array", size)
    content = stream.read(size)
    if len(content) != size:
        raise DatasetError(f"{path}: {len(content)} bytes of data, {promise}")
    if stream.read(1):  # also verifies a gzip file's checksum
        raise DatasetError(f"{path}: more than {size} bytes of data; the header declares {_times(shape)}")
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)


def _times(shape: tuple[int, ...]) -> str:
    return " × ".join(str(dimension) for dimension in shape)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[IO[bytes], int | None]]:
    """The file's content, unpacked where it is gzipped, and then its packed size."""
    import gzip

    with path.open("rb") as file:
        # Looks at the content, not at the name: browsers unpack a download and leave its ".gz" in place.
        gzipped = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
        file.seek(0)
        if not gzipped:
            yield file, None
            return
        with gzip.GzipFile(fileobj=file) as unpacked:
            yield cast("IO[bytes]", unpacked), path.stat().st_size
