"""The datasets that a device is trained on: `load` one by name, or make one of your own arrays."""

from mgdhw.datasets.arrays import from_arrays
from mgdhw.datasets.dataset import Dataset, one_hot
from mgdhw.datasets.npz import save
from mgdhw.datasets.registry import NAMES, full_name, load
from mgdhw.datasets.scaling import METHODS, clipped_share, input_extremes, scaled

__all__ = [
    "METHODS",
    "NAMES",
    "Dataset",
    "clipped_share",
    "from_arrays",
    "full_name",
    "input_extremes",
    "load",
    "one_hot",
    "save",
    "scaled",
]
