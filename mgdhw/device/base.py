"""The contract between the training code and every device, simulated or real.

A driver is one small class for one link. It implements `Device`; if its hardware cannot generate codes, it
derives from `HostCodes`, implements `measure`, and inherits `probe`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mgdhw.arrays import FloatArray, IntArray
from mgdhw.block import Block, CodeSpec, Costs
from mgdhw.concurrency.completion import run_to_completion
from mgdhw.costs import COSTS, CostFunction
from mgdhw.datasets import Dataset
from mgdhw.device import closing, limits, recovery
from mgdhw.device.acquisition import Acquisition
from mgdhw.device.driver_results import checked_parameters
from mgdhw.device.drivers import check_class, driver_name
from mgdhw.device.info import DeviceInfo
from mgdhw.device.interlock import Interlock
from mgdhw.device.motion import Motion, Mover
from mgdhw.device.readings import ReadingGuard
from mgdhw.errors import ConfigError, DeviceFault, DeviceUnavailable
from mgdhw.learning.segment import Segment, SegmentResult

log = logging.getLogger("mgdhw.device")


class Device(ABC):
    """A piece of hardware, or its simulation, whose parameters can be set and whose cost can be measured.

    Open it with `async with`, which always leaves the hardware in its safe state. `write` is absolute and `probe` has
    no side effects, so both can be repeated after a fault.

    `open`, `close` and `write` are the same for every device: they check requests, and move parameters no faster than
    `info.motion` allows. A driver implements the hooks that they call: `connect`, `disconnect`, `apply`.

    Args:
        uri: the address under which it was opened; every error carries it.
    """

    info: DeviceInfo
    dataset: Dataset
    """The dataset loaded last."""

    put_back_seconds: float | None = None
    """Time limit for restoring θ after a cancelled block; None: no limit."""
    reconnect_seconds = 30.0
    """How long to wait for hardware that has disconnected."""
    closing_seconds = closing.CLOSING_SECONDS
    """Time limit of `disconnect`."""
    readings = 0
    """Number of readings so far."""
    watch: Callable[[], None] | None = None
    """Called after each reading."""

    own_cost: CostFunction | None = None
    """A user's cost function in place of that of `info.cost_kind`, during a training with one."""

    entered = False
    """Whether it is inside `async with`, which will close it."""
    is_open = False
    """Whether it is open."""
    interlocks: Sequence[Interlock] = ()
    """Conditions that must hold before it is used; `connect` may set them."""
    theta_actual: FloatArray | None = None
    """(P,) actual parameters after the last write; `connect` may set it if the hardware reports its initial ones."""

    _contract = "device.Device"  # where the contract of a driver is documented
    _controller: object = None
    """The task that has exclusive control; see `mgdhw.device.control`."""
    _mover: Mover | None = None
    _closing: asyncio.Task[None] | None = None

    def __new__(cls, *arguments: Any, **named: Any) -> Self:
        """Create the device if its class is complete. Raises ConformanceError."""
        check_class(cls, Device, cls._contract)
        return super().__new__(cls)

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.guard = ReadingGuard()

    # --- what a driver implements ----------------------------------------------------------------------------------

    @abstractmethod
    async def connect(self) -> None:
        """Connect to the hardware, move nothing, and set `info`. Raises DeviceUnavailable."""

    @abstractmethod
    async def disconnect(self) -> None:
        """Leave the hardware in its safe state and disconnect. May be called in any state, more than once.

        If `info.motion` declares the safe state, the parameters are there already, if they can be moved at all.
        """

    @abstractmethod
    async def apply(self, theta: FloatArray, step: int) -> FloatArray:
        """Set every parameter, (P,), in one write. Absolute and idempotent. Limits and motion are checked before.

        Args:
            theta: (P,), in the device's units; owned by the caller, do not keep a reference.
            step: step of the training whose probe comes next. Hardware ignores it; for a simulated device it is the
                time and the key of its noise.

        Returns:
            (P,) actual parameters.
        """

    async def load(self, dataset: Dataset) -> None:
        """Load inputs and targets; samples are referred to by their index in `dataset` from then on.

        By default they are stored as `dataset`; a device with memory of its own sends them there.

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
        """(P,) actual parameters; by default those after the last write. Raises DeviceFault if they are unknown."""
        self.check_open()
        if self.theta_actual is None:
            raise DeviceFault(
                "its parameters are unknown: no write has completed, and its driver cannot read them (it could"
                " implement read(), or set self.stored in connect())",
                uri=self.uri,
            )
        return self.theta_actual.copy()

    async def snapshot(self) -> dict[str, NDArray[Any]]:
        """State of the cells beyond the requested θ, for `restore`; empty for hardware, which cannot report it.

        A simulated device whose cells age or wear returns their state, so that a run can be resumed in a new process.
        """
        return {}

    async def restore(self, cells: Mapping[str, NDArray[Any]]) -> None:  # noqa: B027  (hardware keeps its own state)
        """Restore a state from `snapshot`."""

    @abstractmethod
    async def infer(self, samples: IntArray, step: int = 0) -> FloatArray:
        """Outputs, (B, n_out), for (B,) sample indices. Does not affect training.

        Args:
            samples: (B,).
            step: step of the training. Hardware ignores it; for a simulated device it is the time and the key of its
                noise.
        """

    @abstractmethod
    async def probe(self, block: Block) -> Costs:
        """Run K probes at the current θ. Without side effects.

        Raises:
            LimitExceeded: θ + θ̃ would leave the limits; nothing was applied.
        """

    async def learn(self, segment: Segment) -> SegmentResult:
        """Run a segment of training. Only with `Capability.LEARN`; leaves the hardware at the segment's last θ.

        The segment carries all state, so repeating it gives the same result.
        """
        self.check_open()
        raise DeviceFault("it cannot learn on its own; use level device-codes or host-codes", uri=self.uri)

    async def learn_many(self, segments: Sequence[Segment]) -> list[SegmentResult]:
        """Run independent segments (replicas), each with the result of `learn`.

        By default one after another. The parameters afterwards are undefined.
        """
        return [await self.learn(segment) for segment in segments]

    def cost_function(self) -> CostFunction | None:
        """The cost as a function of outputs and targets, for reports; None if `info.cost_kind` is unknown."""
        return self.own_cost or COSTS.get(self.info.cost_kind)

    @property
    def motion(self) -> Motion | None:
        """How fast `write` may move the parameters; None for a device that makes ramps itself."""
        return self.info.motion

    @property
    def acquisition(self) -> Acquisition:
        """How measurements are taken: as `info` declares it, where an experiment does not say otherwise."""
        return self.guard.acquisition(self.info.acquisition)

    # --- what every device does alike --------------------------------------------------------------------------------

    async def open(self) -> None:
        """Connect. Raises DeviceUnavailable, and ConformanceError if the driver does not set `info`."""
        self.theta_actual, self._mover = None, None
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
        """Apply further limits on motion until it is closed; a safe state declared by the device takes precedence.

        Raises:
            ConformanceError: no parameter could move under these limits.
            DeviceFault: the current parameters are unknown.
        """
        self.check_open()
        await self._move_by(motion if self.motion is None else motion.combined_with(self.motion))

    async def _move_by(self, motion: Motion) -> None:
        info = self.info
        mover = Mover(motion, info.n_parameters, info.theta_lsb, self._applied, self.uri, bool(info.linked_limits))
        mover.start_from(checked_parameters(await self.read(), info.n_parameters, "read", self.uri))
        self._mover = mover

    async def _applied(self, theta: FloatArray, step: int) -> FloatArray:
        return checked_parameters(await self.apply(theta, step), self.info.n_parameters, "apply", self.uri)

    async def close(self) -> None:
        """Leave the hardware in its safe state and disconnect. May be called in any state, more than once.

        If cancelled, it still completes before the cancellation is raised: the safe state comes first.
        Raises DeviceFault if `disconnect` does not return within `closing_seconds`.
        """
        if self._closing is None or self._closing.done():
            self._closing = asyncio.ensure_future(closing.logged(self.uri, self._close()))
        await run_to_completion(self._closing, partial(closing.log_unsafe, self.uri))

    async def _close(self) -> None:
        try:
            if self._mover is not None:
                await self._mover.leave()
        except BaseException as error:
            self.is_open, self._mover = False, None
            try:
                await closing.disconnect(self)
            except Exception as problem:
                error.add_note(f"{self.uri}: disconnecting failed, too: {problem}")
            raise
        self.is_open, self._mover = False, None  # not before: the mover refuses further writes
        await closing.disconnect(self)

    async def recover(self, attempt: int = 1) -> bool:
        """Reconnect after a LinkError: disconnect, wait, open again, and check that it is the same device.

        Args:
            attempt: number of consecutive attempts; the initial wait increases with it.

        Returns:
            Whether it was reopened, and so may have lost data, parameters and the state of its cells.

        Raises:
            LinkLost: it did not reconnect within `reconnect_seconds`.
            DeviceUnavailable: a different device answers.
        """
        return await recovery.recover(self, attempt)

    async def let_go(self) -> None:
        """Disconnect from unreliable hardware, without moving its parameters."""
        self.is_open, self._mover = False, None
        try:
            await run_to_completion(closing.disconnect(self))
        except Exception as problem:
            log.info("%s: disconnecting failed, too: %s", self.uri, problem)

    async def write(self, theta: FloatArray, step: int = 0) -> FloatArray:
        """Set every parameter, (P,), in the device's units. Absolute and idempotent.

        A change larger than `info.motion` allows, including the first one, becomes a ramp from the current parameters;
        when cancelled, it stops where it is.

        Args:
            theta: (P,).
            step: step of the training whose probe comes next.

        Returns: (P,) actual parameters.

        Raises DeviceUnavailable if it is not open, LimitExceeded before anything is sent, DeviceFault if its driver
        does not return P parameters.
        """
        self.check_open()
        self.check_limits(theta)
        self.theta_actual = None  # unknown if this fails
        actual = await (self._applied(theta, step) if self._mover is None else self._mover.move(theta, step))
        self.theta_actual = actual.copy()
        self.guard.written = time.monotonic()
        return actual

    async def go_safe(self, step: int = 0) -> bool:
        """Move to the safe state that `info.motion` declares, like any other move; it stays open.

        Returns: whether one is declared; otherwise nothing moves.
        """
        motion = self.info.motion  # of a device that makes ramps itself, too
        safe = self._mover.safe if self._mover is not None else None if motion is None else motion.safe
        if safe is None:
            return False
        await self.write(np.array(np.broadcast_to(safe, self.info.n_parameters), dtype=np.float64), step)
        return True

    async def __aenter__(self) -> Self:
        if self.entered:
            raise DeviceUnavailable("is already open in another `async with`", uri=self.uri)
        self.entered = True
        try:
            await self.open()
        except BaseException as error:
            await self._close_after(error)  # a half-open device is not safe
            raise
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        await self._close_after(error)

    async def _close_after(self, error: BaseException | None) -> None:
        """Close; a pending error is raised, with errors of closing as notes. Raises DeviceFault for OSError."""
        try:
            await self.close()
        except Exception as problem:
            if error is not None:
                error.add_note(f"{self.uri}: closing failed, too; check that the hardware is safe: {problem}")
                if not isinstance(error, Exception):  # notes on a cancellation or an interrupt are never shown
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
        """(B,) costs of (B, n_out) outputs and targets, in units of the cost."""
        function = self.cost_function()
        if function is None:
            raise DeviceFault(f"its cost, {self.info.cost_kind!r}, cannot be computed by the host", uri=self.uri)
        return function(outputs, targets)

    def moved(self) -> float:
        """Time of the last move by `write` or `close`, by `time.monotonic`; 0 if unknown."""
        return 0.0 if self._mover is None else self._mover.moved()

    def tick(self) -> None:
        """Count a reading. A driver calls it if `infer` or `measure` make several slow ones."""
        self.readings += 1
        if self.watch is not None:
            self.watch()

    # --- what is refused ---------------------------------------------------------------------------------------------

    def check_open(self) -> None:
        """Raise DeviceUnavailable if the device is not open; drivers call it first in their methods."""
        if not self.is_open:
            raise DeviceUnavailable("the device is not open; use it inside `async with`", uri=self.uri)

    def check_limits(self, theta: FloatArray, what: str = "parameter") -> None:
        """Raise LimitExceeded if θ, (P,), is not within the limits, each element and together, naming the first."""
        limits.check_limits(self.info, theta, what, self.uri)
        limits.check_linked(self.info, theta, 0, self.uri)

    def check_codes(self, codes: CodeSpec) -> None:
        """Raise ConfigError if the device cannot perturb what codes are for."""
        limits.check_codes(self.info, codes, self.uri)

    def check_perturbed(self, theta: FloatArray, amplitude: int) -> None:
        """Raise LimitExceeded if the device may not perturb θ, (P,), by ± `amplitude` code units.

        That is the case if the limits would be exceeded, or if the swing between the two sides, which is not ramped, is
        more than `info.motion` allows in one write; independent of the codes.
        """
        self._check_room(theta, amplitude)
        limits.check_swing(self.info, amplitude, self.uri)

    def _check_room(self, theta: FloatArray, amplitude: int) -> None:
        room = amplitude * np.asarray(self.info.theta_lsb)
        limits.check_limits(self.info, theta + room, "perturbed parameter", self.uri)
        limits.check_limits(self.info, theta - room, "perturbed parameter", self.uri)
        limits.check_linked(self.info, theta, amplitude, self.uri)
