"""Datasets on the wire: codes of a chip's converters, or the values themselves."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.datasets import Dataset
from mgdhw.errors import DatasetError, LinkCorrupt
from mgdhw_drivers.protocol.description import Head
from mgdhw_drivers.protocol.messages import Load
from mgdhw_drivers.protocol.numbers import InputKind

TARGET_FRACTION = 12
TARGET_LIMITS = (-(1 << 15), (1 << 15) - 1)
ROWS = 1 << 12
"""Samples that are converted at a time."""

Raw = bytes | bytearray | memoryview

_DTYPES = {
    InputKind.U8: "<u1",
    InputKind.U16: "<u2",
    InputKind.I16: "<i2",
    InputKind.VALUES: "<u1",
    InputKind.FLOATS: "<f8",
}


@dataclass(frozen=True, slots=True)
class Samples:
    """A dataset as it is sent: two areas, and the message that makes them a dataset."""

    inputs: bytes
    targets: bytes
    load: Load


def sealed(load: Load, inputs: Raw, targets: Raw) -> Load:
    """The message with the checksum of all that it is about."""
    crc = zlib.crc32(load.pack()[:-4], zlib.crc32(targets, zlib.crc32(inputs)))
    return replace(load, crc=crc)


def dac(values: NDArray[np.float64], fraction: int, low: int, high: int) -> NDArray[np.float64]:
    """Codes of values, as `docs/chip.md` defines them."""
    return np.clip(np.floor(values * 2.0**fraction + 0.5), low, high)


def samples_of(dataset: Dataset, head: Head) -> Samples:
    """A dataset in the form that a board wants."""
    kind, scale = InputKind(head.input_kind), 1.0
    if kind is InputKind.VALUES:
        if dataset.inputs.dtype == np.uint8:
            scale = dataset.input_scale
            inputs = dataset.inputs.tobytes()
        else:
            kind = InputKind.FLOATS
            inputs = dataset.values(np.arange(dataset.n_samples)).astype("<f8").tobytes()
        targets = dataset.targets.astype("<f8").tobytes()
    else:
        parts = []
        for start in range(0, dataset.n_samples, ROWS):
            values = dataset.values(np.arange(start, min(start + ROWS, dataset.n_samples)))
            codes = dac(values, head.input_fraction, head.input_low, head.input_high)
            parts.append(codes.astype(_DTYPES[kind]).tobytes())
        inputs = b"".join(parts)
        targets = dac(dataset.targets, TARGET_FRACTION, *TARGET_LIMITS).astype("<i2").tobytes()
    load = Load(dataset.n_samples, dataset.n_train, scale, kind, 0)
    return Samples(inputs, targets, sealed(load, inputs, targets))


def sizes(load: Load, n_inputs: int, n_outputs: int) -> tuple[int, int]:
    """Bytes of inputs and of targets that a LOAD of a known kind is about."""
    kind = InputKind(load.input_kind)
    target = 8 if kind in (InputKind.VALUES, InputKind.FLOATS) else 2
    return load.n_samples * n_inputs * np.dtype(_DTYPES[kind]).itemsize, load.n_samples * n_outputs * target


def dataset_of(load: Load, inputs: Raw, targets: Raw, head: Head) -> Dataset:
    """The dataset that a board was sent: one whose codes are those codes. Raises LinkCorrupt if it is none.

    Inputs of one byte stay as they are, and are not copied if nobody can write to them.
    """
    kind = InputKind(load.input_kind)
    shape_in, shape_out = (load.n_samples, head.n_inputs), (load.n_samples, head.n_outputs)
    stored: NDArray[Any] = np.frombuffer(inputs, _DTYPES[kind]).reshape(shape_in)
    if kind in (InputKind.VALUES, InputKind.FLOATS):
        scale = load.scale if kind is InputKind.VALUES else 1.0
        wanted = np.frombuffer(targets, "<f8").reshape(shape_out)
    else:
        if stored.min() < head.input_low or stored.max() > head.input_high:
            raise LinkCorrupt(f"inputs are codes of {head.input_low} ... {head.input_high}")
        scale = 2.0**-head.input_fraction
        wanted = np.frombuffer(targets, "<i2").reshape(shape_out) * 2.0**-TARGET_FRACTION
    try:
        return Dataset("link", stored, scale, wanted, load.n_train)
    except DatasetError as error:
        raise LinkCorrupt(str(error)) from None
