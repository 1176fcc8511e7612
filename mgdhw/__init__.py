"""Train neural networks that exist as hardware, by multiplexed gradient descent.

    import mgdhw

    result = mgdhw.train("digits.toml")                       # blocking
    result = await mgdhw.train_async("digits.toml")           # in a notebook or a program of your own
    result = mgdhw.train_replicas("xor.toml", replicas=256)   # many seeds, and how long each took

    async with mgdhw.open_device("sim:analog-8bit") as device:
        async for event in mgdhw.Trainer(experiment, device, dataset):
            ...

Names are loaded when they are first used, so that importing mgdhw costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mgdhw.api import (
        Result,
        evaluate,
        evaluate_async,
        train,
        train_async,
        train_replicas,
        train_replicas_async,
    )
    from mgdhw.cli.notebook import Progress
    from mgdhw.datasets import Dataset, from_arrays
    from mgdhw.datasets import load as load_dataset
    from mgdhw.device import Device, Interlock, open_device
    from mgdhw.errors import MgdhwError
    from mgdhw.experiment.load import load_experiment
    from mgdhw.experiment.schema import Experiment
    from mgdhw.runs.handle import TrainingHandle
    from mgdhw.training.replicas import Replicas
    from mgdhw.training.results import ReplicasResult
    from mgdhw.training.trainer import Trainer

    __version__: str

__all__ = [
    "Dataset",
    "Device",
    "Experiment",
    "Interlock",
    "MgdhwError",
    "Progress",
    "Replicas",
    "ReplicasResult",
    "Result",
    "Trainer",
    "TrainingHandle",
    "__version__",
    "evaluate",
    "evaluate_async",
    "from_arrays",
    "load_dataset",
    "load_experiment",
    "open_device",
    "train",
    "train_async",
    "train_replicas",
    "train_replicas_async",
]

_HOMES = {
    "Dataset": ("mgdhw.datasets", "Dataset"),
    "Device": ("mgdhw.device", "Device"),
    "Experiment": ("mgdhw.experiment.schema", "Experiment"),
    "Interlock": ("mgdhw.device", "Interlock"),
    "MgdhwError": ("mgdhw.errors", "MgdhwError"),
    "Progress": ("mgdhw.cli.notebook", "Progress"),
    "Replicas": ("mgdhw.training.replicas", "Replicas"),
    "ReplicasResult": ("mgdhw.training.results", "ReplicasResult"),
    "Result": ("mgdhw.api", "Result"),
    "Trainer": ("mgdhw.training.trainer", "Trainer"),
    "TrainingHandle": ("mgdhw.runs.handle", "TrainingHandle"),
    "evaluate": ("mgdhw.api", "evaluate"),
    "evaluate_async": ("mgdhw.api", "evaluate_async"),
    "from_arrays": ("mgdhw.datasets", "from_arrays"),
    "load_dataset": ("mgdhw.datasets", "load"),
    "load_experiment": ("mgdhw.experiment.load", "load_experiment"),
    "open_device": ("mgdhw.device", "open_device"),
    "train": ("mgdhw.api", "train"),
    "train_async": ("mgdhw.api", "train_async"),
    "train_replicas": ("mgdhw.api", "train_replicas"),
    "train_replicas_async": ("mgdhw.api", "train_replicas_async"),
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("mgdhw")
    if name == "Session":
        import warnings

        warnings.warn("mgdhw.Session is now mgdhw.TrainingHandle", DeprecationWarning, stacklevel=2)
        name = "TrainingHandle"
    if name not in _HOMES:
        raise AttributeError(f"module 'mgdhw' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    value = globals()[name] = getattr(import_module(module), attribute)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
