"""The default dataset for a device: one with its numbers of inputs and outputs."""

from __future__ import annotations

from mgdhw.datasets import Dataset, load
from mgdhw.device import DeviceInfo
from mgdhw.errors import ConfigError

SIZES = {(2, 1): "xor", (49, 4): "nist7x7", (64, 10): "digits", (784, 10): "fashion"}
"""Datasets that come with mgdhw, by inputs and outputs."""
LARGEST_PARITY = 12


def matching_dataset(info: DeviceInfo, uri: str) -> Dataset:
    """The packaged dataset with a device's numbers of inputs and outputs. Raises ConfigError if there is none."""
    name = SIZES.get((info.n_inputs, info.n_outputs))
    if name is None and info.n_outputs == 1 and 2 <= info.n_inputs <= LARGEST_PARITY:
        name = f"parity-{info.n_inputs}"
    if name is None:
        raise ConfigError(
            f"{uri} has {info.n_inputs} inputs and {info.n_outputs} outputs, which no packaged dataset has; name one:"
            " --data npz:FILE"
        )
    return load(name)
