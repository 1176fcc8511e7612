"""Outputs from what instruments answer: arrays, windows, scales, and readings that are no measurements."""

from __future__ import annotations

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.device.readings import describe_overload, overloaded
from mgdhw.errors import LinkCorrupt, Overload
from mgdhw_drivers.bench.groups import OutputGroup
from mgdhw_drivers.bench.instruments import Instruments, in_parallel
from mgdhw_drivers.bench.messages import queries_for
from mgdhw_drivers.bench.rack import Rack


class Outputs:
    """The outputs of a rack.

    Args:
        rack: whose outputs they are.
        instruments: of the rack.
        uri: of the device.
    """

    def __init__(self, rack: Rack, instruments: Instruments, uri: str) -> None:
        self._rack, self._instruments, self._uri = rack, instruments, uri
        self.overload = ""
        """Which reading of the last record was no measurement."""
        self._sources = [(group, member) for group in rack.outputs for member in rack.members(group.instrument)]

    async def read(self) -> FloatArray:
        """(n_out,) outputs of the sample that is applied.

        Raises:
            Overload: a reading is no measurement; names the channel.
            LinkCorrupt: an answer is not what was expected.
        """
        arrays = await in_parallel(
            self._arrays(group, member, group.query, group.points) for group, member in self._sources
        )
        found = []
        for (group, member), rows in zip(self._sources, arrays, strict=True):
            for channel, row in zip(group.channels, rows, strict=True):
                found += [self._mean(group, member, channel, row[first:end]) for first, end in group.parts]
        return np.array(found)

    async def read_record(self, points: int, windows: list[tuple[int, int]]) -> FloatArray:
        """(n, n_out) outputs in n windows, of equal length, of the record of a hardware-timed block of so many points.

        Outputs whose window has an overload are NaN, and `overload` says which: they alone are measured again.

        Raises:
            LinkCorrupt: as `read`.
        """
        arrays = await in_parallel(
            self._arrays(group, member, group.record or "", points) for group, member in self._sources
        )
        first, end = windows[0]
        inside = np.array([start for start, _ in windows])[:, None] + np.arange(end - first)
        columns = []
        for (group, member), rows in zip(self._sources, arrays, strict=True):
            for channel, row in zip(group.channels, rows, strict=True):
                readings = row[inside]
                none = overloaded(readings, group.overload)
                if none.any():
                    self.overload = _overload(member, channel, float(readings[none][0]))
                means = group.scale * np.where(none, 0.0, readings).mean(axis=1) + group.offset
                columns.append(np.where(none.any(axis=1), np.nan, means))
        return np.stack(columns, axis=1)

    async def _arrays(self, group: OutputGroup, instrument: str, template: str, points: int) -> FloatArray:
        """(channels, points) readings of a group at an instrument."""
        parts = []
        for query, count in queries_for(template, group.channels):
            values = await self._instruments.ask_array(instrument, query, group)
            if values.size != count * points:
                raise LinkCorrupt(
                    f"{instrument} answered {query} by {values.size:,} numbers; expected {count * points:,}:"
                    f" {points:,} for each channel (see outputs.points in the rack file)",
                    uri=self._uri,
                )
            parts.append(values.reshape(count, points))
        return np.concatenate(parts)

    def _mean(self, group: OutputGroup, instrument: str, channel: str, readings: FloatArray) -> float:
        none = overloaded(readings, group.overload)
        if none.any():
            raise Overload(_overload(instrument, channel, float(readings[none][0])), uri=self._uri)
        return group.scale * float(readings.mean()) + group.offset


def _overload(instrument: str, channel: str, reading: float) -> str:
    return f"{instrument}, channel {channel}, reads {describe_overload(reading)}; check its range and wiring"
