"""Training by true gradients: what perturbations are compared with.

Trainer, data order, optimizer, schedule and evaluations are the ordinary ones; only the device learns otherwise.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from mgdhw.arrays import FloatArray, IntArray
from mgdhw.block import Block, Costs
from mgdhw.codes import Codes
from mgdhw.costs import CostFunction
from mgdhw.datasets import Dataset
from mgdhw.device import Capability, Device, open_device
from mgdhw.errors import ConfigError, DeviceFault
from mgdhw.learning.gradient import Window
from mgdhw.learning.segment import Segment, SegmentResult
from mgdhw.learning.step import probes_to_update, requested_theta, update


@runtime_checkable
class HasTrueGradient(Protocol):
    """A device that knows the gradient of its cost, such as an ideal network."""

    async def true_gradient(self, theta: FloatArray, samples: IntArray) -> tuple[float, FloatArray]:
        """Mean cost of (B,) samples at θ, (P,), and its gradient, (P,)."""


class TrueGradientDevice(Device):
    """A device that learns by its true gradients instead of perturbations.

    A probe is here only a measure of time: an update comes when the perturbations' would, on the same batches, with the
    mean of their gradients. `evaluations` counts gradients.

    Args:
        device: not open, with `true_gradient`; opened and closed with this.

    Raises:
        ConfigError: the device does not know its gradient.
    """

    def __init__(self, device: Device) -> None:
        if not isinstance(device, HasTrueGradient):
            raise ConfigError(
                f"{device.uri}: does not know its true gradient, so there is no baseline by back-propagation; expected"
                " an ideal network (sim:ideal?layers=...)"
            )
        super().__init__(device.uri)
        self._device, self._gradients = device, device

    async def connect(self) -> None:
        await self._device.open()
        info = self._device.info
        self.info = replace(
            info,
            model=f"{info.model}, by true gradients",
            identity=f"{info.identity}, by true gradients",
            capabilities=Capability.LEARN | Capability.AMPLITUDES | (info.capabilities & Capability.REPEATABLE),
        )

    async def disconnect(self) -> None:
        await self._device.close()

    def cost_function(self) -> CostFunction | None:
        return self._device.cost_function()

    async def load(self, dataset: Dataset) -> None:
        await super().load(dataset)
        await self._device.load(dataset)

    async def apply(self, theta: FloatArray, step: int) -> FloatArray:
        return await self._device.write(theta, step)

    async def infer(self, samples: IntArray, step: int = 0) -> FloatArray:
        return await self._device.infer(samples, step)

    async def probe(self, block: Block) -> Costs:
        raise DeviceFault("learns by true gradients, and perturbs nothing", uri=self.uri)

    async def learn(self, segment: Segment) -> SegmentResult:
        """Updates whenever they are due. All of an update's gradients are taken then, as θ is the same before."""
        state, rule = segment.state, segment.rule
        codes = Codes(rule.codes, self.info.topology)
        by_estimate = replace(rule, continuous=False, normalise="energy")
        end, costs, last = state.step + segment.n_probes, list[float](), None
        while state.step < end:
            advance = min(end - state.step, probes_to_update(state, rule))
            state = replace(state, step=state.step + advance)
            if state.step % rule.update_period:
                continue
            cost, gradient, count = await self._mean_gradient(segment, state.step - rule.update_period, state.theta)
            costs.append(cost * rule.order.batch / self.info.cost_lsb)
            window = Window(gradient * rule.grid.lsb / rule.scale, np.ones(gradient.size, dtype=np.int64))
            state = replace(state, window=window, evaluations=state.evaluations + count)
            state, last = update(state, by_estimate, codes)
        if not costs:  # no update was due: what the next one begins at
            samples = rule.order.samples(rule.order.batch_of(end - 1))[0]
            cost, _ = await self._gradients.true_gradient(state.theta, samples)
            costs.append(cost * rule.order.batch / self.info.cost_lsb)
        await self.write(requested_theta(state, rule), state.step)
        return SegmentResult(state, float(np.mean(costs)), last)

    async def _mean_gradient(self, segment: Segment, first: int, theta: FloatArray) -> tuple[float, FloatArray, int]:
        """Cost and gradient of an update's batches, each as often as probes see it, and the number of batches."""
        rule = segment.rule
        numbers, counts = np.unique((first + np.arange(rule.update_period)) // rule.order.tau_x, return_counts=True)
        cost, gradient = 0.0, np.zeros(theta.size)
        for number, count in zip(numbers, counts, strict=True):
            found, slope = await self._gradients.true_gradient(theta, rule.order.samples(int(number))[0])
            share = float(count) / rule.update_period
            cost, gradient = cost + share * found, gradient + share * slope
        return cost, gradient, numbers.size


def with_true_gradients(
    experiment: str | Path | None, device: str | None, overrides: tuple[str, ...]
) -> dict[str, Any]:
    """What `mgdhw.api.train` takes to train an experiment by true gradients.

    Args:
        experiment: a TOML file, or None for the packaged one.
        device: an address instead of the experiment's.
        overrides: changes to the experiment.

    Raises:
        ConfigError: the device does not know its gradient.
    """
    from mgdhw.experiment.resolve import resolve

    changes = (*overrides, "run.level=learn")
    uri = device or resolve(experiment, changes)[0].device.uri
    return {"experiment": experiment, "device": TrueGradientDevice(open_device(uri)), "overrides": changes}
