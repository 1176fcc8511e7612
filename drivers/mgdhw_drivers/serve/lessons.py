"""A segment that a software board runs, piece by piece."""

from __future__ import annotations

import asyncio
import struct
import time
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mgdhw.device import Device
from mgdhw.errors import ConfigError
from mgdhw.loop import Grid, to_update, to_write
from mgdhw.segment import Segment, SegmentResult
from mgdhw_drivers.link.messages import OPTIMIZERS, Area, Can, LearnFlag, Learnt, Thing
from mgdhw_drivers.link.segments import (
    Ask,
    areas_in_use,
    checksum,
    learnt_of,
    optimizer_of,
    segment_of,
    state_areas,
)
from mgdhw_drivers.serve.memory import Mismatch

if TYPE_CHECKING:
    from mgdhw_drivers.serve.work import Work


class Lesson:
    """LEARN under way.

    Args:
        work: whose it is.
        device: what learns.
        ask: the message.

    Raises:
        Mismatch: the board holds something other than what it depends on.
        ConfigError: the device cannot learn.
        LinkCorrupt: a field is out of its range.
    """

    def __init__(self, work: Work, device: Device, ask: Ask) -> None:
        learn = ask.learn
        if not work.head.capabilities & Can.LEARN:
            raise ConfigError("the device cannot learn by itself")
        optimizer_of(learn.optimizer, learn.constants)
        flags = LearnFlag(learn.flags)
        used = areas_in_use(
            OPTIMIZERS[learn.optimizer],
            continuous=LearnFlag.CONTINUOUS in flags,
            window_empty=LearnFlag.WINDOW_EMPTY in flags,
        )
        areas = {area: work.memory.whole(area) for area in used}
        if checksum(areas.values()) != learn.state_crc:
            raise Mismatch(Thing.STATE)
        rates = work.memory.first(Area.ETA, 8 * min(learn.eta_count, work.head.area_sizes[Area.ETA] // 8))
        if zlib.crc32(rates) != learn.eta_crc:
            raise Mismatch(Thing.ETA)
        info, p = device.info, device.info.n_parameters
        guard = np.asarray(learn.low), np.asarray(learn.high)
        if work.head.per_parameter:
            raw = work.memory.whole(Area.GUARD)
            if zlib.crc32(raw) != learn.guard_crc:
                raise Mismatch(Thing.GUARD)
            limits = np.frombuffer(raw, "<f8").astype(np.float64)
            guard = limits[:p], limits[p:]
        grid = Grid(info.theta_min, info.theta_max, info.theta_lsb)
        self.ticket = learn.ticket
        self._work = work
        self._device = device
        self._rates = struct.unpack(f"<{len(rates) // 8}d", rates)
        self._segment = segment_of(ask, areas, grid, guard, info.cost_lsb, floats=work.floats)

    async def run(self) -> Learnt:
        """The whole segment; the areas hold the state after it."""
        work, segment = self._work, self._segment
        before = replace(segment.state, cells=await self._device.snapshot())
        state, last, total, left = before, None, 0.0, segment.n_probes
        while left:
            recipe, size = segment.recipe, work.pieces.size(left)
            if self._rates:  # pieces of one learning rate each
                number = min(state.update - before.update, len(self._rates) - 1)
                recipe = replace(recipe, eta=self._rates[number])
                size = min(size, to_update(state, recipe))
            began = time.perf_counter()
            result = await self._device.learn(Segment(state, recipe, size))
            work.pieces.took(size, time.perf_counter() - began)
            state, last = result.state, result.last or last
            total += result.cost * size if work.floats else round(result.cost * size)
            left -= size
            work.done = state.evaluations
            if left:
                await asyncio.sleep(0)  # listen
        work.evaluations += state.evaluations
        result = SegmentResult(state, total / segment.n_probes, last)
        content = state_areas(state, segment.recipe, floats=work.floats)
        for area, raw in content.items():
            work.memory.fill(area, raw)
        requested = work.form.encode(to_write(state, segment.recipe))
        held = work.form.encode(await self._device.read())
        work.memory.fill(Area.REQUESTED, requested)
        work.memory.fill(Area.HELD, held)
        return learnt_of(
            result,
            ticket=self.ticket,
            state_crc=checksum(content.values()),
            theta_crc=zlib.crc32(requested),
            held_crc=zlib.crc32(held),
            floats=work.floats,
        )
