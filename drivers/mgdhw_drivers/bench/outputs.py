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
        """(n, n_out) outputs in n windows of the record of a hardware-timed block of so many points.

        Raises:
            Overload, LinkCorrupt: as `read`.
        """
        arrays = await in_parallel(
            self._arrays(group, member, group.record or "", points) for group, member in self._sources
        )
        found = np.empty((len(windows), self._rack.n_outputs))
        column = 0
        for (group, member), rows in zip(self._sources, arrays, strict=True):
            for channel, row in zip(group.channels, rows, strict=True):
                found[:, column] = [self._mean(group, member, channel, row[first:end]) for first, end in windows]
                column += 1
        return found

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
            value = describe_overload(float(readings[int(np.argmax(none))]))
            raise Overload(f"{instrument}, channel {channel}, reads {value}; check its range and wiring", uri=self._uri)
        return group.scale * float(readings.mean()) + group.offset
