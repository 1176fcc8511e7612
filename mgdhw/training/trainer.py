"""The loop: blocks, updates, evaluations, as an async iterator of events."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from dataclasses import replace

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.block import Costs
from mgdhw.codes import Codes
from mgdhw.concurrency.completion import run_unless
from mgdhw.datasets import Dataset
from mgdhw.device import Device, HostCodes
from mgdhw.device.control import take_control
from mgdhw.device.driver_results import checked_parameters
from mgdhw.errors import CheckpointError, DeviceFault
from mgdhw.experiment.schema import Experiment
from mgdhw.learning.loop import Step, accumulate_costs, next_block, requested_theta, update
from mgdhw.learning.segment import Segment
from mgdhw.learning.state import TrainState
from mgdhw.training.events import BlockDone, Checkpoint, Evaluated, Event, Finished, Started, Updated
from mgdhw.training.pacing import (
    AdaptiveBlockSize,
    CooperativeYield,
    SaturationMonitor,
    check_answer,
    digest_checkpoint,
    first_size,
    look,
    marked,
    next_size,
    target_reached,
)
from mgdhw.training.prepare import plan
from mgdhw.training.recipe import first_state
from mgdhw.training.rehearsal import weak_signal
from mgdhw.training.retry import Retries

BLOCK_SECONDS = 0.05
"""How long a block should take when the user says nothing: short enough to stop at once, long enough to be cheap."""
FIRST_BLOCK = 64
LARGEST_FIRST_BLOCK = 256
LONG_LOOK_SECONDS = 0.5
"""An evaluation that takes longer is not waited for by who asks for a stop."""


class Trainer:
    """Trains one device on one dataset: `async for event in Trainer(experiment, device, dataset)`.

    The device must be open. How the work is cut into blocks, who makes the codes, and when anybody looks changes no
    bit of the trajectory.

    Args:
        experiment: what to do.
        device: an open device.
        dataset: what to train on.
        resume: a state to go on from.
        rails: what watches the parameters' limits, if several trainers are to say once what it has to say.
        controlled: whether the caller controls the device already; else the iteration does (`mgdhw.device.control`).

    Raises (while iterating):
        ConfigError: experiment, device and dataset do not fit each other.
        DeviceUnavailable: somebody else controls the device.
        DeviceError: the device failed, more often than `run.retries` in a row where repeating may help.
    """

    def __init__(
        self,
        experiment: Experiment,
        device: Device,
        dataset: Dataset,
        *,
        resume: TrainState | None = None,
        rails: SaturationMonitor | None = None,
        controlled: bool = False,
    ) -> None:
        self.experiment = experiment
        self.device = device
        self.dataset = dataset
        self._resume = resume
        self._controlled = controlled
        self._stop = False
        self._asked = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._look_seconds = 0.0
        self._plan = plan(experiment, device, dataset)
        self._recipe, self._level = self._plan.recipe, self._plan.level
        self._codes = Codes(self._recipe.codes, device.info.topology)
        self._retries = Retries(device, experiment.run.retries)
        self._alone = rails is None
        self._rails = rails or SaturationMonitor()
        period = self._recipe.update_period  # a first block that ends with an update has nothing to carry on
        first = period if FIRST_BLOCK < period <= LARGEST_FIRST_BLOCK else FIRST_BLOCK
        first = first_size(first, self._recipe, device.info.n_parameters)
        if self._level == "host-codes":  # nobody knows how long a reading takes, and somebody watches
            first = 1
        self._pace = AdaptiveBlockSize(first, BLOCK_SECONDS, experiment.run.block)

    def stop(self) -> None:
        """Ask for a clean end after the current block. May be called from a signal handler, or another thread."""
        self._stop = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it is closed: training is over
                self._loop.call_soon_threadsafe(self._asked.set)

    async def __aiter__(self) -> AsyncGenerator[Event, None]:
        self._loop = asyncio.get_running_loop()
        if self._stop:
            self._asked.set()
        with contextlib.nullcontext() if self._controlled else await take_control(self.device, "a training"):
            try:
                async for event in self._events():
                    yield event
            except Exception:
                for fault in self._retries.take_faults():  # what led to it is told before it ends the run
                    yield fault
                raise

    async def _events(self) -> AsyncGenerator[Event, None]:
        experiment, training, device = self.experiment, self.experiment.training, self.device
        await self._retries.load(self.dataset)
        state = self._resume or await self._first_state()
        if state.theta.size != device.info.n_parameters:
            raise CheckpointError(
                f"the checkpoint has {state.theta.size} parameters, {device.uri} has {device.info.n_parameters};"
                " resume on the device that the run began with"
            )
        if state.cells:
            await self._retries.restore(state.cells, state.step)
        await self._write(state)
        state = await self._remembered(state)
        weak = weak_signal(device, self._recipe, state.theta) if self._alone and self._resume is None else None
        yield Started(
            device.info,
            self.dataset,
            self._level,
            self._plan.delta,
            state.step,
            training.probes,
            self._plan.notes if weak is None else (*self._plan.notes, weak),
        )
        if self._resume is None:
            yield Checkpoint(state)  # what the hardware held at the beginning ("read") is known only now
        every = experiment.evaluate_every()
        last = await self._evaluate(state)
        yield last
        saved, breath = time.monotonic(), CooperativeYield()
        # A run that is resumed between two evaluations looks at this one, but is not steered by it.
        due = state.step % every == 0 and state.step < training.probes
        reason = "target" if due and target_reached(experiment.evaluation, last) else "done"
        while state.step < training.probes and reason == "done":
            began, before = time.monotonic(), state
            size = self._next_block(state, every)
            state, cost, last_update = await self._advance(state, size)
            yield BlockDone(state.step, size, state.evaluations, cost * device.info.cost_lsb / training.batch)
            if last_update is not None:
                state = await self._updated(before, state)
                yield Updated(state.step, state.update, last_update.eta, last_update.gradient_norm)
            if state.step % every == 0 and state.step < training.probes:
                last = await self._evaluate_again(state, last)
                yield last
                if target_reached(experiment.evaluation, last):
                    reason = "target"
            for fault in self._retries.take_faults():
                yield fault
            now = time.monotonic()
            self._pace.learn(size, now - began)
            if self._stop and reason == "done" and state.step < training.probes:
                reason = "stopped"
            elif now - saved >= experiment.run.checkpoint_seconds:
                state = await self._remembered(state)
                yield Checkpoint(state)
                saved = now
            await breath.take()
        if last.step != state.step:
            last = await self._evaluate_again(state, last)
            yield last
            if reason == "done" and target_reached(experiment.evaluation, last):
                reason = "target"
        # Written once more, which changes nothing: what ageing cells hold is of the last step, however it was come to.
        stored = await self._write(state)
        for fault in self._retries.take_faults():
            yield fault
        state = await self._remembered(state)
        yield Checkpoint(state)
        taken, hardware = self._plan.taken(
            device.info, probes=state.step, evaluations=state.evaluations, updates=state.update
        )
        yield Finished(reason, state, marked(state, stored).chain.hex(), last, taken, hardware)

    # --- steps of the loop ---------------------------------------------------------------------------------------

    async def _first_state(self) -> TrainState:
        held = None
        if self.experiment.training.init == "read":
            held = checked_parameters(await self.device.read(), self.device.info.n_parameters, "read", self.device.uri)
        return first_state(self.experiment, self.device.info, self._recipe, self.dataset, held)

    def _next_block(self, state: TrainState, every: int) -> int:
        return next_size(
            state,
            self._recipe,
            at_most=self._pace.size,
            every=every,
            probes=self.experiment.training.probes,
            segments=self._level == "learn",
        )

    async def _advance(self, state: TrainState, size: int) -> tuple[TrainState, float, Step | None]:
        """Go on by `size` probes: new state, mean cost of the probes in cost codes, and the last update if any."""
        recipe = self._recipe
        if self._level == "learn":
            segment = Segment(state, recipe, size)
            result = await self._retries.repeat(lambda: self.device.learn(segment), state.step)
            check_answer(result, segment, self.device)
            after = result.state
            self._retries.learnt(after.cells, lambda: (requested_theta(after, recipe), after.step))
            return result.state, result.cost, result.last
        costs = await self._probe(state, size)
        state = accumulate_costs(state, costs, recipe, self._codes)
        step = None
        if state.step % recipe.update_period == 0:
            state, step = update(state, recipe, self._codes)
        return state, float(costs.perturbed.mean()), step

    async def _updated(self, before: TrainState, state: TrainState) -> TrainState:
        """The state after an update, once the hardware holds it: written by the host, or by the device itself."""
        mark = digest_checkpoint(before, state)
        if self._level != "learn":
            stored = await self._write(state)
        elif mark:
            stored = await self._retries.repeat(self.device.read, state.step)
        return marked(state, stored) if mark else state

    async def _probe(self, state: TrainState, size: int) -> Costs:
        block = next_block(state, self._recipe, size)
        device = self.device

        async def request() -> Costs:
            if self._level == "host-codes" and isinstance(device, HostCodes):
                return await device.probe_with_host_codes(block)
            return await device.probe(block)

        costs = await self._retries.repeat(request, state.step, perturbs=True)
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
        return await self._retries.write(requested_theta(state, self._recipe), state.step)

    async def _remembered(self, state: TrainState) -> TrainState:
        """The state with what the device's cells remember; a device that learns has put it there itself."""
        if self._level == "learn" and state.cells:
            return state
        return replace(state, cells=await self._retries.snapshot(state.step))

    async def _evaluate(self, state: TrainState) -> Evaluated:
        self._rails.look(state, self._recipe)
        began = time.monotonic()
        evaluated = await self._retries.repeat(lambda: look(self.device, self.dataset, state), state.step)
        self._look_seconds = time.monotonic() - began
        return evaluated

    async def _evaluate_again(self, state: TrainState, last: Evaluated) -> Evaluated:
        """A new evaluation, or the last one where a stop is asked for and a new one would take long."""
        if self._look_seconds < LONG_LOOK_SECONDS:
            return await self._evaluate(state)
        return await run_unless(self._asked, self._evaluate(state)) or last
