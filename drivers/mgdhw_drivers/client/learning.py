"""Segments over a link: each done once, and its state brought back."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from mgdhw.device import DeviceInfo
from mgdhw.errors import ConfigError, DeviceFault, LinkCorrupt
from mgdhw.learning.segment import Segment, SegmentResult
from mgdhw.learning.step import requested_theta
from mgdhw_drivers.client.board_session import BoardSession
from mgdhw_drivers.client.costs import CostChecker
from mgdhw_drivers.client.learn_verification import Verification, evaluations_of
from mgdhw_drivers.protocol.messages import LearnResult
from mgdhw_drivers.protocol.numbers import FIRST_OPTIMIZER, OPTIMIZER_NUMBERS, Area, Feature, Type, family_bit
from mgdhw_drivers.protocol.parameters import ParameterForm
from mgdhw_drivers.protocol.segments import (
    areas_after,
    ask_of,
    checksum,
    name_of,
    rates_of,
    result_of,
    state_areas,
)


class Learning:
    """Runs segments on a board.

    Args:
        session: with the board.
        info: what the device is.
        form: how parameters are sent.
        cost_checker: knows which costs there can be.
    """

    def __init__(self, session: BoardSession, info: DeviceInfo, form: ParameterForm, cost_checker: CostChecker) -> None:
        self._session = session
        self._info = info
        self._form = form
        self._cost_checker = cost_checker
        self._floats = bool(session.known.head.float_costs)
        self._ticket = 0
        self._asked: Segment | None = None

    async def run(self, segment: Segment) -> SegmentResult:
        """The result of a segment, which is cut up where the board cannot hold the learning rates of all updates."""
        self._check(segment)
        total = 0.0
        state, last = segment.state, None
        for size in self._cuts(segment):
            whole = size == segment.n_probes
            part = segment if whole else Segment(state, segment.rule, size)
            if part is not self._asked:  # else it is the same once more: its answer may be there already
                self._asked, self._ticket = part, self._ticket + 1
            result = await self._session.do(partial(self._once, part), dataset=True)
            if whole:
                return result
            state, last = result.state, result.last or last
            total += result.cost * size
        return SegmentResult(state, total / segment.n_probes, last)

    async def _once(self, segment: Segment) -> SegmentResult:
        session, link = self._session, self._session.link
        content = state_areas(segment.state, segment.rule, floats=self._floats)
        state_crc = checksum(content.values())
        done = session.identity is not None and session.identity.ticket == self._ticket
        if session.state_crc != state_crc and not done:
            session.state_crc = 0
            await link.ask([request for area, raw in content.items() for request in session.writes(area, raw)])
        if segment.state.cells and session.has_cell_state and not done:
            await session.restore(segment.state.cells)
        rates = self._rates(segment)
        if rates:
            await session.write_area(Area.ETA, rates)
        request = ask_of(
            segment,
            ticket=self._ticket,
            dataset_crc=session.dataset_crc,
            state_crc=state_crc,
            rates=rates,
            guard_crc=await self._guard(segment),
            floats=self._floats,
        )
        session.state_crc = 0  # until it is known what has become of it
        (answer,) = await link.ask([(Type.LEARN, request.pack())], evaluations=evaluations_of(segment))
        learn_result = LearnResult.unpack(answer)
        verification = Verification(segment, learn_result, self._cost_checker, session.uri)
        verification.check_counts()
        continuous, size = segment.rule.continuous, 8 * self._form.count
        after = {
            # Weights of continuous mode are as they were sent.
            area: content[area] if continuous and area is Area.ENERGY else await session.read_area(area, size)
            for area in areas_after(segment, learn_result)
        }
        if checksum(after.values()) != learn_result.state_crc or learn_result.ticket != self._ticket:
            raise LinkCorrupt("the state that was read is not the one that the board speaks of", uri=session.uri)
        result = result_of(segment, learn_result, after, floats=self._floats)
        verification.check_state(result)
        parameters = self._form.encode(requested_theta(result.state, segment.rule))
        if zlib.crc32(parameters) != learn_result.theta_crc:
            raise DeviceFault(
                "the board has set other parameters than those that its θ asks for; its firmware rounds differently",
                uri=session.uri,
            )
        if session.has_cell_state:
            result = replace(result, state=replace(result.state, cells=await session.snapshot()))
        session.state_crc = learn_result.state_crc
        period = segment.rule.update_period
        updated = result.state.update > segment.state.update
        written = result.state.step // period * period if updated else segment.state.step
        session.segment_learnt(parameters, learn_result.held_crc, written)
        return result

    def _rates(self, segment: Segment) -> bytes:
        """Content of ETA; empty if all updates have the same learning rate."""
        rates = rates_of(segment)
        if len(set(rates)) <= 1:
            return b""
        return struct.pack(f"<{len(rates)}d", *rates)

    def _cuts(self, segment: Segment) -> Iterator[int]:
        """Probes of the parts of a segment, each with as many learning rates as the board can hold."""
        room = self._session.known.head.area_sizes[Area.ETA] // 8
        if len(self._rates(segment)) // 8 <= room:
            yield segment.n_probes
            return
        if not room:
            raise ConfigError(
                f"{self._session.uri}: the board has no room for changing learning rates; use schedule.name=constant"
            )
        period, step = segment.rule.update_period, segment.state.step
        end = step + segment.n_probes
        while step < end:
            stop = min(end, (step // period + room) * period)
            yield stop - step
            step = stop

    async def _guard(self, segment: Segment) -> int:
        if not self._session.known.head.per_parameter:
            return 0
        count = self._form.count
        limits = [np.broadcast_to(side, count) for side in (segment.rule.low, segment.rule.high)]
        content = np.concatenate(limits).astype("<f8").tobytes()
        await self._session.write_area(Area.GUARD, content)
        return zlib.crc32(content)

    def _check(self, segment: Segment) -> None:
        """Raise ConfigError if the board hasn't got what the learning rule asks for."""
        features, rule = self._session.known.head.features, segment.rule
        if rule.codes.amplitudes:
            raise ConfigError(
                f"{self._session.uri}: the link has one amplitude for all layers; use run.level=host-codes"
            )
        name = name_of(rule.optimizer)
        if name is None:
            raise ConfigError(f"{self._session.uri}: no board knows this optimizer; use run.level=device-codes")
        needed = {
            f"code family {rule.codes.family}": family_bit(rule.codes.family),
            f"optimizer {name}": 1 << FIRST_OPTIMIZER + OPTIMIZER_NUMBERS[name],
        }
        if rule.codes.groups == "layer":
            needed["perturbation by layers"] = int(Feature.GROUPS)
        if rule.continuous:
            needed["continuous mode"] = int(Feature.CONTINUOUS)
        if rule.continuous and rule.filter_weight is not None:
            needed["the weights of continuous mode"] = int(Feature.WEIGHTED)
        if rule.normalise == "oripov":
            needed["the scaling of oripov"] = int(Feature.ORIPOV)
        if rule.stochastic:
            needed["stochastic rounding"] = int(Feature.STOCHASTIC)
        for what, bit in needed.items():
            if not features & bit:
                raise ConfigError(f"{self._session.uri}: the board has not got {what}; use run.level=device-codes")
