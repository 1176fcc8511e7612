"""Devices without a code generator: the host makes the codes."""

from __future__ import annotations

from mgdhw.arrays import FloatArray, IntArray
from mgdhw.block import Block, Costs, Part
from mgdhw.device.answers import checked_outputs, checked_parameters
from mgdhw.device.base import Device
from mgdhw.device.expansion import expand


class HostCodes(Device):
    """A device that sets parameters and measures; the host makes the codes and expands a block into both."""

    _contract = "device.HostCodes"

    async def measure(self, samples: IntArray, step: int, part: Part) -> int | float:
        """One evaluation: apply (B,) samples, answer the cost summed over them.

        Here it is computed from outputs and targets (`cost_of`), in units of the cost: with a `cost_lsb` of 1.

        Args:
            samples: (B,) sample indices.
            step: the probe's step. Hardware ignores it; a simulated device keys its noise with it.
            part: which of the probe's measurements this is.
        """
        outputs = checked_outputs(await self.infer(samples, step), samples.size, self.info.n_outputs, self.uri)
        return float(self.cost_of(outputs, self.dataset.targets[samples]).sum())

    async def requested(self) -> FloatArray:
        """(P,) what codes are added to: what it was asked to hold, where that differs from what it holds."""
        return await self.read()

    async def probe(self, block: Block) -> Costs:
        return await self.probe_with_host_codes(block)

    async def probe_with_host_codes(self, block: Block) -> Costs:
        """Expand a block into writes and measurements. Ends with θ as it was."""
        self.check_open()
        theta = checked_parameters(await self.requested(), self.info.n_parameters, "read", self.uri)
        self._check_room(theta, block.codes.amplitude)  # `write` sees to the swings
        return await expand(self, block, theta)
