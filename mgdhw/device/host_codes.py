"""Devices without a code generator: the host generates the codes."""

from __future__ import annotations

from mgdhw.arrays import FloatArray, IntArray
from mgdhw.block import Block, Costs, Part
from mgdhw.device.base import Device
from mgdhw.device.driver_results import checked_outputs, checked_parameters
from mgdhw.device.expansion import expand


class HostCodes(Device):
    """A device that sets parameters and measures; the host generates the codes and expands blocks into both."""

    _contract = "device.HostCodes"

    async def measure(self, samples: IntArray, step: int, part: Part) -> int | float:
        """One evaluation: apply (B,) samples, return the cost summed over them.

        By default computed from outputs and targets (`cost_of`), in units of the cost, for a `cost_lsb` of 1.

        Args:
            samples: (B,) sample indices.
            step: the probe's step. Hardware ignores it; for a simulated device it is the key of its noise.
            part: which of the probe's measurements this is.
        """
        outputs = checked_outputs(await self.infer(samples, step), samples.size, self.info.n_outputs, self.uri)
        return float(self.cost_of(outputs, self.dataset.targets[samples]).sum())

    async def requested(self) -> FloatArray:
        """(P,) parameters that codes are added to: the requested ones, where they differ from the actual ones."""
        return await self.read()

    async def probe(self, block: Block) -> Costs:
        return await self.probe_with_host_codes(block)

    async def probe_with_host_codes(self, block: Block) -> Costs:
        """Expand a block into writes and measurements. Restores θ."""
        self.check_open()
        theta = checked_parameters(await self.requested(), self.info.n_parameters, "read", self.uri)
        self._check_room(theta, block.codes.amplitude)  # `write` checks the swings
        return await expand(self, block, theta)
