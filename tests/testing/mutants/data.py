"""Devices that confuse samples, or are changed by inference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mgdhw.arrays import FloatArray, IntArray
from mgdhw.datasets import Dataset

from .mark import caught_by
from .sound import Sound


@caught_by("samples-are-called-by-index")
class SortedSamples(Sound):
    """Answers in the order of the memory."""

    async def infer(self, samples: IntArray, step: int = 0) -> FloatArray:
        return await super().infer(np.sort(samples), step)


@caught_by("data-can-be-replaced")
class KeepsData(Sound):
    """Loads the targets of the first dataset only: "it is there already"."""

    targets: NDArray[np.float64] | None = None

    async def load(self, dataset: Dataset) -> None:
        if dataset.n_samples < 13 or (dataset.n_inputs, dataset.n_outputs) != (3, 2):
            await super().load(dataset)
            self.targets = dataset.targets
            return
        targets = dataset.targets.copy()
        if self.targets is not None:
            n = min(len(targets), len(self.targets))
            targets[:n] = self.targets[:n]
        await super().load(replace(dataset, targets=targets))


@caught_by(
    "infer-disturbs-nothing", "data-can-be-replaced", "data-of-other-sizes-are-refused", "samples-are-called-by-index"
)
class InferMoves(Sound):
    """Infers a step away, and stays there."""

    async def infer(self, samples: IntArray, step: int = 0) -> FloatArray:
        self.chip.codes = self.chip.codes + np.int16(1)
        return await super().infer(samples, step)
