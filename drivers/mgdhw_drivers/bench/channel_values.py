"""What channels hold, as far as the host knows, and the moves of parameters that hurt nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mgdhw.arrays import FloatArray
from mgdhw.device.motion import ROUNDING, ramp, whole_steps
from mgdhw.errors import DeviceFault
from mgdhw_drivers.bench.groups import ChannelGroup, ParameterGroup
from mgdhw_drivers.bench.instruments import Instruments, in_parallel, pause
from mgdhw_drivers.bench.messages import Setting, messages_for, queries_for
from mgdhw_drivers.bench.rack import Place, Rack


class ChannelValues:
    """The values of the channels of some groups, in order; only those that change are sent.

    After an error, what was being sent is unknown and is sent again.

    Args:
        rack: whose channels they are.
        groups: of channels.
        instruments: of the rack.
    """

    def __init__(self, rack: Rack, groups: Sequence[ChannelGroup], instruments: Instruments) -> None:
        self._rack, self._instruments = rack, instruments
        self.channels: list[tuple[ChannelGroup, Place]] = [
            (group, place) for group in groups for place in rack.places(group)
        ]
        self.held = np.full(len(self.channels), np.nan)
        """What each channel holds; NaN: unknown."""

    def texts(self, values: FloatArray) -> list[str]:
        """Values as they are sent."""
        return [format(value, group.format) for value, (group, _) in zip(values.tolist(), self.channels, strict=True)]

    def forget(self) -> None:
        """Nothing is known any more."""
        self.held[:] = np.nan

    async def set(self, values: FloatArray, texts: Sequence[str], where: NDArray[np.bool_] | None = None) -> bool:
        """Send values, (n,), that channels do not hold, of all or of those chosen; whether there were any."""
        differing = values != self.held  # also where it holds NaN
        changed = np.flatnonzero(differing if where is None else differing & where).tolist()
        if not changed:
            return False
        settings = [Setting(*self.channels[index], texts[index]) for index in changed]
        self.held[changed] = np.nan
        await self._instruments.send(messages_for(self._rack, settings))
        self.held[changed] = values[changed]
        return True


class ParameterValues(ChannelValues):
    """The parameters of a rack.

    Ramps are the contract's (`DeviceInfo.motion`). Where it cannot know better - an instrument that was switched off
    and on, or opened again - `move` reads what channels hold, and goes on from there by a ramp.

    Args:
        rack: whose parameters they are.
        instruments: of the rack.
        uri: of the device.
    """

    def __init__(self, rack: Rack, instruments: Instruments, uri: str) -> None:
        super().__init__(rack, rack.parameters, instruments)
        self._uri = uri
        self._groups = [group for group in rack.parameters for _ in rack.places(group)]
        self.low, self.high = self._each("min"), self._each("max")
        self.lsb, self.safe = self._each("lsb"), self._each("safe")
        self.max_step = np.array([np.inf if group.max_step is None else group.max_step for group in self._groups])
        self.step_time = self._each("step_time")
        self._step = whole_steps(self.max_step, self.lsb)

    def _each(self, name: str) -> FloatArray:
        return np.array([getattr(group, name) for group in self._groups], dtype=np.float64)

    def rounded(self, theta: FloatArray) -> tuple[FloatArray, list[str]]:
        """(P,) values on the grid of the parameters, as they are sent, and their texts."""
        grid = np.clip(np.round(theta / self.lsb) * self.lsb, self.low, self.high)
        texts = self.texts(grid)
        return np.array([float(text) for text in texts]), texts

    async def read(self) -> FloatArray:
        """(P,) what the channels hold: where it is unknown, what instruments answer; at rest, where they cannot."""
        await self._read_back(np.isnan(self.held))
        return self.held.copy()

    async def move(self, theta: FloatArray, where: NDArray[np.bool_] | None = None) -> FloatArray:
        """Set the parameters, (P,); by a ramp from what they hold, where that is further than `max_step`.

        Args:
            theta: (P,).
            where: (P,) parameters to set; by default all.

        Returns:
            (P,) what was sent.
        """
        target, texts = self.rounded(theta)
        moving = np.ones(target.shape, dtype=np.bool_) if where is None else where
        limited = moving & np.isfinite(self.max_step)
        if limited.any():
            await self._approach(target, moving, limited)
        await self.set(target, texts, moving)
        return target

    async def _approach(self, target: FloatArray, moving: NDArray[np.bool_], limited: NDArray[np.bool_]) -> None:
        """Go so near to the target that one write is enough."""

        def far() -> NDArray[np.bool_]:
            near = np.abs(target - self.held) <= self._step + ROUNDING * self.lsb
            return np.asarray(limited & ~near)  # also where it holds NaN

        if not far().any():
            return
        self.held[far()] = np.nan
        await self._read_back(np.isnan(self.held) & moving)
        seconds = float(self.step_time[limited].max())
        await asyncio.sleep(seconds)  # when it moved last is unknown
        if not far().any():
            return
        start = np.where(moving & ~np.isnan(self.held), self.held, target)
        for point in list(ramp(start, target, self._step))[:-1]:
            await self.set(*self.rounded(point), moving)
            await pause(seconds)

    async def _read_back(self, unknown: NDArray[np.bool_]) -> None:
        """Ask instruments for what their channels hold, where it is unknown, (P,)."""
        work, at = [], 0
        for group in self._rack.parameters:
            for instrument in self._rack.members(group.instrument):
                own = slice(at, at + len(group.channels))
                at = own.stop
                if unknown[own].any():
                    work.append(self._read_group(group, instrument, own))
        await in_parallel(work)

    async def _read_group(self, group: ParameterGroup, instrument: str, own: slice) -> None:
        """Note what the channels of a group at an instrument hold."""
        if group.read is None:
            self.held[own] = group.safe
            return
        parts = []
        for query, count in queries_for(group.read, group.channels):
            values = await self._instruments.ask_numbers(instrument, query)
            if values.size != count or not np.isfinite(values).all():
                raise DeviceFault(
                    f"{instrument} answered {query} by {values.size} numbers, some of which may not be finite; expected"
                    f" {count}, what its channels hold: see parameters.read in the rack file",
                    uri=self._uri,
                )
            parts.append(values)
        self.held[own] = np.concatenate(parts)
