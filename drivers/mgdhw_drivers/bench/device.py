"""A rack of instruments as a device: `bench:RACK.toml`."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

import numpy as np

from mgdhw.arrays import FloatArray, IntArray
from mgdhw.block import Block, Costs, Part
from mgdhw.datasets import Dataset
from mgdhw.device import HostCodes
from mgdhw.device.uri import expand_path, split_uri
from mgdhw.errors import ConfigError, DeviceFault, LinkCorrupt, LinkLost, Overload
from mgdhw.parsing import did_you_mean, short_repr
from mgdhw_drivers.bench.channel_values import ParameterValues
from mgdhw_drivers.bench.crash import CrashMarkers
from mgdhw_drivers.bench.describe import info_of
from mgdhw_drivers.bench.hardware_timed import HardwareTimed
from mgdhw_drivers.bench.inputs import Levels
from mgdhw_drivers.bench.instruments import Instruments, MakeResource, repeated
from mgdhw_drivers.bench.interlock import interlocks_of
from mgdhw_drivers.bench.load import load_rack
from mgdhw_drivers.bench.messages import Message
from mgdhw_drivers.bench.outputs import Outputs
from mgdhw_drivers.bench.playlist import Playlist
from mgdhw_drivers.bench.rack import Rack
from mgdhw_drivers.bench.safe_state import make_safe, switch_on

log = logging.getLogger("mgdhw.device")

FEWEST_TIMED = 2
"""Samples of an evaluation from which on it is hardware-timed."""


class BenchDevice(HostCodes):
    """A rack of instruments.

    Args:
        uri: its address.
        rack: what it is.
        path: of its file.
        make: makes the resource of an instrument; for dry runs and tests.
    """

    def __init__(self, uri: str, rack: Rack, path: Path, make: MakeResource | None = None) -> None:
        super().__init__(uri)
        self.rack, self.path = rack, path
        self.instruments = Instruments(rack, uri, make)
        self._parameters = ParameterValues(rack, self.instruments, uri)
        self._inputs = Levels(rack, rack.inputs, self.instruments, uri)
        self._targets = Levels(rack, rack.targets, self.instruments, uri, "target")
        self._outputs = Outputs(rack, self.instruments, uri)
        self._timed = (
            None
            if rack.blocks is None
            else HardwareTimed(rack, rack.blocks, self._parameters, self._inputs, self._outputs, self.instruments, uri)
        )
        addresses = [
            address
            for address, instrument in rack.resources().values()
            if make is None and not instrument.backend.endswith("@sim")  # simulated in this process, and gone with it
        ]
        self._markers = CrashMarkers(addresses, str(path))
        self._unsafe = False
        """Whether instruments may not be in their safe state."""
        self._keep = False
        """Whether `disconnect` leaves everything as it is: the link is unreliable, and will be opened again."""
        seconds = float((np.ceil((self._parameters.high - self._parameters.low) / self._parameters.max_step)
                         * self._parameters.step_time).max())  # fmt: skip
        self.closing_seconds = type(self).closing_seconds + 2 * seconds

    # --- open and close ----------------------------------------------------------------------------------------------

    async def connect(self) -> None:
        crashed = not self._unsafe and self._markers.left()
        self._forget()
        self._unsafe = True
        self._markers.set()
        await self.instruments.open()
        if crashed:
            await self._after_crash()
        await repeated(partial(switch_on, self.rack, self._parameters, self.instruments))
        self.instruments.fault = None
        identities = {name: one.identity for name, one in self.instruments.resources.items()}
        self.interlocks = interlocks_of(self.rack, self.instruments)
        self.info = info_of(self.rack, self.path, self._parameters, identities)

    async def _after_crash(self) -> None:
        """A program ended without the safe state: bring instruments there, then initialise them as if just opened."""
        log.warning(
            "%s: the last program that used these instruments did not leave them safe; bringing them there", self.uri
        )
        errors = await self._make_safe()
        if errors:
            raise errors[0]
        await self.instruments.send(
            [
                Message(name, message)
                for name, (_, instrument) in self.rack.resources().items()
                for message in instrument.initialise
            ]
        )
        await self.instruments.drain_errors()

    async def disconnect(self) -> None:
        if self._keep or not self._unsafe:
            await self.instruments.close()
            return
        self._unsafe = False  # what goes wrong now is reported once, and found by its marker at the next start
        errors: list[Exception] = []
        try:
            errors = await self._make_safe()
        finally:
            await self.instruments.close()
            self.instruments.forget_use()
        if errors:
            more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
            text = str(errors[0]).removeprefix(f"{self.uri}: ")
            raise DeviceFault(f"not confirmed to be safe: {text}{more}", uri=self.uri) from errors[0]
        self._markers.clear()

    async def let_go(self) -> None:
        """Disconnect from unreliable hardware, without moving its parameters, and without switching it off."""
        self._keep = True
        try:
            await super().let_go()
        finally:
            self._keep = False

    async def _make_safe(self) -> list[Exception]:
        """Bring what can be reached to the safe state; what went wrong."""
        self._inputs.forget()
        stop = () if self.rack.blocks is None else self.rack.blocks.stop
        return await make_safe(self.rack, self._parameters, self.instruments, stop)

    # --- parameters --------------------------------------------------------------------------------------------------

    async def read(self) -> FloatArray:
        if self.is_open or not self._unsafe:
            self._check_ready()
            return await self._parameters.read()
        return await repeated(self._parameters.read)  # being opened: limits on motion begin where the hardware is

    async def apply(self, theta: FloatArray, step: int) -> FloatArray:
        if self.instruments.fault is not None:
            self._forget()
            await switch_on(self.rack, self._parameters, self.instruments)
            self.instruments.fault = None
        return await self._parameters.move(theta)

    def _check_ready(self) -> None:
        """Raise if nothing can be measured: closed, or an instrument may have lost what was set.

        The failure of a link may have been seen by somebody else only, who has asked again: an interlock, for example.
        An instrument that was switched off and on meanwhile has its outputs off.
        """
        self.check_open()
        fault = self.instruments.fault
        if fault is not None:
            text = str(fault).removeprefix(f"{self.uri}: ")
            raise LinkLost(f"what was set may be lost, since a link has failed: {text}", uri=self.uri)

    # --- measurements ------------------------------------------------------------------------------------------------

    async def load(self, dataset: Dataset) -> None:
        await super().load(dataset)
        self._inputs.forget_samples()
        self._targets.forget_samples()

    async def infer(self, samples: IntArray, step: int = 0) -> FloatArray:
        self._check_ready()
        if self._timed is None or samples.size < FEWEST_TIMED:
            outputs = await self._outputs_of(samples)
        else:
            theta = await self._parameters.read()
            levels = self._inputs.levels(self.dataset.values(samples))
            rows = np.broadcast_to(theta, (samples.size, theta.size))
            outputs = (await self._played(self._timed, rows, levels, theta, 1))[:, 0]
        await self.instruments.drain_errors()
        return outputs

    async def measure(self, samples: IntArray, step: int, part: Part) -> int | float:
        self._check_ready()
        targets = self.dataset.targets[samples]
        cost = self.rack.cost
        if cost.query is None or cost.instrument is None:
            return float(self.cost_of(await self._outputs_of(samples), targets).sum())
        levels, references = self._inputs.levels(self.dataset.values(samples)), self._targets.levels(targets)
        (instrument,) = self.rack.members(cost.instrument)
        total = 0.0
        for sample, inputs, wanted in zip(samples.tolist(), levels, references, strict=True):
            await self._inputs.apply(sample, inputs)
            await self._targets.apply(sample, wanted)
            await self.instruments.take(self.rack.trigger)
            numbers = await self.instruments.ask_numbers(instrument, cost.query)
            if numbers.size != 1:
                raise LinkCorrupt(
                    f"{instrument} answered {cost.query} by {numbers.size} numbers; expected one, the cost",
                    uri=self.uri,
                )
            total += cost.scale * float(numbers[0]) + cost.offset
            self.tick()
        return total

    async def _outputs_of(self, samples: IntArray) -> FloatArray:
        """(B, n_out) outputs, one sample after another."""
        levels = self._inputs.levels(self.dataset.values(samples))
        found = np.empty((samples.size, self.rack.n_outputs))
        for row, (sample, inputs) in enumerate(zip(samples.tolist(), levels, strict=True)):
            await self._inputs.apply(sample, inputs)
            await self.instruments.take(self.rack.trigger)
            found[row] = await self._outputs.read()
            self.tick()
        return found

    async def probe_with_host_codes(self, block: Block) -> Costs:
        self._check_ready()
        costs = await super().probe_with_host_codes(block)
        await self.instruments.drain_errors()
        return costs

    async def probe(self, block: Block) -> Costs:
        """As the host codes do it; hardware-timed, if the rack can. Restores θ."""
        if self._timed is None:
            return await self.probe_with_host_codes(block)
        self._check_ready()
        self.check_codes(block.codes)
        theta = await self._parameters.read()
        self.check_perturbed(theta, block.codes.amplitude)
        playlist = Playlist(block, self.info, theta)
        levels = self._inputs.levels(self.dataset.values(playlist.samples))
        readings = self.acquisition.readings
        outputs = await self._played(self._timed, playlist.theta, levels, theta, readings)
        await self.instruments.drain_errors()
        flat = outputs.reshape(-1, self.rack.n_outputs)
        costs = self.cost_of(flat, np.repeat(self.dataset.targets[playlist.samples], readings, axis=0))
        return playlist.costs(costs.reshape(-1, readings).mean(axis=1))

    async def _played(
        self, timed: HardwareTimed, theta: FloatArray, levels: FloatArray, rest: FloatArray, readings: int
    ) -> FloatArray:
        """Outputs of hardware-timed measurements; see `HardwareTimed.measure`. Those that are none are made again.

        Raises:
            Overload: they are none, also when repeated.
        """
        outputs = await timed.measure(theta, levels, rest, readings)
        self.tick()
        for attempt in range(self.guard.repeat + 1):
            bad = np.isnan(outputs).any(axis=(1, 2))
            if not bad.any():
                return outputs
            if attempt < self.guard.repeat:
                self.guard.add(overloads=int(bad.sum()))
                outputs[bad] = await timed.measure(theta[bad], levels[bad], rest, readings)
                self.tick()
        raise Overload(f"{self._outputs.overload} (measured {self.guard.repeat + 1} times)", uri=self.uri, final=True)

    def _forget(self) -> None:
        """Nothing is known any more of what the instruments hold."""
        self._parameters.forget()
        self._inputs.forget()
        self._targets.forget()


def open_uri(uri: str) -> BenchDevice:
    """The device at an address `bench:RACK.toml`. Raises ConfigError."""
    address = split_uri(uri)
    for option in address.options:
        raise ConfigError(f"{uri}: no option {short_repr(option)}{did_you_mean(option, ())}; everything is in the file")
    if not address.place:
        raise ConfigError(f"{uri}: expected the path of a rack file, bench:RACK.toml; `mgdhw bench new` writes one")
    path = expand_path(uri, address.place)
    return BenchDevice(f"bench:{path.resolve()}", load_rack(path), path)  # the same from wherever a run is resumed
