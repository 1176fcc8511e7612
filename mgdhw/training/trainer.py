"""The loop: blocks, updates, evaluations, as an async iterator of events."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator, Coroutine
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.block import Block, Costs
from mgdhw.codes import Codes
from mgdhw.concurrency.completion import run_unless
from mgdhw.datasets import Dataset
from mgdhw.device import Device, guarded_probing
from mgdhw.device.driver_results import check_segment_result, checked_parameters
from mgdhw.device.interlock import Interlock
from mgdhw.errors import CheckpointError, ConfigError
from mgdhw.experiment.schema import Experiment, missing_start
from mgdhw.learning.digest import digest_checkpoint, is_checkpoint
from mgdhw.learning.rule import UpdateInfo
from mgdhw.learning.segment import Segment
from mgdhw.learning.state import TrainState
from mgdhw.learning.step import accumulate_costs, next_block, requested_theta, update
from mgdhw.training.best import BestTracker
from mgdhw.training.evaluation import SaturationMonitor, evaluate, not_evaluated, target_reached
from mgdhw.training.events import (
    Best,
    BlockDone,
    Checkpoint,
    Evaluated,
    Event,
    Faulted,
    Finished,
    Guarded,
    Started,
    Updated,
)
from mgdhw.training.interlocks import InterlockGuard
from mgdhw.training.iteration import controlled_events
from mgdhw.training.outlier_guard import guard_outliers
from mgdhw.training.pacing import (
    AdaptiveBlockSize,
    CooperativeYield,
    first_size,
    next_size,
)
from mgdhw.training.prepare import first_state, prepare
from mgdhw.training.retry import Retries
from mgdhw.training.signal_check import weak_signal
from mgdhw.training.stopping import StopRequest

Answer = TypeVar("Answer")

BLOCK_SECONDS = 0.05
"""How long a block should take when the user says nothing: short enough to stop at once, long enough to be cheap."""
FIRST_BLOCK = 64
LARGEST_FIRST_BLOCK = 256
LONG_EVALUATION_SECONDS = 0.5
"""An evaluation that takes longer is not waited for by who asks for a stop."""


class Trainer:
    """Trains one device on one dataset: `async for event in Trainer(experiment, device, dataset)`.

    The device must be open. How the work is cut into blocks, who makes the codes, and when anybody evaluates changes no
    bit of the trajectory.

    Args:
        experiment: what to do.
        device: an open device.
        dataset: what to train on.
        resume: a state to go on from.
        best: the best evaluation so far and its state, of a training that goes on.
        start: (P,) θ to begin with, instead of what `training.init` says.
        interlocks: further conditions that must hold, besides those of the device.
        saturation: what watches the parameters' limits, if several trainers are to say once what it has to say.
        controlled: whether the caller controls the device already; else the iteration does (`mgdhw.device.control`).

    Raises (while iterating):
        ConfigError: experiment, device and dataset do not fit each other.
        DeviceUnavailable: somebody else controls the device.
        DeviceError: the device failed, more often than `run.retries` in a row where repeating may help.
        InterlockOpen: an interlock is open, before anything was written, or where it says so.
    """

    def __init__(
        self,
        experiment: Experiment,
        device: Device,
        dataset: Dataset,
        *,
        resume: TrainState | None = None,
        best: Best | None = None,
        start: FloatArray | None = None,
        interlocks: tuple[Interlock, ...] = (),
        saturation: SaturationMonitor | None = None,
        controlled: bool = False,
    ) -> None:
        self.experiment = experiment
        self.device = device
        self.dataset = dataset
        if experiment.start is not None and start is None and resume is None:
            raise ConfigError(missing_start())
        self._resume = resume
        self._best = best
        self._start = start
        self._controlled = controlled
        self._stop = StopRequest()
        self._evaluation_seconds = 0.0
        self._theta_actual: FloatArray | None = None
        """What the hardware holds since the last write; None if unknown, or if the device has moved by itself."""
        self._has_cells = False
        self._preparation = prepare(experiment, device, dataset)
        self._rule, self._level = self._preparation.rule, self._preparation.level
        self._codes = Codes(self._rule.codes, device.info.topology)
        self._retries = Retries(device, experiment.run.retries)
        self._interlocks = InterlockGuard(device, interlocks, self._retries, self._stop.event)
        self._alone = saturation is None
        self._saturation = saturation or SaturationMonitor()
        period = self._rule.update_period  # a first block that ends with an update has nothing to carry on
        first = period if FIRST_BLOCK < period <= LARGEST_FIRST_BLOCK else FIRST_BLOCK
        first = first_size(first, self._rule, device.info.n_parameters)
        if self._level == "host-codes":  # nobody knows how long a reading takes, and somebody watches
            first = 1
        self._block_size = AdaptiveBlockSize(first, BLOCK_SECONDS, experiment.run.block)

    def stop(self) -> None:
        """Ask for a clean end after the current block. May be called from a signal handler, or another thread."""
        self._stop.ask()

    def __aiter__(self) -> AsyncGenerator[Event, None]:
        return controlled_events(
            self._events(),
            self.device,
            "a training",
            self._retries,
            self.experiment.readings,
            controlled=self._controlled,
        )

    async def _events(self) -> AsyncGenerator[Event, None]:
        self._stop.listen()
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
        async with contextlib.aclosing(self._interlocks.before_training()) as interlocked:
            async for event in interlocked:
                yield event
        written = await self._unless_stopped(self._write(state))
        state = await self._with_cells(state)
        self._has_cells = bool(state.cells)
        weak = weak_signal(device, self._rule, state.theta) if self._alone and self._resume is None else None
        yield Started(
            device.info,
            self.dataset,
            self._level,
            self._preparation.delta,
            state.step,
            training.probes,
            self._preparation.notes if weak is None else (*self._preparation.notes, weak),
        )
        if self._resume is None:
            yield Checkpoint(state)  # what the hardware held at the beginning ("read") is known only now
        every = experiment.evaluate_every()
        track = BestTracker(self._best, every, training.probes, self._with_cells)
        first = None if written is None else await self._unless_stopped(self._evaluate(state))
        last = not_evaluated(state, self.dataset) if first is None else first
        if first is not None:
            yield last
            if (best := await track.improved(state, last)) is not None:
                yield best
        saved, cooperative = time.monotonic(), CooperativeYield()
        # A run that is resumed between two evaluations reports this one, but does not act on it.
        due = state.step % every == 0 and state.step < training.probes
        reason = "target" if due and target_reached(experiment.evaluation, last) else "done"
        interrupted = first is None
        guard = self._interlocks
        while state.step < training.probes and reason == "done" and not interrupted:
            async with contextlib.aclosing(guard.check(state, self._write)) as interlocked:
                async for event in interlocked:
                    yield event
            if guard.ends_training():
                break
            began, before = time.monotonic(), state
            size = self._next_size(state, every)
            advanced = await self._unless_stopped(self._advance_and_write(before, size))
            if advanced is None:
                interrupted = True
                break
            state, cost, last_update = advanced
            yield BlockDone(state.step, size, state.evaluations, cost * device.info.cost_lsb / training.batch)
            if last_update is not None:
                yield Updated(state.step, state.update, last_update.eta, last_update.gradient_norm)
            if state.step % every == 0 and state.step < training.probes:
                async with contextlib.aclosing(guard.check(state, self._write)) as interlocked:
                    async for event in interlocked:
                        yield event
                if guard.ends_training():
                    break
                last = await self._evaluate_again(state, last)
                yield last
                if (best := await track.improved(state, last)) is not None:
                    yield best
                if target_reached(experiment.evaluation, last):
                    reason = "target"
            for incident in self._incidents(state):
                yield incident
            now = time.monotonic()
            self._block_size.learn(size, now - began)
            if self._stop.asked and reason == "done" and state.step < training.probes:
                reason = "stopped"
            elif now - saved >= experiment.run.checkpoint_seconds:
                state = await self._with_cells(state)
                yield Checkpoint(state)
                saved = now
            await cooperative.take()
        if last.step != state.step and not interrupted:
            async with contextlib.aclosing(guard.check(state, self._write)) as interlocked:
                async for event in interlocked:
                    yield event
        if guard.error is not None:
            raise guard.error
        if last.step != state.step and not interrupted and not guard.ends_training():
            last = await self._evaluate_again(state, last)
            yield last
            if (best := await track.improved(state, last)) is not None:
                yield best
        # Also where a run is resumed at its very end, so that it ends as it would have in one go.
        if reason == "done" and target_reached(experiment.evaluation, last):
            reason = "target"
        reason = guard.ended or ("stopped" if interrupted else reason)
        theta_actual = self._theta_actual
        if guard.suspended is not None:  # the hardware may be in its safe state, and nothing is sent any more
            theta_actual = guard.suspended.theta_actual
            state = replace(state, cells=state.cells or guard.suspended.cells)
        elif interrupted or guard.ends_training():  # a write may be a long ramp, or not allowed
            state = await self._with_cells(state)
        else:
            # Written once more, which changes nothing: what ageing cells hold is of the last step, however it was come
            # to.
            theta_actual = await self._write(state)
            state = await self._with_cells(state)
        for incident in self._incidents(state):
            yield incident
        yield Checkpoint(state)
        count, hardware = self._preparation.hardware_usage(
            device.info, probes=state.step, evaluations=state.evaluations, updates=state.update
        )
        digest = digest_checkpoint(state, state.theta if theta_actual is None else theta_actual).digest_state.hex()
        await self._end_at(reason, state, track.best)
        yield Finished(reason, state, digest, last, count, hardware, track.score, guard.problem)

    # --- steps of the loop ---------------------------------------------------------------------------------------

    async def _first_state(self) -> TrainState:
        theta_actual = self._start
        if theta_actual is not None:
            if theta_actual.shape != (self.device.info.n_parameters,):
                raise ConfigError(
                    f"start: has {theta_actual.size} parameters, {self.device.uri} has {self.device.info.n_parameters};"
                    " begin from a run on a device like this one"
                )
        elif self.experiment.training.init == "read":
            answer = await self.device.read()
            theta_actual = checked_parameters(answer, self.device.info.n_parameters, "read", self.device.uri)
        return first_state(self.experiment, self.device.info, self._rule, self.dataset, theta_actual)

    async def _end_at(self, reason: str, state: TrainState, best: Best | None) -> None:
        """Leave the hardware where the experiment wants it, if training has come to its end."""
        if self.experiment.run.end_at == "last" or best is None or reason not in ("done", "target"):
            return
        if not np.array_equal(best.state.theta, state.theta):
            await self._write(best.state)

    def _next_size(self, state: TrainState, every: int) -> int:
        return next_size(
            state,
            self._rule,
            at_most=self._block_size.size,
            every=every,
            probes=self.experiment.training.probes,
            segments=self._level == "learn",
        )

    async def _advance_and_write(self, before: TrainState, size: int) -> tuple[TrainState, float, UpdateInfo | None]:
        """Like `_advance`; the hardware holds what an update made."""
        state, cost, last_update = await self._advance(before, size)
        return state if last_update is None else await self._updated(before, state), cost, last_update

    async def _unless_stopped(self, work: Coroutine[Any, Any, Answer]) -> Answer | None:
        """The result of work; None if a stop is asked for, and it would take long. The state has no trace of it then.

        Only measurements by the host, one after another, are slow enough for that; not those of simulated cells that
        age.
        """
        if self._level != "host-codes" or self._has_cells:
            return await work
        return await self._stop.run_unless_long(work, self._retries)

    async def _advance(self, state: TrainState, size: int) -> tuple[TrainState, float, UpdateInfo | None]:
        """Go on by `size` probes: new state, mean cost of the probes in cost codes, and the last update if any."""
        rule = self._rule
        if self._level == "learn":
            segment = Segment(state, rule, size)
            result = await self._retries.repeat(lambda: self.device.learn(segment), state.step)
            check_segment_result(result, segment, self.device.uri)
            after = result.state
            self._theta_actual = None  # the device has moved by itself
            self._retries.learnt(after.cells, lambda: (requested_theta(after, rule), after.step))
            return result.state, result.cost, result.last
        block = next_block(state, rule, size)
        costs = await self._probe(block)
        if self.experiment.readings.outliers != "off":
            costs, recent = await guard_outliers(
                self.experiment.readings, block, costs, state.recent, self._probe, self.device.guard
            )
            state = replace(state, recent=recent)
        state = accumulate_costs(state, costs, rule, self._codes)
        step = None
        if state.step % rule.update_period == 0:
            state, step = update(state, rule, self._codes)
        return state, float(costs.perturbed.mean()), step

    async def _updated(self, before: TrainState, state: TrainState) -> TrainState:
        """The state after an update, once the hardware holds it: written by the host, or by the device itself."""
        at_checkpoint = is_checkpoint(before, state)
        if self._level != "learn":
            theta_actual = await self._write(state)
        elif at_checkpoint:
            theta_actual = await self._retries.repeat(self.device.read, state.step)
        return digest_checkpoint(state, theta_actual) if at_checkpoint else state

    async def _probe(self, block: Block) -> Costs:
        return await self._retries.repeat(
            lambda: guarded_probing.probe(self.device, block, host_codes=self._level == "host-codes"),
            block.first_step,
            perturbs=True,
        )

    def _incidents(self, state: TrainState) -> list[Faulted | Guarded]:
        """What went wrong since this was last asked, and was put right."""
        counts = self.device.guard.take()
        return [*self._retries.take_faults(), *([Guarded(state.step, counts)] if counts else [])]

    async def _write(self, state: TrainState) -> FloatArray:
        self._theta_actual = None
        self._theta_actual = await self._retries.write(requested_theta(state, self._rule), state.step)
        return self._theta_actual

    async def _with_cells(self, state: TrainState) -> TrainState:
        """The state with the state of the device's cells; a device that learns has put it there itself."""
        if self._level == "learn" and state.cells:
            return state
        return replace(state, cells=await self._retries.snapshot(state.step))

    async def _evaluate(self, state: TrainState) -> Evaluated:
        self._saturation.check(state, self._rule)
        began = time.monotonic()
        evaluated = await self._retries.repeat(lambda: evaluate(self.device, self.dataset, state), state.step)
        self._evaluation_seconds = time.monotonic() - began
        return evaluated

    async def _evaluate_again(self, state: TrainState, last: Evaluated) -> Evaluated:
        """A new evaluation, or the last one where a stop is asked for and a new one would take long."""
        if self._evaluation_seconds < LONG_EVALUATION_SECONDS:
            return await self._unless_stopped(self._evaluate(state)) or last
        return await run_unless(self._stop.event, self._evaluate(state)) or last
