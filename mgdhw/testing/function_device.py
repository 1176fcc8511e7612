"""A device that is a Python function: for trials, tests and teaching."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mgdhw.arrays import FloatArray, IntArray
from mgdhw.block import Part
from mgdhw.device import Capability, DeviceInfo, HostCodes
from mgdhw.errors import ConfigError
from mgdhw.topology import Topology

Cost = Callable[[FloatArray], float]
"""The cost of a sample at (P,) parameters θ."""
Outputs = Callable[[FloatArray, FloatArray], FloatArray]
"""(B, n_out) outputs at (P,) parameters θ, for (B, n_in) inputs."""


class FunctionDevice(HostCodes):
    """A device whose cost, or whose outputs, a Python function computes; the host makes the codes.

        bowl = FunctionDevice(lambda theta: np.square(theta - 0.3).sum(), 5)
        line = FunctionDevice(None, 3, outputs=lambda theta, x: x @ theta[:2, None] + theta[2])

    With `cost`, every sample costs the same, whatever its inputs and targets are. With `outputs` alone, a sample costs
    the mean squared error of its outputs. With both, `cost` trains, and `outputs` are what evaluations report. With
    `cost` alone, outputs are made up so that their mean squared error is the cost: `infer` answers targets + √cost.
    It measures its cost by itself, so `mgdhw.train(..., cost=function)` is refused.

    Parameters are rounded to the grid of `lsb`, which `theta_lsb` declares. They begin at 0, or as near to it as the
    limits allow, and are there again once the device is closed.

    It keeps the contract of `mgdhw.device` (`mgdhw.testing.DeviceConformance`). A test that needs a fault derives a
    class and overrides a method:

        class Flaky(FunctionDevice):
            async def measure(self, samples, step, part):
                if self.measurements == 20:
                    self.measurements += 1
                    raise LinkTimeout("no answer in 1 s", uri=self.uri)
                return await super().measure(samples, step, part)

    What a device declares beyond the arguments is changed in its `info`:
    `device.info = dataclasses.replace(device.info, motion=Motion(0.05, 0.01))`.

    Args:
        cost: of one sample, as a function of (P,) θ; None: it follows from `outputs` and the targets.
        n: number of parameters, P.
        outputs: (B, n_outputs) of (P,) θ and (B, n_inputs) inputs, in natural units.
        uri: its address, which every error carries. No driver opens it: give the device itself to `mgdhw.train`.
        low, high: limits of the parameters; scalars or (P,).
        lsb: step of a parameter, to which θ is rounded, and the unit of perturbation codes; scalar or (P,).
        n_inputs, n_outputs: sizes of a sample; those of XOR.
        noise: standard deviation of the Gaussian noise of a sample's mean cost, drawn anew for each measurement: B
            samples together get B times one draw. With noise the device is not deterministic, and says so.
        seed: of the noise.

    Raises:
        ConfigError: neither `cost` nor `outputs` is given.
    """

    def __init__(
        self,
        cost: Cost | None,
        n: int,
        *,
        outputs: Outputs | None = None,
        uri: str = "function:1",
        low: float | FloatArray = -2.0,
        high: float | FloatArray = 2.0,
        lsb: float | FloatArray = 2.0**-10,
        n_inputs: int = 2,
        n_outputs: int = 1,
        noise: float = 0.0,
        seed: int = 0,
    ) -> None:
        super().__init__(uri)
        if cost is None and outputs is None:
            raise ConfigError(f"{uri}: neither a cost nor outputs are given; give a function of θ, or of θ and inputs")
        self.cost, self.outputs, self.noise = cost, outputs, noise
        self.measurements = 0
        """How many measurements have been answered."""
        self._random = np.random.default_rng(seed)
        capabilities = Capability.MEASURE if noise else Capability.MEASURE | Capability.DETERMINISTIC
        self.info = DeviceInfo(
            model="Python function",
            identity=uri,
            topology=Topology(n),
            theta_min=low,
            theta_max=high,
            theta_lsb=lsb,
            n_inputs=n_inputs,
            n_outputs=n_outputs,
            cost_kind="mse",
            cost_lsb=1.0,
            capabilities=capabilities,
        )
        self.theta = self._at_rest()
        """(P,) the parameters that it holds."""

    async def connect(self) -> None:
        """Nothing to reach."""

    async def disconnect(self) -> None:
        self.theta = self._at_rest()

    async def apply(self, theta: FloatArray, step: int) -> FloatArray:
        self.theta = np.rint(theta / self.info.theta_lsb) * self.info.theta_lsb
        return self.theta.copy()

    async def read(self) -> FloatArray:
        self.check_open()
        return self.theta.copy()

    async def infer(self, samples: IntArray, step: int = 0) -> FloatArray:
        self.check_open()
        if self.outputs is not None:
            return self.outputs(self.theta, self.dataset.values(samples))
        return np.asarray(self.dataset.targets[samples] + np.sqrt(np.maximum(0.0, self._cost())))

    async def measure(self, samples: IntArray, step: int, part: Part) -> int | float:
        self.check_open()
        total = await super().measure(samples, step, part) if self.cost is None else samples.size * self._cost()
        self.measurements += 1
        return total + samples.size * self.noise * float(self._random.standard_normal()) if self.noise else total

    def _cost(self) -> float:
        assert self.cost is not None, "checked when it was made"
        return float(self.cost(self.theta))

    def _at_rest(self) -> FloatArray:
        return np.array(np.clip(np.zeros(self.info.n_parameters), self.info.theta_min, self.info.theta_max))
