"""Devices without a code generator: the host generates the codes."""

from __future__ import annotations

import asyncio

from mgdhw.arrays import FloatArray, IntArray
from mgdhw.block import Block, Costs, Part, Target
from mgdhw.device import guarded
from mgdhw.device.base import Device
from mgdhw.device.driver_results import checked_cost, checked_parameters
from mgdhw.device.expansion import expand
from mgdhw.device.readings import is_overload
from mgdhw.errors import ConfigError, Overload


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
        outputs = await guarded.infer(self, samples, step)
        return float(self.cost_of(outputs, self.dataset.targets[samples]).sum())

    async def acquire(self, samples: IntArray, step: int, part: Part) -> int | float:
        """One evaluation as `acquisition` says: after settling, the mean of several readings by `measure`.

        Each reading is checked, and repeated where it is no measurement. The mean of integers is a float.

        Raises:
            Overload: a reading is no measurement, also when repeated: names the step, the measurement and the output.
        """
        acquisition = self.acquisition
        await guarded.settle(self)
        costs = [await self._reading(samples, step, part)]
        while len(costs) < acquisition.readings:
            await asyncio.sleep(acquisition.dead_seconds)
            costs.append(await self._reading(samples, step, part))
        return costs[0] if len(costs) == 1 else sum(costs) / len(costs)

    async def _reading(self, samples: IntArray, step: int, part: Part) -> int | float:
        """The cost of one reading that is a measurement."""
        measures_itself = type(self).measure is not HostCodes.measure  # otherwise it is computed from checked outputs
        declared = self.acquisition.overload if measures_itself else ()
        for attempt in range(self.guard.repeat + 1):
            before, final = self.readings, attempt == self.guard.repeat
            try:
                cost = checked_cost(await self.measure(samples, step, part), self.uri)
                if not is_overload(cost, declared):
                    return cost
                message = guarded.cost_message(step, cost)
            except Overload as error:
                message = f"the cost of probe {step}: {str(error).removeprefix(f'{self.uri}: ')}"
                final = final or error.final
            finally:
                if self.readings == before:  # otherwise the driver counts them itself
                    self.tick()
            if final:
                raise Overload(guarded.repeated(message, attempt, part), uri=self.uri, final=True)
            self.guard.add(overloads=1)
        raise AssertionError("the last attempt returns or raises")

    async def requested(self) -> FloatArray:
        """(P,) parameters that codes are added to: the requested ones, where they differ from the actual ones."""
        return await self.read()

    async def probe(self, block: Block) -> Costs:
        return await self.probe_with_host_codes(block)

    async def probe_with_host_codes(self, block: Block) -> Costs:
        """Expand a block into writes and measurements. Restores θ."""
        self.check_open()
        self.check_codes(block.codes)
        if block.codes.target is Target.NODES:
            raise ConfigError(
                f'{self.uri}: host codes perturb parameters, not nodes; use run.level = "device-codes", or'
                ' codes.target = "weights"'
            )
        theta = checked_parameters(await self.requested(), self.info.n_parameters, "read", self.uri)
        self._check_room(theta, block.codes.amplitude)  # `write` checks the swings
        return await expand(self, block, theta)
