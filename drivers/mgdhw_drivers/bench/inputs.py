"""Inputs and targets of samples as levels, or as waveforms that are uploaded once and selected by name."""

from __future__ import annotations

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.errors import LimitExceeded
from mgdhw_drivers.bench.channel_values import ChannelValues
from mgdhw_drivers.bench.groups import LevelGroup, number_type
from mgdhw_drivers.bench.instruments import Instruments, pause
from mgdhw_drivers.bench.messages import Message, queries_for
from mgdhw_drivers.bench.rack import Rack
from mgdhw_drivers.bench.templates import header

TOLERANCE = 1e-9
"""Share of its range by which a level may be outside of it: rounding."""


class Levels:
    """What inputs, or targets, are applied.

    Args:
        rack: whose they are.
        groups: `rack.inputs` or `rack.targets`.
        instruments: of the rack.
        uri: of the device.
    """

    def __init__(
        self, rack: Rack, groups: tuple[LevelGroup, ...], instruments: Instruments, uri: str, what: str = "input"
    ) -> None:
        self._rack, self._instruments, self._uri, self._what = rack, instruments, uri, what
        self.groups = groups
        self.values = ChannelValues(rack, [group for group in groups if group.select is None], instruments)
        self._each = [group for group in groups for _ in rack.places(group)]
        self._by_level = np.array([group.select is None for group in self._each], dtype=np.bool_)
        self._low = np.array([group.low for group in self._each])
        self._span = np.array([group.high - group.low for group in self._each])
        self._limits = np.array([group.limits for group in self._each]).reshape(-1, 2).T
        self._uploaded: set[int] = set()
        self._selected: int | None = None
        self.rest = np.array([group.rest for group in self._each])
        self.settle = max((group.settle for group in groups), default=0.0)

    def levels(self, values: FloatArray) -> FloatArray:
        """(B, n) levels of (B, n) values. Raises LimitExceeded, naming the first beyond its limits."""
        levels = self._low + values * self._span
        low, high = self._limits
        room = TOLERANCE * (high - low)
        good = (levels >= low - room) & (levels <= high + room)
        if not good.all():
            row, column = (int(index) for index in np.argwhere(~good)[0])
            raise LimitExceeded(
                f"{self._what} {column + 1} would be {levels[row, column]:g} {self._each[column].units}, outside its"
                f" limits {low[column]:g} ... {high[column]:g}; nothing was sent (scale the data: data.scale, or set"
                f" min and max of [[{self._what}s]])",
                uri=self._uri,
            )
        return np.asarray(np.clip(levels, low, high))

    def forget(self) -> None:
        """Nothing is known any more of what is applied or was uploaded."""
        self.values.forget()
        self._selected = None
        self._uploaded.clear()

    def forget_selection(self) -> None:
        """What was selected no longer is: a hardware-timed block has ended."""
        self._selected = None

    def forget_samples(self) -> None:
        """Uploaded waveforms belong to another dataset."""
        self._selected = None
        self._uploaded.clear()

    async def apply(self, sample: int, levels: FloatArray) -> None:
        """Apply the levels, (n,), of a sample, and wait until they have settled."""
        own = levels[self._by_level]
        changed = await self.values.set(own, self.values.texts(own))
        if not self._by_level.all() and self._selected != sample:
            await self._select(sample, levels)
            changed = True
        if changed:
            await pause(self.settle)

    async def _select(self, sample: int, levels: FloatArray) -> None:
        name = f"S{sample}"
        uploads: list[Message] = []
        selections: list[Message] = []
        at = 0
        for group in self.groups:
            places = self._rack.places(group)
            if group.upload is not None and group.select is not None:
                for place, level in zip(places, levels[at : at + len(places)].tolist(), strict=True):
                    data = (level * np.array(group.shape)).astype(number_type(group.dtype, group.byte_order)).tobytes()
                    text = header(group.upload, channel=place.channel, name=name)
                    uploads.append(Message(place.instrument, text, data))
                for member in self._rack.members(group.instrument):
                    select = group.select.replace("{name}", name)
                    texts = [text for text, _ in queries_for(select, group.channels)]
                    selections += [Message(member, text) for text in _joined(texts, group.separator)]
            at += len(places)
        if sample not in self._uploaded:
            await self._instruments.send(uploads)
            self._uploaded.add(sample)
        self._selected = None
        await self._instruments.send(selections)
        self._selected = sample


def _joined(texts: list[str], separator: str) -> list[str]:
    return [separator.join(texts)] if separator else texts
