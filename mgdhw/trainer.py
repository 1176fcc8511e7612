"""The loop: blocks, updates, evaluations, as an async iterator of events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mgdhw import digest
from mgdhw.block import Costs
from mgdhw.codes import Codes
from mgdhw.config import Experiment
from mgdhw.costs import COSTS, correct
from mgdhw.datasets import Dataset
from mgdhw.device import Capability, Device, HostCodes
from mgdhw.errors import CheckpointError, ConfigError, DeviceFault, DeviceUnavailable, LinkError, LinkLost
from mgdhw.events import BlockDone, Checkpoint, Evaluated, Event, Faulted, Finished, Started, Updated
from mgdhw.loop import Step, absorb, block_at, to_update, to_write, update
from mgdhw.recipe import first_state, recipe_of
from mgdhw.segment import Segment
from mgdhw.state import TrainState

FloatArray = NDArray[np.float64]
Answer = TypeVar("Answer")

BLOCK_SECONDS = 0.05
"""How long a block should take when the user says nothing: short enough to stop at once, long enough to be cheap."""
FIRST_BLOCK = 64
MAX_BLOCK = 1 << 16
RETRY_SECONDS = 0.05
"""Pause before the second repetition of a lost request; it doubles from then on."""
BREATH_SECONDS = 0.02
"""How long the event loop may be kept from other tasks by a device that never waits."""


class Trainer:
    """Trains one device on one dataset: `async for event in Trainer(experiment, device, dataset)`.

    The device must be open. How the work is cut into blocks, who makes the codes, and when anybody looks changes no
    bit of the trajectory.

    Args:
        experiment: what to do.
        device: an open device.
        dataset: what to train on.
        resume: a state to go on from.

    Raises (while iterating):
        ConfigError: experiment, device and dataset do not fit each other.
        DeviceError: the device failed, more often than `run.retries` in a row where repeating may help.
    """

    def __init__(
        self, experiment: Experiment, device: Device, dataset: Dataset, *, resume: TrainState | None = None
    ) -> None:
        self.experiment = experiment
        self.device = device
        self.dataset = dataset
        self._resume = resume
        self._stop = False
        self._faults: list[Faulted] = []

        if not hasattr(device, "info"):
            raise DeviceUnavailable("the device is not open; use it inside `async with`", uri=device.uri)
        training, info = experiment.training, device.info
        if info.cost_kind not in COSTS:
            raise ConfigError(f"{device.uri} measures {info.cost_kind!r}; known costs are {', '.join(sorted(COSTS))}")
        notes: list[str] = []
        if training.update_period > training.probes:
            notes.append(
                f"the parameters will not move: {training.probes} probes are fewer than the {training.update_period}"
                " that an update takes"
            )
        if Capability.DETERMINISTIC not in info.capabilities:
            notes.append(
                "this device is not deterministic: levels of delegation and repeated runs agree only statistically"
            )
        self._recipe, about = recipe_of(experiment, info, dataset.n_train)
        notes += about
        self._codes = Codes(self._recipe.codes, info.topology)
        self._level = self._choose_level()
        self._notes = tuple(notes)
        self._block_size = FIRST_BLOCK

    def stop(self) -> None:
        """Ask for a clean end after the current block. May be called from a signal handler."""
        self._stop = True

    async def __aiter__(self) -> AsyncGenerator[Event, None]:
        try:
            async for event in self._events():
                yield event
        except Exception:
            for fault in self._take_faults():  # what led to it is told before it ends the run
                yield fault
            raise

    async def _events(self) -> AsyncGenerator[Event, None]:
        experiment, training, device = self.experiment, self.experiment.training, self.device
        await self._repeat(lambda: device.load(self.dataset), 0)
        state = self._resume or await self._first_state()
        if state.theta.size != device.info.n_parameters:
            raise CheckpointError(
                f"the checkpoint has {state.theta.size} parameters, {device.uri} has {device.info.n_parameters};"
                " resume on the device that the run began with"
            )
        stored = await self._write(state)
        yield Started(
            device.info,
            self.dataset,
            self._level,
            float(np.max(self._recipe.codes.amplitude * np.asarray(device.info.theta_lsb))),
            state.step,
            training.probes,
            self._notes,
        )
        if self._resume is None:
            yield Checkpoint(state)  # what the hardware held at the beginning ("read") is known only now
        every = experiment.evaluate_every()
        last = await self._evaluate(state)
        yield last
        saved = breathed = time.monotonic()
        # A run that is resumed between two evaluations looks at this one, but is not steered by it.
        due = state.step % every == 0 and state.step < training.probes
        reason = "target" if due and self._on_target(last) else "done"
        while state.step < training.probes and reason == "done":
            began, update_before = time.monotonic(), state.update
            size = self._next_block(state, every)
            state, cost, last_update = await self._advance(state, size)
            yield BlockDone(state.step, size, state.evaluations, cost * device.info.cost_lsb / training.batch)
            if last_update is not None:
                stored = await self._stored(state)
                if state.update % digest.MARK_EVERY == 0 and state.update > update_before:
                    state = self._mark(state, stored)
                yield Updated(state.step, state.update, last_update.eta, last_update.gradient_norm)
            if state.step % every == 0 and state.step < training.probes:
                last = await self._evaluate(state)
                yield last
                if self._on_target(last):
                    reason = "target"
            for fault in self._take_faults():
                yield fault
            now = time.monotonic()
            self._adapt_block(size, now - began)
            if self._stop and reason == "done" and state.step < training.probes:
                reason = "stopped"
            elif now - saved >= experiment.run.checkpoint_seconds:
                yield Checkpoint(state)
                saved = now
            if now - breathed >= BREATH_SECONDS:
                await asyncio.sleep(0)
                breathed = now
        if last.step != state.step:
            last = await self._evaluate(state)
            yield last
            if reason == "done" and self._on_target(last):
                reason = "target"
        for fault in self._take_faults():
            yield fault
        yield Checkpoint(state)
        yield Finished(reason, state, self._mark(state, stored).chain.hex(), last)

    # --- steps of the loop ---------------------------------------------------------------------------------------

    async def _first_state(self) -> TrainState:
        held = await self.device.read() if self.experiment.training.init == "read" else None
        return first_state(self.experiment, self.device.info, self._recipe, self.dataset, held)

    def _next_block(self, state: TrainState, every: int) -> int:
        size = self.experiment.run.block or self._block_size
        to_evaluation = every - state.step % every
        to_end = self.experiment.training.probes - state.step
        next_update = to_update(state, self._recipe)
        if self._level == "learn":  # a segment runs through updates, but not past a mark of the digest
            next_update += self._recipe.update_period * (digest.MARK_EVERY - 1 - state.update % digest.MARK_EVERY)
        return min(size, next_update, to_evaluation, to_end)

    def _adapt_block(self, size: int, seconds: float) -> None:
        if size == self._block_size and seconds < BLOCK_SECONDS / 2:
            self._block_size = min(MAX_BLOCK, 2 * self._block_size)
        elif seconds > 2 * BLOCK_SECONDS:
            self._block_size = max(1, self._block_size // 2)

    async def _advance(self, state: TrainState, size: int) -> tuple[TrainState, float, Step | None]:
        """Go on by `size` probes: new state, mean cost of the probes in cost codes, and the last update if any."""
        recipe = self._recipe
        if self._level == "learn":
            segment = Segment(state, recipe, size)
            result = await self._repeat(lambda: self.device.learn(segment), state.step)
            if not np.isfinite(result.cost) or result.state.step != state.step + size:
                raise DeviceFault(
                    f"its answer to a segment from probe {state.step} makes no sense", uri=self.device.uri
                )
            return result.state, result.cost, result.last
        costs = await self._probe(state, size)
        state = absorb(state, costs, recipe, self._codes)
        step = None
        if state.step % recipe.update_period == 0:
            state, step = update(state, recipe, self._codes)
        return state, float(costs.perturbed.mean()), step

    async def _stored(self, state: TrainState) -> FloatArray:
        """What the hardware holds after an update: written by the host, or by the device itself."""
        if self._level == "learn":
            return await self._repeat(self.device.read, state.step)
        return await self._write(state)

    async def _probe(self, state: TrainState, size: int) -> Costs:
        block = block_at(state, self._recipe, size)
        device, attempts = self.device, 0

        async def request() -> Costs:
            nonlocal attempts
            attempts += 1
            if attempts > 1:  # the fault may have left the parameters perturbed
                await device.write(to_write(state, self._recipe))
            if self._level == "host-codes" and isinstance(device, HostCodes):
                return await device.probe_with_host_codes(block)
            return await device.probe(block)

        costs = await self._repeat(request, state.step)
        if costs.perturbed.shape != (size,) or costs.reference.shape != (size,):
            raise DeviceFault(f"answered {costs.perturbed.size} costs to a block of {size} probes", uri=device.uri)
        finite = np.isfinite(costs.perturbed) & np.isfinite(costs.reference)
        if not finite.all():
            step = state.step + int(np.argmin(finite))
            raise DeviceFault(
                f"the cost of probe {step} is not a number; check the cost's range and wiring", uri=device.uri
            )
        return costs

    async def _write(self, state: TrainState) -> FloatArray:
        return await self._repeat(lambda: self.device.write(to_write(state, self._recipe)), state.step)

    def _mark(self, state: TrainState, stored: FloatArray) -> TrainState:
        chain = digest.mark(
            state.chain, step=state.step, evaluations=state.evaluations, theta=state.theta, stored=stored
        )
        return replace(state, chain=chain)

    async def _evaluate(self, state: TrainState) -> Evaluated:
        dataset = self.dataset
        split = "test" if dataset.n_test else "train"
        samples = np.arange(dataset.n_train if dataset.n_test else 0, dataset.n_samples)
        outputs = await self._repeat(lambda: self.device.infer(samples), state.step)
        targets = dataset.targets[samples]
        cost = float(COSTS[self.device.info.cost_kind](outputs, targets).mean())
        return Evaluated(state.step, state.evaluations, split, float(correct(outputs, targets).mean()), cost)

    def _on_target(self, evaluated: Evaluated) -> bool:
        wanted = self.experiment.evaluation
        if wanted.stop_at_accuracy is None and wanted.stop_at_cost is None:
            return False
        accurate = wanted.stop_at_accuracy is None or evaluated.accuracy >= wanted.stop_at_accuracy
        return accurate and (wanted.stop_at_cost is None or evaluated.cost < wanted.stop_at_cost)

    # --- choices -------------------------------------------------------------------------------------------------

    def _choose_level(self) -> str:
        wanted, device = self.experiment.run.level, self.device
        if wanted == "auto" and Capability.LEARN in device.info.capabilities:
            return "learn"
        if wanted == "auto":
            return "device-codes" if Capability.PROBE in device.info.capabilities else "host-codes"
        if wanted == "device-codes" and Capability.PROBE not in device.info.capabilities:
            raise ConfigError(f"{device.uri} has no code generator; use level host-codes")
        if wanted == "learn" and Capability.LEARN not in device.info.capabilities:
            raise ConfigError(f"{device.uri} cannot learn by itself; use level device-codes or host-codes")
        if wanted == "host-codes" and not isinstance(device, HostCodes):
            raise ConfigError(f"{device.uri} takes no single measurements; use level device-codes")
        return wanted

    # --- faults --------------------------------------------------------------------------------------------------

    async def _repeat(self, request: Callable[[], Awaitable[Answer]], step: int) -> Answer:
        """Repeat an idempotent request that a link lost, at most `run.retries` times."""
        attempt = 1
        while True:
            try:
                return await request()
            except (LinkError, OSError) as error:
                fault = error if isinstance(error, LinkError) else LinkLost(str(error), uri=self.device.uri)
                if attempt > self.experiment.run.retries:
                    raise fault from error
                self._faults.append(Faulted(step, fault, attempt))
                if attempt > 1:  # once at once, then ever more patiently
                    await asyncio.sleep(RETRY_SECONDS * 2 ** (attempt - 2))
                attempt += 1

    def _take_faults(self) -> list[Faulted]:
        faults, self._faults = self._faults, []
        return faults
