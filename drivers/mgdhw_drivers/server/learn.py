"""A segment that a software board runs, chunk by chunk."""

from __future__ import annotations

import asyncio
import struct
import time
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mgdhw.block import Block
from mgdhw.device import Device
from mgdhw.learning.rule import ParameterGrid
from mgdhw.learning.segment import Segment, SegmentResult
from mgdhw.learning.state import TrainState
from mgdhw.learning.step import probes_to_update, requested_theta
from mgdhw_drivers.protocol.checks import check_finite
from mgdhw_drivers.protocol.messages import LearnResult
from mgdhw_drivers.protocol.numbers import OPTIMIZERS, Area, LearnFlag, MismatchedItem, Type
from mgdhw_drivers.protocol.segments import (
    LearnRequest,
    areas_in_use,
    check_state,
    checksum,
    learnt_of,
    segment_of,
    state_areas,
)
from mgdhw_drivers.server.areas import Mismatch
from mgdhw_drivers.server.hardware import device_errors

if TYPE_CHECKING:
    from mgdhw_drivers.server.operations import Operations


class LearnOperation:
    """LEARN under way.

    Args:
        work: whose it is.
        device: what learns.
        request: the message, whose fields are within their ranges.
        block: all of its probes.

    Raises:
        Mismatch: the board holds something other than what it depends on.
        LinkCorrupt: that holds what no training comes to.
    """

    def __init__(self, work: Operations, device: Device, request: LearnRequest, block: Block) -> None:
        learn = request.learn
        flags = LearnFlag(learn.flags)
        areas = {area: work.areas.whole(area) for area in areas_in_use(OPTIMIZERS[learn.optimizer], flags)}
        if checksum(areas.values()) != learn.state_crc:
            raise Mismatch(MismatchedItem.STATE)
        rates = work.areas.first(Area.ETA, 8 * learn.eta_count)
        if zlib.crc32(rates) != learn.eta_crc:
            raise Mismatch(MismatchedItem.ETA)
        info, p = device.info, device.info.n_parameters
        guard_band = np.asarray(learn.low), np.asarray(learn.high)
        raw = work.areas.whole(Area.GUARD) if work.head.per_parameter else b""
        if zlib.crc32(raw) != learn.guard_crc:
            raise Mismatch(MismatchedItem.GUARD)
        if raw:
            limits = np.frombuffer(raw, "<f8").astype(np.float64)
            check_finite("guard", limits)
            guard_band = limits[:p], limits[p:]
        grid = ParameterGrid(info.theta_min, info.theta_max, info.theta_lsb)
        self.ticket = learn.ticket
        self._work = work
        self._device = device
        self._amplitude = block.codes.amplitude
        self._kind = (Type.LEARN, block.codes.family, block.baseline, block.order.batch)
        self._rates = struct.unpack(f"<{len(rates) // 8}d", rates)
        check_finite("eta", self._rates)
        self._segment = segment_of(request, areas, grid, guard_band, info.cost_lsb, floats=work.floats)
        rule = self._segment.rule
        check_state(self._segment.state, rule.filter_weight, rule.optimizer.not_negative)

    def check_limits(self) -> None:
        """Raise LimitExceeded if the parameters, or what perturbations make of them, would leave their limits."""
        self._check_limits(self._segment.state)

    async def run(self) -> LearnResult:
        """The whole segment; the areas hold the state after it. Raises LimitExceeded where an update goes too far."""
        work, segment = self._work, self._segment
        batch = segment.rule.order.batch
        with device_errors():
            before = replace(segment.state, cells=await self._device.snapshot())
        state, last, total, left = before, None, 0.0, segment.n_probes
        while left:
            rule, size = segment.rule, work.chunk_size.next(left, self._kind, batch)
            if self._rates:  # chunks of one learning rate each
                number = min(state.update - before.update, len(self._rates) - 1)
                rule = replace(rule, eta=self._rates[number])
                size = min(size, probes_to_update(state, rule))
            began = time.perf_counter()
            with device_errors(), np.errstate(all="ignore"):  # where a state overflows, it leaves the limits
                result = await self._device.learn(Segment(state, rule, size))
            work.chunk_size.took(size, time.perf_counter() - began)
            state, last = result.state, result.last or last
            self._check_limits(state)
            total += result.cost * size if work.floats else round(result.cost * size)
            left -= size
            work.done = state.evaluations & 0xFFFFFFFF
            if left:
                await asyncio.sleep(0)  # read the line
        work.evaluations += state.evaluations
        return await self._learnt(SegmentResult(state, total / segment.n_probes, last))

    async def _learnt(self, result: SegmentResult) -> LearnResult:
        work, rule = self._work, self._segment.rule
        content = state_areas(result.state, rule, floats=work.floats)
        for area, raw in content.items():
            work.areas.fill(area, raw)
        theta = requested_theta(result.state, rule)
        requested = work.form.encode(theta)
        with device_errors():
            held = work.form.encode(await self._device.read())
        work.areas.fill(Area.REQUESTED, requested)
        work.areas.fill(Area.HELD, held)
        work.stress.moved(theta)
        return learnt_of(
            result,
            ticket=self.ticket,
            state_crc=checksum(content.values()),
            theta_crc=zlib.crc32(requested),
            held_crc=zlib.crc32(held),
            floats=work.floats,
        )

    def _check_limits(self, state: TrainState) -> None:
        self._device.check_limits(state.theta)
        self._device.check_perturbed(state.theta, self._amplitude)
