"""The contract between the training code and every device, simulated or real.

A driver is one small class over one link. It implements `Device`; if its hardware cannot make codes by itself, it
takes `HostCodes` as its base, implements `measure`, and gets `probe` from it.
"""

from __future__ import annotations

import asyncio
import difflib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Flag, auto
from importlib.metadata import EntryPoint, entry_points
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mgdhw.block import Baseline, Block, Costs, HeldBaseline, Part
from mgdhw.codes import Codes
from mgdhw.datasets import Dataset
from mgdhw.errors import ConfigError, ConformanceError, DeviceFault, LimitExceeded
from mgdhw.segment import Segment, SegmentResult
from mgdhw.timing import Timing
from mgdhw.topology import Topology

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

ENTRY_POINTS = "mgdhw.devices"

ROUNDING = 1e-6
"""How far beyond a limit floating point may carry a parameter, in steps of the parameter."""


class Capability(Flag):
    """What a device can do beyond writing parameters and measuring."""

    PROBE = auto()
    """It has a code generator and takes a block whole."""
    MEASURE = auto()
    """It takes single measurements, so the host can make the codes."""
    LEARN = auto()
    """It runs the whole loop: a segment of probes and updates."""
    DETERMINISTIC = auto()
    """The same request gets the same answer: all levels of delegation agree to the bit."""


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """What is known of a device once it is open.

    Args:
        model: what it is, for people and for records.
        identity: what distinguishes this one from its like: a serial number, or a hash of a chip's definition.
        topology: number of parameters P, and layers where known.
        theta_min, theta_max: limits of the parameters, in the device's units; scalars or (P,).
        theta_lsb: smallest step of a parameter, which is also the unit of a perturbation code; scalar or (P,).
        n_inputs, n_outputs: sizes of one sample.
        cost_kind: what the cost is ("mse", "xent", ...).
        cost_lsb: one cost code in units of the cost; 1.0 where costs are floats already.
        capabilities: what it can do.
        exact_writes: whether a perturbation that is written as a parameter is the same as one that is added to it. It
            is not where writes are noisy, asymmetric or wear: there, host codes are physically another experiment.
        details: more that is worth recording (a chip's whole definition, a firmware version).
        timing: what its work takes in time and energy, where that is known.
    """

    model: str
    identity: str
    topology: Topology
    theta_min: float | FloatArray
    theta_max: float | FloatArray
    theta_lsb: float | FloatArray
    n_inputs: int
    n_outputs: int
    cost_kind: str
    cost_lsb: float
    capabilities: Capability
    exact_writes: bool = True
    details: dict[str, Any] = field(default_factory=dict)
    timing: Timing | None = None

    @property
    def n_parameters(self) -> int:
        """P, the length of θ."""
        return self.topology.n_parameters


class Device(ABC):
    """A piece of hardware, or its simulation, whose parameters can be set and whose cost can be measured.

    Open it with `async with`: leaving, in whatever way, leaves the hardware in its safe state. `write` is absolute
    and `probe` has no side effects, so both can be repeated after a fault.

    Args:
        uri: the address under which it was opened; every error carries it.
    """

    info: DeviceInfo

    entered = False
    """Whether it is inside `async with`, and so whether somebody sees to its closing."""

    def __new__(cls, *arguments: Any, **named: Any) -> Self:
        """Made only if it is whole: Python's own error would not say where the contract is. Raises ConformanceError."""
        missing = ", ".join(sorted(cls.__abstractmethods__))
        if missing:
            raise ConformanceError(
                f"driver {cls.__module__}.{cls.__qualname__} lacks what every device has: {missing}; what they are to"
                f" do is in docs/drivers.md and in: python -m pydoc mgdhw.device.{_contract(cls).__name__}"
            )
        return super().__new__(cls)

    def __init__(self, uri: str) -> None:
        self.uri = uri

    @abstractmethod
    async def open(self) -> None:
        """Connect, and fill in `info`. Raises DeviceUnavailable."""

    @abstractmethod
    async def close(self) -> None:
        """Put the hardware in its safe state and disconnect. May be called from any state, more than once."""

    @abstractmethod
    async def load(self, dataset: Dataset) -> None:
        """Take inputs and targets; samples are called by their index in `dataset` from then on.

        Raises:
            ConfigError: the dataset's sizes are not the device's.
        """

    @abstractmethod
    async def write(self, theta: FloatArray, step: int = 0) -> FloatArray:
        """Set every parameter, (P,), in the device's units. Absolute and idempotent.

        Args:
            theta: (P,).
            step: of the training, before whose probe this is. Hardware ignores it; a simulated device keys its noise
                with it, and knows the time by it.

        Returns:
            (P,) what the hardware really holds.

        Raises:
            LimitExceeded: before anything is sent.
        """

    @abstractmethod
    async def read(self) -> FloatArray:
        """(P,) what the hardware really holds."""

    async def snapshot(self) -> dict[str, NDArray[Any]]:
        """What its cells remember beyond the θ that was asked for, for `restore`: nothing that hardware could tell.

        A simulated device with cells that age or wear answers their state, so that a run can go on in a new process.
        """
        return {}

    async def restore(self, memory: Mapping[str, NDArray[Any]]) -> None:  # noqa: B027  (hardware remembers by itself)
        """Put back what `snapshot` answered."""

    @abstractmethod
    async def infer(self, samples: IntArray) -> FloatArray:
        """Outputs, (B, n_out), for (B,) sample indices. Disturbs no training."""

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
        raise DeviceFault("it cannot learn by itself; use level device-codes or host-codes", uri=self.uri)

    async def learn_many(self, segments: Sequence[Segment]) -> list[SegmentResult]:
        """Run independent stretches of training (replicas), each with the answer that `learn` gives to it.

        One after the other here; a device that can do them side by side does. What the hardware holds afterwards is
        not defined.
        """
        return [await self.learn(segment) for segment in segments]

    async def __aenter__(self) -> Self:
        try:
            await self.open()
        except BaseException as error:
            await self._close_after(error)  # half open is not safe
            raise
        self.entered = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.entered = False
        await self._close_after(error)

    async def _close_after(self, error: BaseException | None) -> None:
        """Close. An error under way stays the one that is raised; what the closing said is a note on it.

        Raises:
            DeviceFault: the operating system's error, where no other is under way.
        """
        try:
            await self._close_surely()
        except Exception as problem:
            if error is not None:
                error.add_note(f"{self.uri}: closing failed, too; check that the hardware is safe: {problem}")
            elif isinstance(problem, OSError):
                raise DeviceFault(
                    f"closing failed; check that the hardware is safe: {problem}", uri=self.uri
                ) from problem
            else:
                raise

    async def _close_surely(self) -> None:
        """Close to the end, also if cancelled meanwhile: the safe state comes first, the cancellation after it."""
        closing = asyncio.ensure_future(self.close())
        cancelled: asyncio.CancelledError | None = None
        while not closing.done():
            try:
                await asyncio.shield(closing)
            except asyncio.CancelledError as error:
                if closing.cancelled():
                    raise
                cancelled = error
        if cancelled is not None:
            closing.exception()  # seen; the cancellation goes first
            raise cancelled
        closing.result()

    def check_limits(self, theta: FloatArray, what: str = "parameter") -> None:
        """Raise LimitExceeded if any element of θ, (P,), is not a number within the limits, naming the first.

        A millionth of a step beyond is no violation: 3.2 + 0.1 is more than 3.3 in floating point.
        """
        info = self.info
        if theta.shape != (info.n_parameters,):
            raise ConfigError(f"{self.uri}: got parameters of shape {theta.shape}, expected ({info.n_parameters},)")
        rounding = ROUNDING * np.asarray(info.theta_lsb)
        good = (theta >= info.theta_min - rounding) & (theta <= info.theta_max + rounding)
        if good.all():
            return
        index = int(np.argmin(good))
        low = float(np.broadcast_to(info.theta_min, theta.shape)[index])
        high = float(np.broadcast_to(info.theta_max, theta.shape)[index])
        raise LimitExceeded(
            f"{what} {index} would be {theta[index]:g}, outside its limits {low:g} ... {high:g}; nothing was sent",
            uri=self.uri,
        )

    def check_perturbed(self, theta: FloatArray, amplitude: int) -> None:
        """Raise LimitExceeded if θ ± `amplitude` code units would leave the limits, whatever the codes are."""
        room = amplitude * np.asarray(self.info.theta_lsb)
        self.check_limits(theta + room, "perturbed parameter")
        self.check_limits(theta - room, "perturbed parameter")


class HostCodes(Device):
    """A device that sets parameters and measures; the host makes the codes and expands a block into both."""

    @abstractmethod
    async def measure(self, samples: IntArray, step: int, part: Part) -> int | float:
        """One evaluation: apply (B,) samples, answer the cost summed over them.

        Args:
            samples: (B,) sample indices.
            step: the probe's step. Hardware ignores it; a simulated device keys its noise with it.
            part: which of the probe's measurements this is.
        """

    async def requested(self) -> FloatArray:
        """(P,) what codes are added to: what it was asked to hold, where that differs from what it holds."""
        return await self.read()

    async def probe(self, block: Block) -> Costs:
        return await self.probe_with_host_codes(block)

    async def probe_with_host_codes(self, block: Block) -> Costs:
        """Expand a block into writes and measurements. Ends with θ as it was."""
        theta = await self.requested()
        self.check_perturbed(theta, block.codes.amplitude)
        codes = Codes(block.codes, self.info.topology).values(block.first_step, block.n_probes)
        samples = block.order.samples(block.first_batch(), block.n_batches())
        baseline_steps = set(block.baseline_steps())
        held = block.valid_held()
        perturbed: list[int | float] = []
        reference: list[int | float] = []
        try:
            for j in range(block.n_probes):
                step = block.first_step + j
                batch = samples[block.order.batch_of(step) - block.first_batch()]
                if step in baseline_steps:
                    await self.write(theta, step)
                    held = HeldBaseline(await self.measure(batch, step, Part.BASELINE), step)
                change = codes[j] * self.info.theta_lsb
                perturbed.append(await self._measure_at(theta + change, batch, step, Part.PLUS))
                if block.baseline is Baseline.ANTITHETIC:
                    reference.append(await self._measure_at(theta - change, batch, step, Part.MINUS))
                else:
                    reference.append(0 if held is None else held.value)
        finally:
            await self.write(theta, block.first_step + block.n_probes)
        carried = held if block.baseline is Baseline.HELD else None
        return Costs(np.array(perturbed), np.array(reference), block.evaluations(), carried)

    async def _measure_at(self, theta: FloatArray, samples: IntArray, step: int, part: Part) -> int | float:
        await self.write(np.clip(theta, self.info.theta_min, self.info.theta_max), step)
        return await self.measure(samples, step, part)


def _contract(driver: type[Device]) -> type[Device]:
    """The base that says what a driver has to do."""
    return HostCodes if issubclass(driver, HostCodes) else Device


Opener = Callable[[str], Device]


def device_schemes() -> dict[str, EntryPoint]:
    """Installed drivers by the URI scheme that they answer to."""
    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}


def open_device(uri: str) -> Device:
    """The device at an address, to be opened with `async with`.

    Drivers are found through the entry-point group `mgdhw.devices`, keyed by scheme, so anybody's driver is on the
    same footing as mgdhw's own. An entry point names a callable that takes the URI and returns a Device.

    Raises:
        ConfigError: there is no driver for the scheme, or the driver cannot read the address.
        ConformanceError: the driver lacks a method of the contract.
    """
    scheme, separator, _ = uri.partition(":")
    schemes = device_schemes()
    if not separator:
        raise ConfigError(f"device {uri!r} has no scheme; expected SCHEME:ADDRESS, for example sim:analog-8bit")
    if scheme not in schemes:
        near = difflib.get_close_matches(scheme, schemes, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(
            f"device {uri!r}: no driver answers to {scheme!r}{hint} (installed: {', '.join(sorted(schemes))})"
        )
    try:
        opener: Opener = schemes[scheme].load()
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"device {uri!r}: its driver cannot be loaded: {error}") from error
    try:
        device = opener(uri)
    except ConformanceError as error:
        raise ConformanceError(f"device {uri!r}: {error}") from None
    if not isinstance(device, Device):
        raise DeviceFault(f"its driver answered with a {type(device).__name__}, not a Device", uri=uri)
    return device
