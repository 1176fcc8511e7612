"""The datasets that a device is trained on: `load` one by name, or build a `Dataset` from your own arrays."""

from mgdhw.datasets.dataset import Dataset, one_hot
from mgdhw.datasets.registry import NAMES, load

__all__ = ["NAMES", "Dataset", "load", "one_hot"]
