"""The one chip that the instruments of a simulated rack are wired to: any device, as what voltages do to it."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.costs import COSTS
from mgdhw.datasets import Dataset
from mgdhw.device import Device
from mgdhw.errors import ConfigError, MgdhwError
from mgdhw_drivers.bench.rack import Place, Rack
from mgdhw_drivers.bench.simulate.recorder import Cause, Recorder
from mgdhw_drivers.bench.simulate.wiring import Wiring
from mgdhw_drivers.scpi import ScpiError

MOST_KNOWN = 1 << 14
"""Outputs that are kept."""
MOST_SAMPLES = 64
"""Samples whose outputs are computed in one batch when the parameters have changed: those applied last."""
RESOLUTION = 6
"""Decimals of a level: what a converter cannot tell apart is the same, however it was sent."""


class SimulatedChip:
    """Levels of channels in, outputs out. Nothing is computed twice.

    Noise of the device does not change from one reading to the next: equal levels have equal outputs.

    Args:
        device: open.
        rack: whose channels drive it.
        recorder: of what the channels do.
        settling: seconds in which a change has no effect yet.

    Raises:
        ConfigError: the device has other sizes than the rack.
    """

    def __init__(self, device: Device, rack: Rack, recorder: Recorder, settling: float = 0.0) -> None:
        self.wiring = Wiring(rack)
        self.recorder = recorder
        self.settling = settling
        self._device = device
        self._cost = rack.cost.kind
        self._levels = np.zeros(len(self.wiring.driven))
        self._settled = self._levels.copy()
        self._changed = float("-inf")
        self._known: OrderedDict[bytes, FloatArray] = OrderedDict()
        self._samples: OrderedDict[bytes, FloatArray] = OrderedDict()
        self._theta = b""
        """What the device holds."""
        self._loaded: tuple[bytes, ...] = ()
        """Samples that the device has."""
        self._lock = asyncio.Lock()
        self._check(device)
        self._offset, self._slope = self._scale(device)

    def _check(self, device: Device) -> None:
        info, wiring = device.info, self.wiring
        sizes = {
            "parameters": (wiring.n_parameters, info.topology.n_parameters),
            "inputs": (wiring.n_inputs, info.n_inputs),
            "outputs": (wiring.n_outputs, info.n_outputs),
        }
        for name, (wanted, got) in sizes.items():
            if wanted != got:
                raise ConfigError(
                    f"--chip {device.uri}: has {got} {name}, the rack has {wanted}; choose its layers, as in"
                    " sim:analog-8bit?layers=2-3-1"
                )

    def _scale(self, device: Device) -> tuple[FloatArray, FloatArray]:
        """Parameters are levels where they fit, and otherwise the same share of their range."""
        low, high = self.wiring.limits.T
        info = device.info
        least, most = np.broadcast_arrays(info.theta_min, info.theta_max, low)[:2]
        fits = bool(np.all((low >= least) & (high <= most + info.theta_lsb)))
        slope = np.ones_like(low) if fits else (most - least) / (high - low)
        return np.zeros_like(low) if fits else least - slope * low, slope

    def set(self, place: Place, level: float, cause: Cause = Cause.COMMAND) -> None:
        """Apply a level to a channel, wired to something or not."""
        level = round(level, RESOLUTION)
        self.recorder.moved(place, level, cause)
        column = self.wiring.driven.get(place)
        if column is not None and self._levels[column] != level:
            if self.settling:
                self._settled = self.levels()
                self._changed = time.monotonic()
            self._levels[column] = level

    def levels(self) -> FloatArray:
        """(C,) levels of all channels, as far as they have settled."""
        settled = not self.settling or time.monotonic() - self._changed >= self.settling
        return (self._levels if settled else self._settled).copy()

    async def outputs(self, levels: FloatArray) -> FloatArray:
        """(N, n_out) outputs for (N, C) levels, each of a moment.

        Raises:
            ScpiError: the device fails (-240).
        """
        levels = np.round(levels, RESOLUTION)
        theta = self._offset + self._slope * self.wiring.parameters(levels)
        info = self._device.info
        theta = np.clip(theta, info.theta_min, info.theta_max)
        samples = self.wiring.inputs(levels)
        keys = [(row.tobytes(), sample.tobytes()) for row, sample in zip(theta, samples, strict=True)]
        async with self._lock:
            found: dict[tuple[bytes, bytes], FloatArray] = {}
            missing: dict[bytes, tuple[FloatArray, dict[bytes, FloatArray]]] = {}
            for key, row, sample in zip(keys, theta, samples, strict=True):
                known = self._known.get(key[0] + key[1])
                if known is not None:
                    found[key] = known
                else:
                    missing.setdefault(key[0], (row, {}))[1][key[1]] = sample
                self._remember_sample(key[1], sample)
            for name, (row, wanted) in missing.items():
                chosen = wanted | self._samples if len(self._samples) <= MOST_SAMPLES else wanted
                batch = dict(sorted(chosen.items()))
                for sample_name, output in zip(batch, await self._infer(row, batch), strict=True):
                    found[name, sample_name] = output
                    self._known[name + sample_name] = output
            while len(self._known) > MOST_KNOWN:
                self._known.popitem(last=False)
        return np.array([found[key] for key in keys])

    async def cost(self, levels: FloatArray) -> FloatArray:
        """(N,) costs for (N, C) levels, as an instrument measures them. Raises ScpiError as `outputs`."""
        return COSTS[self._cost](await self.outputs(levels), self.wiring.targets(levels))

    def _remember_sample(self, name: bytes, sample: FloatArray) -> None:
        self._samples[name] = sample
        self._samples.move_to_end(name)
        if len(self._samples) > 2 * MOST_SAMPLES:
            self._samples.popitem(last=False)

    async def _infer(self, theta: FloatArray, samples: dict[bytes, FloatArray]) -> FloatArray:
        device = self._device
        names = tuple(samples)
        try:
            if theta.tobytes() != self._theta:
                self._theta = b""
                await device.write(theta)
                self._theta = theta.tobytes()
            if names != self._loaded:
                self._loaded = ()
                targets = np.zeros((len(names), self.wiring.n_outputs))
                await device.load(Dataset("applied", np.array(list(samples.values())), 1.0, targets, len(names)))
                self._loaded = names
            return await device.infer(np.arange(len(names)))
        except MgdhwError as error:
            raise ScpiError(-240, str(error)) from error
