"""A user's own data: one npz file, as written by `numpy.savez`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.datasets.arrays import Named, divided, joined
from mgdhw.datasets.dataset import Dataset
from mgdhw.datasets.size_limits import can_hold, check_room
from mgdhw.errors import DatasetError

if TYPE_CHECKING:
    import zipfile

_SPLIT = ("x_train", "y_train", "x_test", "y_test")
_WHOLE = ("x", "y")
_SAVED = ("inputs", "input_scale", "targets", "n_train", "classes")
_EXPECTED = f"{', '.join(_SPLIT)} (or {', '.join(_WHOLE)}, which are split)"
_MAGIC = b"\x93NUMPY"
_DEFLATED = 8


def npz_file(path: Path, *, seed: int = 0, test_fraction: float | None = None) -> Dataset:
    """The dataset in an npz file of x_train, y_train, x_test and y_test; or of x and y, which are split here.

    Inputs (N, ...) are flattened to (N, n_in); bytes count as images (255 is 1.0), all else as natural units. y are
    labels, or targets in [0, 1], as `from_arrays` takes them. Nothing is unpickled, arrays of other names are not
    read, and nothing is unpacked beyond what the arrays' headers promise. What `save` has written is read back as it
    was.

    Args:
        path: the file.
        seed: 64-bit key of the split of x and y.
        test_fraction: of x and y, what is kept for testing (of each class), 0..0.9; by default 0.2.

    Raises:
        DatasetError: the file is missing or malformed, arrays are missing or don't fit each other (says which
            are there and which were expected), or test_fraction is given for a file that has its own split.
    """
    arrays = _read(path)
    where, name = str(path), f"npz:{path}"
    named: dict[str, Named] = {key: (key, array) for key, array in arrays.items()}
    if test_fraction is not None and not all(key in arrays for key in _WHOLE):
        raise DatasetError(f"{path}: test_fraction cannot be used: the file has its own split")
    if all(key in arrays for key in _SAVED):
        return _saved(path, arrays)
    if all(key in arrays for key in _SPLIT):
        return joined(where, name, (named["x_train"], named["y_train"]), (named["x_test"], named["y_test"]))
    return divided(where, name, named["x"], named["y"], seed=seed, test_fraction=test_fraction)


def save(dataset: Dataset, file: IO[bytes]) -> None:
    """Write a dataset as it is: what `npz_file` makes of it has the same digest."""
    arrays = {
        "inputs": dataset.inputs,
        "input_scale": np.float64(dataset.input_scale),
        "targets": dataset.targets,
        "n_train": np.int64(dataset.n_train),
        "classes": np.array(dataset.classes, dtype=np.str_),
    }
    write_arrays(file, arrays)


def write_arrays(file: IO[bytes], arrays: Mapping[str, Any]) -> None:
    """Write an npz file. Raises OSError, also where a disk is full."""
    try:
        np.savez(file, allow_pickle=False, **arrays)
    except ValueError as error:  # what zipfile says of a member that a full disk has cut short
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


def _saved(path: Path, arrays: dict[str, NDArray[Any]]) -> Dataset:
    """What `save` has written."""
    try:
        scale, n_train = float(arrays["input_scale"]), int(arrays["n_train"])
        classes = tuple(str(one) for one in arrays["classes"])
    except (TypeError, ValueError) as error:
        raise DatasetError(f"{path}: is not a dataset saved by mgdhw: {error}") from None
    return Dataset(f"npz:{path}", arrays["inputs"], scale, arrays["targets"], n_train, classes)


@dataclass(frozen=True, slots=True)
class _Member:
    """An array in the file, as far as its header tells."""

    info: zipfile.ZipInfo
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    promised: int


def _read(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of one of the forms that are expected."""
    if not path.is_file():
        raise DatasetError(f"{path}: no such file; expected an npz file with {_EXPECTED}")
    import zipfile

    try:
        with path.open("rb") as file:
            if file.read(len(_MAGIC)) == _MAGIC:
                raise DatasetError(f"{path}: holds a single array; expected an npz file with {_EXPECTED}")
            with zipfile.ZipFile(file) as archive:
                members = _members(archive)
                wanted = next((form for form in (_SAVED, _SPLIT, _WHOLE) if set(form) <= members.keys()), None)
                if wanted is None:
                    found = ", ".join(f"{name} {member.shape}" for name, member in members.items()) or "no arrays"
                    raise DatasetError(f"{path}: holds {found}; expected {_EXPECTED}")
                return {name: _array(path, archive, name, members[name]) for name in wanted}
    except DatasetError:
        raise
    # zipfile, zlib and numpy's header parser raise some ten types on a damaged file; all of them mean this.
    except Exception as error:
        raise DatasetError(
            f"{path}: is not a valid npz file of plain arrays: damaged, of another format, or with pickled "
            f"objects, which are never unpickled; expected {_EXPECTED}"
        ) from error


def _members(archive: zipfile.ZipFile) -> dict[str, _Member]:
    """The arrays in the file, by name: headers alone are read."""
    members = {}
    for info in archive.infolist():
        if not info.filename.endswith(".npy"):
            continue
        with archive.open(info) as stream:
            version = np.lib.format.read_magic(stream)
            read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
            shape, _, dtype = read(stream)
            promised = math.prod(shape) * dtype.itemsize
            if not dtype.hasobject and stream.tell() + promised != info.file_size:
                raise ValueError(f"{info.filename} promises {promised} bytes, the archive has {info.file_size}")
        members[info.filename.removesuffix(".npy")] = _Member(info, dtype, shape, promised)
    return members


def _array(path: Path, archive: zipfile.ZipFile, name: str, member: _Member) -> NDArray[Any]:
    if member.dtype.hasobject:
        raise DatasetError(
            f"{path}: {name} holds Python objects (dtype object), which are never unpickled; save numbers:"
            f" {name}.astype(float), or labels as integers or texts"
        )
    if member.info.compress_type == _DEFLATED and not can_hold(member.info.compress_size, member.promised):
        raise DatasetError(f"{path}: {name} is damaged: {member.info.compress_size} packed bytes cannot hold it")
    check_room(path, name, member.promised)
    with archive.open(member.info) as stream:
        array: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
        if stream.read(1):  # the checksum is looked at where a member ends
            raise ValueError(name)
    return array
