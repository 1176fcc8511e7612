"""Independent replicas of one experiment, as an async iterator of events.

Replica r is the experiment with its seed + r on the same data, and walks the trajectory of the single training with
that seed, bit for bit. On a device that learns by itself all replicas advance in lock step: a round is one segment of
each, and one request. On any other device they are trained one after the other.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator, Iterable, Sequence

from mgdhw.arrays import FloatArray
from mgdhw.datasets import Dataset
from mgdhw.device import Device
from mgdhw.device.driver_results import checked_parameters
from mgdhw.errors import ConfigError
from mgdhw.experiment.schema import LARGEST_SEED, Experiment
from mgdhw.learning.state import TrainState
from mgdhw.parsing import format_integer, short_repr
from mgdhw.timing import OperationCounts, TimeAndEnergy
from mgdhw.training.evaluation import SaturationMonitor
from mgdhw.training.events import (
    BlockDone,
    Evaluated,
    Faulted,
    Finished,
    Guarded,
    ReplicaFinished,
    ReplicasAdvanced,
    ReplicasEvent,
    ReplicasFinished,
    ReplicasStarted,
)
from mgdhw.training.iteration import controlled_events
from mgdhw.training.pacing import AdaptiveBlockSize, CooperativeYield, first_size
from mgdhw.training.prepare import first_state, prepare
from mgdhw.training.replica_batch import ReplicaBatch, replicas_at_once
from mgdhw.training.results import ReplicaResult
from mgdhw.training.retry import Retries
from mgdhw.training.signal_check import weak_signal
from mgdhw.training.trainer import Trainer

ROUND_SECONDS = 0.25
"""How long a round should take when the user says nothing: Ctrl-C takes effect after it."""
MOST_REPLICAS = 1_000_000
"""What came of each is held in memory until the end, and written whole."""
RESULT_BYTES = 1000
"""What that takes of one, in memory, roughly."""
FIRST_ROUND = 4
"""Probes of each replica in the first round."""


def check_count(experiment: Experiment, replicas: int) -> None:
    """Raise ConfigError if there cannot be so many replicas of an experiment."""
    if not isinstance(replicas, int) or isinstance(replicas, bool):
        raise ConfigError(f"replicas: expected a whole number (got {short_repr(replicas)})")
    if replicas < 1:
        raise ConfigError(f"replicas: expected 1 or more (got {short_repr(replicas)})")
    if replicas > MOST_REPLICAS:
        raise ConfigError(
            f"replicas: expected at most {MOST_REPLICAS:,} (got {format_integer(replicas)}): what comes of each is held"
            f" in memory, which would take {format_integer(replicas * RESULT_BYTES // 10**9)} GB; train several sets,"
            " each with another seed"
        )
    if experiment.seed + replicas - 1 > LARGEST_SEED:
        raise ConfigError(
            f"seed: {replicas} replicas from {experiment.seed} on would need seeds beyond {LARGEST_SEED};"
            " take a smaller one"
        )


def check_single_only(experiment: Experiment) -> None:
    """Raise ConfigError where an experiment asks for what only a single training has: its best θ, or a given one."""
    if experiment.run.end_at != "last":
        raise ConfigError('run.end_at: replicas keep no best θ; expected "last", or a single training without replicas')
    if experiment.start is not None:
        raise ConfigError(
            "start: replicas begin each with parameters of its own seed; begin one training from a run's θ"
        )


class Replicas:
    """Trains one device from many seeds: `async for event in Replicas(experiment, device, dataset, 256)`.

    The device must be open.

    Args:
        experiment: what to do; its seed is that of replica 0.
        device: an open device.
        dataset: what to train on: the same for all replicas.
        replicas: how many.
        finished: those that were finished before, which are not trained again.
        controlled: whether the caller controls the device already; else the iteration does (`mgdhw.device.control`).

    Raises (while iterating, or at once where it can be known):
        ConfigError: experiment, device and dataset do not fit each other, or there cannot be so many replicas.
        DeviceUnavailable: somebody else controls the device.
        DeviceError: the device failed, more often than `run.retries` in a row where repeating may help.
    """

    def __init__(
        self,
        experiment: Experiment,
        device: Device,
        dataset: Dataset,
        replicas: int,
        *,
        finished: Iterable[ReplicaResult] = (),
        controlled: bool = False,
    ) -> None:
        check_count(experiment, replicas)
        check_single_only(experiment)
        if device.interlocks:
            raise ConfigError(f"{device.uri}: has interlocks, which replicas do not heed; train one at a time")
        self.experiment = experiment
        self.device = device
        self.dataset = dataset
        self.replicas = replicas
        self._preparation = prepare(experiment, device, dataset)
        self._retries = Retries(device, experiment.run.retries)
        self._controlled = controlled
        self._stop = False
        self._trainer: Trainer | None = None
        self._before = tuple(finished)
        done = {one.replica for one in self._before}
        self._numbers = [number for number in range(replicas) if number not in done]
        self._unfinished = len(self._numbers)
        self._probes = 0
        self._left = len(self._numbers) * experiment.training.probes

    def stop(self) -> None:
        """Ask for a clean end after the current round. May be called from a signal handler."""
        self._stop = True
        if self._trainer is not None:
            self._trainer.stop()

    def hardware_usage(self, one: ReplicaResult) -> tuple[OperationCounts, TimeAndEnergy | None]:
        """How often the hardware did what for a replica, and what that takes on it where its timing is known."""
        return self._preparation.hardware_usage(
            self.device.info, probes=one.probes, evaluations=one.evaluations, updates=one.updates
        )

    def __aiter__(self) -> AsyncGenerator[ReplicasEvent, None]:
        return controlled_events(
            self._events(),
            self.device,
            "a set of replicas",
            self._retries,
            self.experiment.readings,
            controlled=self._controlled,
        )

    async def _events(self) -> AsyncGenerator[ReplicasEvent, None]:
        experiment, device = self.experiment, self.device
        await self._retries.load(self.dataset)
        theta_actual = None
        if experiment.training.init == "read":  # what the hardware held before any replica was written to it
            answer = await self._retries.repeat(device.read, 0)
            theta_actual = checked_parameters(answer, device.info.n_parameters, "read", device.uri)
        has_target = experiment.evaluation.has_target
        notes = list(self._preparation.notes)
        start = first_state(experiment, device.info, self._preparation.rule, self.dataset, theta_actual)
        if (weak := weak_signal(device, self._preparation.rule, start.theta)) is not None:
            notes.append(weak)
        if not has_target:
            targets = "evaluation.stop_at_accuracy or evaluation.stop_at_cost"
            if not self.dataset.has_classes:
                targets = "evaluation.stop_at_cost"
            notes.append(f"there is no target, so nothing counts as solved; {targets} gives one")
        yield ReplicasStarted(
            device.info,
            self.dataset,
            self._preparation.level,
            self._preparation.delta,
            self.replicas,
            experiment.training.probes,
            has_target,
            self._before,
            tuple(notes),
        )
        work = self._in_batches(theta_actual) if self._preparation.level == "learn" else self._one_by_one(theta_actual)
        async with contextlib.aclosing(work) as events:
            async for event in events:
                yield event
                for fault in self._retries.take_faults():
                    yield fault
                if counts := device.guard.take():
                    yield Guarded(0, counts)
        for fault in self._retries.take_faults():
            yield fault
        yield ReplicasFinished("stopped" if self._unfinished else "done")

    # --- one after the other ---------------------------------------------------------------------------------------

    async def _one_by_one(self, theta_actual: FloatArray | None) -> AsyncGenerator[ReplicasEvent, None]:
        fresh = await self._retries.snapshot(0)
        saturation = SaturationMonitor()
        for number in self._numbers:
            # In this order: who asks for a stop after the check reaches the trainer.
            experiment = self.experiment.replica(number)
            trainer = Trainer(experiment, self.device, self.dataset, saturation=saturation, controlled=True)
            self._trainer = trainer
            if self._stop:
                return
            if fresh:
                await self._retries.restore(fresh, 0)
            if theta_actual is not None:
                await self._retries.write(theta_actual, 0)
            async with contextlib.aclosing(trainer.__aiter__()) as events:
                async for event in events:
                    match event:
                        case BlockDone():
                            yield self._advanced(event.probes, event.cost)
                        case Faulted() | Guarded():
                            yield event
                        case Finished() if event.reason != "stopped":
                            yield self._end(number, event.reason, event.state, event.digest, event.last)

    # --- in lock step ----------------------------------------------------------------------------------------------

    async def _in_batches(self, theta_actual: FloatArray | None) -> AsyncGenerator[ReplicasEvent, None]:
        """As many at a time as memory has room for."""
        cells = await self._retries.snapshot(0)
        batch = ReplicaBatch(self.experiment, self.device, self.dataset, self._retries, theta_actual, cells)
        numbers = self._numbers
        while numbers and not self._stop:
            size = replicas_at_once(batch.begin(numbers[0]))
            async with contextlib.aclosing(self._train_batch(batch, numbers[:size])) as events:
                async for event in events:
                    yield event
            numbers = numbers[size:]

    async def _train_batch(self, batch: ReplicaBatch, numbers: Sequence[int]) -> AsyncGenerator[ReplicasEvent, None]:
        experiment, cooperative = self.experiment, CooperativeYield()
        lanes = [batch.begin(number) for number in numbers]
        first = first_size(FIRST_ROUND, lanes[0].rule, self.device.info.n_parameters, len(lanes))
        block_size = AdaptiveBlockSize(first, ROUND_SECONDS, experiment.run.block)
        while lanes:
            if batch.is_due(lanes[0].state):
                due, lanes = lanes, []
                for lane in due:
                    ending = await batch.evaluate(lane)
                    if ending is None:
                        lanes.append(lane)
                    else:
                        yield self._end(lane.number, ending.reason, lane.state, ending.digest, ending.last)
                    await cooperative.take()
                    if self._stop and not batch.is_over(lane.state):  # what is done is worth waiting for
                        return
            if not lanes or self._stop:
                return
            began = time.monotonic()
            size, cost = await batch.advance(lanes, block_size.size)
            block_size.learn(size, time.monotonic() - began)
            yield self._advanced(size * len(lanes), cost * self.device.info.cost_lsb / experiment.training.batch)
            await cooperative.take()

    # --- replicas --------------------------------------------------------------------------------------------------

    def _advanced(self, probes: int, cost: float) -> ReplicasAdvanced:
        self._probes += probes
        self._left -= probes
        return ReplicasAdvanced(self._probes, self._left, cost)

    def _end(self, number: int, reason: str, state: TrainState, digest: str, last: Evaluated) -> ReplicaFinished:
        self._unfinished -= 1
        self._left -= self.experiment.training.probes - state.step
        result = ReplicaResult(
            replica=number,
            seed=self.experiment.seed + number,
            reason=reason,
            accuracy=last.accuracy,
            cost=last.cost,
            probes=state.step,
            evaluations=state.evaluations,
            updates=state.update,
            digest=digest,
            r2=last.r2,
        )
        return ReplicaFinished(result, state)
