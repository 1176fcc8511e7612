"""A board at the other end of a link, as a device."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.arrays import FloatArray, IntArray
from mgdhw.block import Block, Costs, Part
from mgdhw.datasets import Dataset
from mgdhw.device import Capability, HostCodes
from mgdhw.device.closing import CLOSING_SECONDS
from mgdhw.device.motion import Motion
from mgdhw.device.recovery import back_off, retry_while_away
from mgdhw.errors import (
    ConfigError,
    DeviceAbsent,
    DeviceError,
    DeviceFault,
    DeviceUnavailable,
    LinkCorrupt,
    LinkTimeout,
)
from mgdhw.learning.segment import Segment, SegmentResult
from mgdhw_drivers.client.board_session import LONGEST_RAMP_SECONDS, BoardSession
from mgdhw_drivers.client.costs import CostChecker
from mgdhw_drivers.client.info import form_of, info_of
from mgdhw_drivers.client.learning import Learning
from mgdhw_drivers.client.motion_limiter import MotionLimiter
from mgdhw_drivers.client.options import LinkOptions
from mgdhw_drivers.client.request_link import RequestLink
from mgdhw_drivers.protocol.blocks import costs_of, probe_of, rest_of
from mgdhw_drivers.protocol.claims import limits_of
from mgdhw_drivers.protocol.description import Head
from mgdhw_drivers.protocol.messages import Infer, Measure, Pong, Statistics
from mgdhw_drivers.protocol.numbers import Area, Feature, State, Type, family_bit
from mgdhw_drivers.protocol.parameters import ParameterForm
from mgdhw_drivers.protocol.samples import samples_of
from mgdhw_drivers.protocol.values import Gathered

HEARTBEATS = 3
"""PINGs in the time of the dead-man timer."""
HEARTBEAT_SECONDS = 10.0
"""The longest time between them: a server gives up a host that sends nothing for a minute."""


class LinkedDevice(HostCodes):
    """A board at the other end of a link.

    Args:
        uri: its address.
        new_link: makes what carries the messages, not connected, for each session.
        options: of the address.
    """

    def __init__(self, uri: str, new_link: Callable[[], RequestLink], options: LinkOptions) -> None:
        super().__init__(uri)
        self._new_link = new_link
        self._options = options
        self.reconnect_seconds = options.reconnect
        self._session: BoardSession | None = None
        self._checked: tuple[bytes, int] | None = None
        """Parameters and amplitude that are known to be within the limits."""
        self._heartbeat: asyncio.Task[None] | None = None

    @property
    def session(self) -> BoardSession:
        """The session with the board. Raises DeviceUnavailable while the device is not open."""
        if self._session is None:
            self._session = BoardSession(self._new_link(), self._options)  # closed: says so when it is used
        return self._session

    async def connect(self) -> None:
        wait = self._options.reconnect
        what = f"{self.uri} to be there (add ?reconnect=0 to its address not to wait)"
        session = await retry_while_away(self._begin, wait, what, (DeviceAbsent,))
        description = session.known
        head = description.head
        raw = await session.read_area(Area.LIMITS, 24 * head.n_parameters) if head.per_parameter else None
        try:
            limits = limits_of(description, raw)
            self.info = info_of(description, limits, {"name": session.link.byte_stream.name})
        except LinkCorrupt as error:
            raise DeviceUnavailable(f"what the board says of itself makes no sense: {error}", uri=self.uri) from error
        self._cost_checker = CostChecker(head, self.info.details, self.uri)
        self._form: ParameterForm = form_of(head.parameter_kind, head.n_parameters, limits)
        session.form = self._form
        limiter = MotionLimiter(self._options.slew, self._options.stress, self._form, self.uri)
        if limiter.has_limits:  # what a board writes in the middle of a segment no host could limit
            session.motion_limiter = limiter
            self.info = replace(self.info, capabilities=self.info.capabilities & ~Capability.LEARN)
        self.put_back_seconds = session.leaving_seconds
        self._learning = Learning(session, self.info, self._form, self._cost_checker)
        self._heartbeat = asyncio.create_task(self._keep_alive(session), name=f"heartbeat of {self.uri}")

    async def _begin(self) -> BoardSession:
        self._session = session = BoardSession(self._new_link(), self._options)
        try:
            await session.begin()
        except BaseException:
            await session.link.disconnect()
            raise
        return session

    async def disconnect(self) -> None:
        heartbeat, self._heartbeat = self._heartbeat, None
        if heartbeat is not None:
            heartbeat.cancel()
            await asyncio.wait([heartbeat])
        session, self._session = self._session, None
        if session is not None:
            await session.end()

    closing_seconds = LONGEST_RAMP_SECONDS + CLOSING_SECONDS  # the session bounds its end itself

    async def recover(self, attempt: int = 1) -> bool:
        await asyncio.sleep(back_off(attempt))  # the session has waited, connected again, and put back what was lost
        return False

    async def load(self, dataset: Dataset) -> None:
        head = self.session.known.head
        if (dataset.n_inputs, dataset.n_outputs) != (head.n_inputs, head.n_outputs):
            raise ConfigError(
                f"{self.uri}: the board has {head.n_inputs} inputs and {head.n_outputs} outputs, dataset"
                f" {dataset.name!r} has {dataset.n_inputs} and {dataset.n_outputs}"
            )
        self.session.samples = samples_of(dataset, head)
        await self.session.do(_nothing, dataset=True)

    @property
    def motion(self) -> Motion | None:
        return None  # the board makes ramps by itself; those of the address, `slew`, are the session's

    async def apply(self, theta: FloatArray, step: int) -> FloatArray:
        session = self.session
        requested = self._form.encode(theta)

        async def work() -> FloatArray:
            session.parameters, session.step = requested, step
            await session.set_parameters(step)
            return await self._held()

        return await session.do(work)

    async def read(self) -> FloatArray:
        session = self.session
        if session.parameters is None:
            return await session.do(session.read_held)
        return await session.do(self._held, parameters=True)

    async def requested(self) -> FloatArray:
        parameters = self.session.parameters
        return await self.read() if parameters is None else self._form.decode(parameters)

    async def snapshot(self) -> dict[str, NDArray[Any]]:
        if not self.session.has_cell_state:
            return {}
        return await self.session.do(self.session.snapshot, parameters=True)

    async def restore(self, memory: Mapping[str, NDArray[Any]]) -> None:
        if memory and self.session.has_cell_state:
            await self.session.do(partial(self.session.restore, memory))

    async def infer(self, samples: IntArray, step: int = 0) -> FloatArray:
        session, head = self.session, self.session.known.head
        most = head.area_sizes[Area.SAMPLES] // 4
        parts = []
        for start in range(0, samples.size, most):
            chosen = samples[start : start + most]
            parts.append(await session.do(partial(self._infer, chosen, step), dataset=True, parameters=True))
        if not parts:
            return np.zeros((0, head.n_outputs))
        return np.concatenate(parts).reshape(samples.size, head.n_outputs)

    async def measure(self, samples: IntArray, step: int, part: Part) -> int | float:
        session = self.session
        content = samples.astype("<u4").tobytes()
        request = Measure(step, part, samples.size, zlib.crc32(content), session.theta_crc, session.dataset_crc).pack()

        async def work() -> int | float:
            answers = await session.link.ask([*session.writes(Area.SAMPLES, content), (Type.MEASURE, request)])
            answer = Gathered(1)
            answer.take(answers[-1])
            if not answer.is_complete:
                raise LinkCorrupt("the answer to MEASURE does not begin with its first value")
            value: int | float = self._cost_checker.checked(answer.values(), samples.size)[0].item()
            return value

        return await session.do(work, dataset=True, parameters=True)

    async def probe(self, block: Block) -> Costs:
        if Capability.PROBE not in self.info.capabilities:
            return await self.probe_with_host_codes(block)
        session = self.session
        head = session.known.head
        self._check_block(block, session, head)
        floats = bool(head.float_costs)

        async def work() -> Costs:
            known: list[NDArray[Any]] = []
            rest: Block | None = block

            async def request(new: NDArray[Any]) -> tuple[bytes, int] | None:
                nonlocal rest
                if new.size and rest is not None:
                    costs = self._cost_checker.checked(new, block.order.batch)
                    used, rest = rest_of(rest, costs)
                    known.append(costs[:used])
                if rest is None:
                    return None
                payload = probe_of(rest, session.theta_crc, session.dataset_crc, floats=floats).pack()
                return payload, rest.evaluations()

            await session.link.stream(Type.PROBE, request)
            return costs_of(known[0] if len(known) == 1 else np.concatenate(known), block)

        return await session.do(work, dataset=True, parameters=True)

    async def learn(self, segment: Segment) -> SegmentResult:
        if Capability.LEARN not in self.info.capabilities:
            return await super().learn(segment)
        self.check_limits(segment.state.theta)
        return await self._learning.run(segment)

    async def statistics(self) -> dict[str, int]:
        """What was counted at both ends of the link."""
        session = self.session

        async def work() -> Statistics:
            (answer,) = await session.link.ask([(Type.STATISTICS, b"")])
            return Statistics.unpack(answer)

        board = await session.do(work)
        here = {"repeated": session.link.repeated, **session.link.connection.counts()}
        return {**{f"host_{name}": count for name, count in here.items()}, **asdict(board)}

    # --- with the lock held --------------------------------------------------------------------------------------

    async def _held(self) -> FloatArray:
        session = self.session
        if session.parameters is not None and session.held_crc == session.theta_crc:
            return self._form.decode(session.parameters)
        return await session.read_held()

    async def _infer(self, samples: IntArray, step: int) -> FloatArray:
        session, head = self.session, self.session.known.head
        parts: list[FloatArray] = []
        rest = samples

        async def request(new: NDArray[Any]) -> tuple[bytes, int] | None:
            nonlocal rest
            whole = new.size // head.n_outputs
            if whole:
                outputs = new[: whole * head.n_outputs]
                scaled = outputs if outputs.dtype == np.float64 else outputs * head.output_lsb
                parts.append(np.asarray(scaled, dtype=np.float64))
                rest = rest[whole:]
            if not rest.size:
                return None
            content = rest.astype("<u4").tobytes()
            await session.write_area(Area.SAMPLES, content)
            asked = Infer(step, rest.size, zlib.crc32(content), session.theta_crc, session.dataset_crc)
            return asked.pack(), rest.size * head.n_outputs

        await session.link.stream(Type.INFER, request)
        return np.concatenate(parts)

    # --- what the board can do -----------------------------------------------------------------------------------

    def _check_block(self, block: Block, session: BoardSession, head: Head) -> None:
        self.check_codes(block.codes)
        if not head.features & family_bit(block.codes.family):
            raise ConfigError(
                f"{self.uri}: the board has no code family {block.codes.family}; use run.level=host-codes"
            )
        if block.codes.amplitudes:
            raise ConfigError(f"{self.uri}: the link has one amplitude for all layers; use run.level=host-codes")
        if block.codes.groups == "layer" and not head.features & Feature.GROUPS:
            raise ConfigError(f"{self.uri}: the board cannot perturb by layers; use run.level=host-codes")
        parameters, amplitude = session.parameters, block.codes.amplitude
        if parameters is not None and self._checked != (parameters, amplitude):
            self.check_perturbed(self._form.decode(parameters), amplitude)
            self._checked = (parameters, amplitude)
        if session.motion_limiter is not None:
            session.motion_limiter.check_perturbation(block.codes.amplitude)

    async def _keep_alive(self, session: BoardSession) -> None:
        """Reset the dead-man timer while no request does, and notice if it has expired."""
        pause = min(self._options.dead_man / HEARTBEATS or HEARTBEAT_SECONDS, HEARTBEAT_SECONDS)
        while True:
            await asyncio.sleep(pause)
            if session.lock.locked() or not session.link.in_step:
                continue
            async with session.lock:
                try:
                    (answer,) = await session.link.ask([(Type.PING, b"")])
                    if Pong.unpack(answer).state != State.READY:
                        session.link.connection.poison()
                except LinkTimeout:
                    await session.link.disconnect()  # whatever it sends instead is not listened to any longer
                except DeviceFault as fault:
                    session.fault = fault  # raised by the next request
                except DeviceError:
                    session.link.connection.poison()  # the next request brings the link in step again


async def _nothing() -> None:
    return None
