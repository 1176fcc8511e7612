"""Small IDX files, made here."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.helpers.paths import ROOT

IDX_NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def idx_bytes(array: NDArray[np.uint8]) -> bytes:
    """An array as an IDX file."""
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def encode() -> Callable[[NDArray[np.uint8]], bytes]:
    return idx_bytes


@pytest.fixture
def idx_files() -> dict[str, bytes]:
    """Six training and four test pictures of 3×2 pixels in three classes: name -> content, not gzipped."""
    pixels = np.arange(60, dtype=np.uint8).reshape(10, 3, 2) * 4
    labels = np.array([0, 1, 2, 0, 1, 2, 2, 1, 0, 0], dtype=np.uint8)
    arrays = (pixels[:6], labels[:6], pixels[6:], labels[6:])
    return {name: idx_bytes(array) for name, array in zip(IDX_NAMES, arrays, strict=True)}


@pytest.fixture
def idx_files_gz(idx_files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in idx_files.items()}


@pytest.fixture
def fill() -> Callable[[Path, dict[str, bytes]], Path]:
    """Writes files into a folder."""

    def write(folder: Path, files: dict[str, bytes]) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return folder

    return write


@pytest.fixture
def fashion_folder() -> Path:
    """The real Fashion-MNIST, where somebody has put it beside the checkout."""
    folder = ROOT.parent / "shared" / "data" / "fashion-mnist"
    if not (folder / "train-images-idx3-ubyte.gz").is_file():
        pytest.skip("Fashion-MNIST is not in ../shared/data/fashion-mnist beside the checkout")
    return folder
