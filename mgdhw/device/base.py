"""The contract between the training code and every device, simulated or real.

A driver is one small class over one link. It implements `Device`; if its hardware cannot make codes by itself, it
takes `HostCodes` as its base, implements `measure`, and gets `probe` from it.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mgdhw.arrays import FloatArray, IntArray
from mgdhw.block import Block, Costs
from mgdhw.concurrency.completion import completed
from mgdhw.costs import COSTS, CostFunction
from mgdhw.datasets import Dataset
from mgdhw.device import closing, limits, recovery
from mgdhw.device.answers import checked_parameters
from mgdhw.device.drivers import check_class, driver_name
from mgdhw.device.info import DeviceInfo
from mgdhw.device.motion import Motion, Mover
from mgdhw.errors import ConfigError, DeviceFault, DeviceUnavailable
from mgdhw.learning.segment import Segment, SegmentResult

log = logging.getLogger("mgdhw.device")


class Device(ABC):
    """A piece of hardware, or its simulation, whose parameters can be set and whose cost can be measured.

    Open it with `async with`: leaving, in whatever way, leaves the hardware in its safe state. `write` is absolute
    and `probe` has no side effects, so both can be repeated after a fault.

    `open`, `close` and `write` are the same for every device: they refuse what must not be, and move parameters no
    faster than `info.motion` allows. A driver implements the hooks that they call: `connect`, `disconnect`, `apply`.

    Args:
        uri: the address under which it was opened; every error carries it.
    """

    info: DeviceInfo
    dataset: Dataset
    """What was loaded last."""

    put_back_seconds: float | None = None
    """How long a cancelled block may take to put θ back; None: as long as it takes."""
    reconnect_seconds = 30.0
    """How long hardware that went away is waited for."""
    closing_seconds = closing.CLOSING_SECONDS
    """How long `disconnect` may take."""
    readings = 0
    """How often it was measured."""
    watch: Callable[[], None] | None = None
    """Called after each reading."""

    own_cost: CostFunction | None = None
    """The user's cost instead of that of `info.cost_kind`, as long as a training with one lasts."""

    entered = False
    """Whether it is inside `async with`, and so whether somebody sees to its closing."""
    is_open = False
    """Whether it was opened, and not closed since."""
    stored: FloatArray | None = None
    """(P,) what the last write left; `connect` may set it where hardware says what it begins with."""

    _contract = "device.Device"  # where it says what a driver has to do
    _controller: object = None
    """Who has it under control, and keeps others away; see `mgdhw.device.control`."""
    _mover: Mover | None = None
    _closing: asyncio.Task[None] | None = None

    def __new__(cls, *arguments: Any, **named: Any) -> Self:
        """Made only if it is whole. Raises ConformanceError."""
        check_class(cls, Device, cls._contract)
        return super().__new__(cls)

    def __init__(self, uri: str) -> None:
        self.uri = uri

    # --- what a driver implements ----------------------------------------------------------------------------------

    @abstractmethod
    async def connect(self) -> None:
        """Reach the hardware, move nothing, and fill in `info`. Raises DeviceUnavailable."""

    @abstractmethod
    async def disconnect(self) -> None:
        """Leave the hardware in its safe state, and let go of it. May be called from any state, more than once.

        Where `info.motion` says which state that is, the parameters are there already, if they can be moved at all.
        """

    @abstractmethod
    async def apply(self, theta: FloatArray, step: int) -> FloatArray:
        """Set every parameter, (P,), in one write. Absolute and idempotent. Limits and motion are seen to.

        Args:
            theta: (P,), in the device's units; not to be kept, it is the caller's.
            step: of the training, before whose probe this is. Hardware ignores it; a simulated device keys its noise
                with it, and knows the time by it.

        Returns:
            (P,) what the hardware really holds.
        """

    async def load(self, dataset: Dataset) -> None:
        """Take inputs and targets; samples are called by their index in `dataset` from then on.

        Here they are kept as `dataset`; a device with a memory sends them there.

        Raises:
            ConfigError: the dataset's sizes are not the device's.
        """
        info = self.info
        if (dataset.n_inputs, dataset.n_outputs) != (info.n_inputs, info.n_outputs):
            raise ConfigError(
                f"{self.uri}: has {info.n_inputs} inputs and {info.n_outputs} outputs, dataset {dataset.name!r} has"
                f" {dataset.n_inputs} and {dataset.n_outputs}"
            )
        self.dataset = dataset

    async def read(self) -> FloatArray:
        """(P,) what the hardware really holds: here, what the last write left. Raises DeviceFault where none has."""
        self.check_open()
        if self.stored is None:
            raise DeviceFault(
                "nobody knows what it holds: no write has come to its end, and its driver cannot read it (it would"
                " implement read(), or set self.stored in connect())",
                uri=self.uri,
            )
        return self.stored.copy()

    async def snapshot(self) -> dict[str, NDArray[Any]]:
        """What its cells remember beyond the θ that was asked for, for `restore`: nothing that hardware could tell.

        A simulated device with cells that age or wear answers their state, so that a run can go on in a new process.
        """
        return {}

    async def restore(self, memory: Mapping[str, NDArray[Any]]) -> None:  # noqa: B027  (hardware remembers by itself)
        """Put back what `snapshot` answered."""

    @abstractmethod
    async def infer(self, samples: IntArray, step: int = 0) -> FloatArray:
        """Outputs, (B, n_out), for (B,) sample indices. Disturbs no training.

        Args:
            samples: (B,).
            step: of the training, at which they are wanted. Hardware ignores it; a simulated device keys its noise with
                it, and knows the time by it.
        """

    @abstractmethod
    async def probe(self, block: Block) -> Costs:
        """Run K probes at the θ that was written. Without side effects.

        Raises:
            LimitExceeded: θ + θ̃ would leave the limits; nothing was applied.
        """

    async def learn(self, segment: Segment) -> SegmentResult:
        """Run a stretch of training. Only with `Capability.LEARN`; leaves the hardware at the segment's last θ.

        The segment carries all state, so a repeated one has the same answer.
        """
        self.check_open()
        raise DeviceFault("it cannot learn by itself; use level device-codes or host-codes", uri=self.uri)

    async def learn_many(self, segments: Sequence[Segment]) -> list[SegmentResult]:
        """Run independent stretches of training (replicas), each with the answer that `learn` gives to it.

        Here one after the other. What the hardware holds afterwards is not defined.
        """
        return [await self.learn(segment) for segment in segments]

    def cost_function(self) -> CostFunction | None:
        """How the cost follows from outputs and targets, for reports; None where nobody knows `info.cost_kind`."""
        return self.own_cost or COSTS.get(self.info.cost_kind)

    @property
    def motion(self) -> Motion | None:
        """How fast `write` may move the parameters. A device that makes ramps by itself answers None."""
        return self.info.motion

    # --- what every device does alike --------------------------------------------------------------------------------

    async def open(self) -> None:
        """Connect. Raises DeviceUnavailable, and ConformanceError where the driver does not say what it is."""
        self.stored, self._mover = None, None
        await self.connect()
        limits.check_info(getattr(self, "info", None), driver_name(type(self)), self.uri)
        self.is_open = True
        if self.motion is not None:
            try:
                await self._move_by(self.motion)
            except BaseException:
                self.is_open = False
                raise

    async def restrain(self, motion: Motion) -> None:
        """Move no faster than this either, until it is closed; a safe state that the device declares itself holds.

        Raises:
            ConformanceError: no parameter could ever move like this.
            DeviceFault: nobody knows where the parameters are.
        """
        self.check_open()
        await self._move_by(motion if self.motion is None else motion.together_with(self.motion))

    async def _move_by(self, motion: Motion) -> None:
        mover = Mover(motion, self.info.n_parameters, self.info.theta_lsb, self._applied, self.uri)
        mover.starts_at(checked_parameters(await self.read(), self.info.n_parameters, "read", self.uri))
        self._mover = mover

    async def _applied(self, theta: FloatArray, step: int) -> FloatArray:
        return checked_parameters(await self.apply(theta, step), self.info.n_parameters, "apply", self.uri)

    async def close(self) -> None:
        """Leave the hardware in its safe state and disconnect. May be called from any state, more than once.

        Cancelled meanwhile it closes to the end all the same: the safe state comes first, the cancellation after it.
        Raises DeviceFault where `disconnect` does not come back within `closing_seconds`.
        """
        if self._closing is None or self._closing.done():
            self._closing = asyncio.ensure_future(closing.told(self.uri, self._close()))
        await completed(self._closing, partial(closing.log_unsafe, self.uri))

    async def _close(self) -> None:
        try:
            if self._mover is not None:
                await self._mover.leave()
        except BaseException as error:
            self.is_open, self._mover = False, None
            try:
                await closing.within(self)
            except Exception as problem:
                error.add_note(f"{self.uri}: disconnecting failed, too: {problem}")
            raise
        self.is_open, self._mover = False, None  # not before: whoever still writes is refused by it
        await closing.within(self)

    async def recover(self, attempt: int = 1) -> bool:
        """Begin again after a LinkError: let go of the hardware, wait, open it, and see that it is the same.

        Args:
            attempt: how often in a row; the more often, the longer it is waited at first.

        Returns:
            Whether it was opened anew, and so may have forgotten data, parameters, and what its cells remember.

        Raises:
            LinkLost: it did not come back within `reconnect_seconds`.
            DeviceUnavailable: another one has come.
        """
        return await recovery.recover(self, attempt)

    async def let_go(self) -> None:
        """Disconnect from hardware that cannot be relied upon: its parameters are not moved any more."""
        self.is_open, self._mover = False, None
        try:
            await completed(closing.within(self))
        except Exception as problem:
            log.info("%s: letting go of it failed, too: %s", self.uri, problem)

    async def write(self, theta: FloatArray, step: int = 0) -> FloatArray:
        """Set every parameter, (P,), in the device's units. Absolute and idempotent.

        A change that `info.motion` does not allow at once, the first one included, becomes a ramp, which begins where
        the hardware is; cancelled, it stops where it is.

        Args:
            theta: (P,).
            step: of the training, before whose probe this is.

        Returns: (P,) what the hardware really holds.

        Raises DeviceUnavailable if it is not open, LimitExceeded before anything is sent, DeviceFault if its driver
        answers with something else than P parameters.
        """
        self.check_open()
        self.check_limits(theta)
        self.stored = None  # not known, should this fail
        stored = await (self._applied(theta, step) if self._mover is None else self._mover.move(theta, step))
        self.stored = stored.copy()
        return stored

    async def __aenter__(self) -> Self:
        if self.entered:
            raise DeviceUnavailable("is inside another `async with`, which opens and closes it", uri=self.uri)
        self.entered = True
        try:
            await self.open()
        except BaseException as error:
            await self._close_after(error)  # half open is not safe
            raise
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        await self._close_after(error)

    async def _close_after(self, error: BaseException | None) -> None:
        """Close; an error under way is raised, with what closing said as a note. Raises DeviceFault for OSError."""
        try:
            await self.close()
        except Exception as problem:
            if error is not None:
                error.add_note(f"{self.uri}: closing failed, too; check that the hardware is safe: {problem}")
                if not isinstance(error, Exception):  # the notes of a cancellation or an interrupt are shown to nobody
                    closing.log_unsafe(self.uri, problem)
            elif isinstance(problem, OSError):
                raise DeviceFault(
                    f"closing failed; check that the hardware is safe: {problem}", uri=self.uri
                ) from problem
            else:
                raise
        finally:
            self.entered = False

    def cost_of(self, outputs: FloatArray, targets: FloatArray) -> FloatArray:
        """(B,) costs of (B, n_out) outputs and targets, in units of the cost: of evaluations, and see `HostCodes`."""
        function = self.cost_function()
        if function is None:
            raise DeviceFault(f"nobody knows how its cost, {self.info.cost_kind!r}, is computed", uri=self.uri)
        return function(outputs, targets)

    def moved(self) -> float:
        """When `write` or `close` moved something last, by `time.monotonic`; 0: nobody knows."""
        return 0.0 if self._mover is None else self._mover.moved()

    def tick(self) -> None:
        """Count a reading. A driver calls it where `infer` or `measure` make many, each of which takes its time."""
        self.readings += 1
        if self.watch is not None:
            self.watch()

    # --- what is refused ---------------------------------------------------------------------------------------------

    def check_open(self) -> None:
        """Raise DeviceUnavailable if the device is not open: `infer`, `measure` and `probe` of a driver begin so."""
        if not self.is_open:
            raise DeviceUnavailable("the device is not open; use it inside `async with`", uri=self.uri)

    def check_limits(self, theta: FloatArray, what: str = "parameter") -> None:
        """Raise LimitExceeded if any element of θ, (P,), is not a number within the limits, naming the first."""
        limits.check_limits(self.info, theta, what, self.uri)

    def check_perturbed(self, theta: FloatArray, amplitude: int) -> None:
        """Raise LimitExceeded if the device itself may not perturb θ, (P,), by ± `amplitude` code units.

        It may not where the limits would be left, nor where a swing from one side to the other, which nobody ramps,
        is more than `info.motion` allows in one write. Whatever the codes are.
        """
        self._check_room(theta, amplitude)
        limits.check_swing(self.info, amplitude, self.uri)

    def _check_room(self, theta: FloatArray, amplitude: int) -> None:
        room = amplitude * np.asarray(self.info.theta_lsb)
        self.check_limits(theta + room, "perturbed parameter")
        self.check_limits(theta - room, "perturbed parameter")
