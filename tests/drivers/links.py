"""What is trained over links."""

from __future__ import annotations

from typing import Any

import numpy as np

import mgdhw
from mgdhw.arrays import FloatArray
from mgdhw.testing.function_device import FunctionDevice


async def digest(experiment: dict[str, Any], device: str | None = None) -> str:
    """Of a training, here or at a device."""
    return (await mgdhw.train_async(experiment, device=device, runs=None)).digest


class Voltages(FunctionDevice):
    """Four voltages, each with limits of its own, and a cost in floating point."""

    def __init__(self, uri: str) -> None:
        def outputs(theta: FloatArray, x: FloatArray) -> FloatArray:
            a, b, c, d = theta
            return np.asarray((a * x[:, :1] + b * x[:, 1:] + c * x[:, :1] * x[:, 1:] + d) / 2)

        high = np.array([1.0, 1.0, 2.0, 2.0])
        super().__init__(None, 4, outputs=outputs, uri=uri, low=-high, high=high, lsb=high / 1000)
