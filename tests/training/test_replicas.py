"""Replicas: each the single training with its seed, to the bit, however many walk together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mgdhw.datasets import Dataset
from mgdhw.datasets import load as load_dataset
from mgdhw.errors import ConfigError, DeviceFault, LinkTimeout
from mgdhw.experiment.load import parse_experiment
from mgdhw.experiment.schema import LARGEST_SEED, Experiment
from mgdhw.learning.segment import Segment, SegmentResult
from mgdhw.training import replica_batch
from mgdhw.training.events import (
    Faulted,
    Finished,
    ReplicaFinished,
    ReplicasAdvanced,
    ReplicasEvent,
    ReplicasFinished,
    ReplicasStarted,
)
from mgdhw.training.replica_batch import ReplicaBatch, replicas_at_once
from mgdhw.training.replicas import Replicas
from mgdhw.training.retry import Retries
from mgdhw.training.trainer import Trainer
from mgdhw_sim.device import SimDevice
from mgdhw_sim.uri import parse
from tests.helpers.chips import WIDE_CHIP
from tests.helpers.events import of
from tests.helpers.faulty import Flaky, Wrong

XOR = load_dataset("xor")
SMALL = (
    "seed=5",
    "training.probes=301",
    "training.tau_theta=10",
    "training.tau_x=3",
    "training.batch=3",
    "training.init=uniform",
    "optimizer.eta=0.1",
    "codes.delta=0.25",
    "evaluation.every=77",
)
LEVELS = ("learn", "device-codes", "host-codes")
AIMED = (
    "training.probes=3_000",
    "training.batch=4",
    "training.tau_x=1",
    "training.tau_theta=16",
    "codes.delta=0.0625",
    "optimizer.eta=0.05",
    "evaluation.every=400",
    "evaluation.stop_at_accuracy=1.0",
    "evaluation.stop_at_cost=0.1",
)


def experiment(*overrides: str) -> Experiment:
    return parse_experiment("", source="test", overrides=[*SMALL, *overrides])


async def run(
    *overrides: str, n: int = 3, device: SimDevice | None = None, dataset: Dataset = XOR
) -> list[ReplicasEvent]:
    """Everything that a set of replicas says."""
    async with device or SimDevice(WIDE_CHIP, parse(WIDE_CHIP)) as opened:
        return [event async for event in Replicas(experiment(*overrides), opened, dataset, n)]


async def single(*overrides: str, dataset: Dataset = XOR, write: float | None = None) -> Finished:
    """The end of the single training; `write` is put on the hardware before it."""
    async with SimDevice(WIDE_CHIP, parse(WIDE_CHIP)) as device:
        if write is not None:
            await device.write(np.full(13, write))
        events = [event async for event in Trainer(experiment(*overrides), device, dataset)]
    assert isinstance(events[-1], Finished)
    return events[-1]


def assert_same(replica: ReplicaFinished, alone: Finished) -> None:
    result, state = replica.result, alone.state
    assert_array_equal(replica.state.theta, state.theta)
    assert (result.reason, result.digest) == (alone.reason, alone.digest)
    assert (result.probes, result.evaluations, result.updates) == (state.step, state.evaluations, state.update)
    assert (result.accuracy, result.cost) == (alone.last.accuracy, alone.last.cost)


# --- each replica is the single training with its seed ---------------------------------------------------------------


@pytest.mark.usefixtures("many_marks")
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    "changes",
    [
        (),
        ("run.block=7",),
        ("training.rounding=stochastic",),
        ("training.mode=continuous", "training.update_every=4", "optimizer.eta=0.001"),
        ("training.baseline=antithetic", "optimizer.name=momentum"),
        ("codes.delta=[0.25, 0.0625]", "codes.groups=layer"),
    ],
    ids=str,
)
async def test_every_replica_is_the_single_training_with_its_seed(level: str, changes: tuple[str, ...]) -> None:
    events = await run(f"run.level={level}", *changes)
    started = of(events, ReplicasStarted)[0]
    assert (started.level, started.replicas, started.probes) == (level, 3, 301)
    finished = of(events, ReplicaFinished)
    assert [event.result.replica for event in finished] == [0, 1, 2]
    for replica in finished:
        seed = 5 + replica.result.replica
        assert replica.result.seed == seed
        assert_same(replica, await single(f"seed={seed}", *changes))
    assert len({event.result.digest for event in finished}) == 3
    assert events[-1] == ReplicasFinished("done")
    last = of(events, ReplicasAdvanced)[-1]
    assert (last.probes, last.left) == (3 * 301, 0)


@pytest.mark.parametrize(
    "level", [pytest.param(level, marks=pytest.mark.long) if level == "host-codes" else level for level in LEVELS]
)
async def test_replicas_stop_at_their_targets_as_single_trainings_do(level: str) -> None:
    events = await run(*AIMED, f"run.level={level}", n=6)
    finished = of(events, ReplicaFinished)
    for replica in finished:
        assert_same(replica, await single(*AIMED, f"seed={replica.result.seed}"))
    reasons = {event.result.reason for event in finished}
    assert reasons == {"target", "done"}, "a test that has both"
    assert of(events, ReplicasStarted)[0].has_target
    last = of(events, ReplicasAdvanced)[-1]
    assert last.probes == sum(event.result.probes for event in finished)


@pytest.mark.parametrize("level", LEVELS)
async def test_a_target_that_is_reached_before_the_first_probe(level: str) -> None:
    events = await run("evaluation.stop_at_cost=10.0", f"run.level={level}")
    assert [event.result.probes for event in of(events, ReplicaFinished)] == [0, 0, 0]
    assert not of(events, ReplicasAdvanced)
    for replica in of(events, ReplicaFinished):
        assert_same(replica, await single("evaluation.stop_at_cost=10.0", f"seed={replica.result.seed}"))


@pytest.mark.parametrize("level", LEVELS)
async def test_every_replica_begins_with_what_the_hardware_held_at_first(level: str) -> None:
    device = SimDevice(WIDE_CHIP, parse(WIDE_CHIP))
    async with device:
        await device.write(np.full(13, 0.5))
        asked = Replicas(experiment("training.init=read", f"run.level={level}"), device, XOR, 3)
        finished = of([event async for event in asked], ReplicaFinished)
    for replica in finished:
        assert_same(replica, await single("training.init=read", f"seed={replica.result.seed}", write=0.5))


async def test_the_data_are_the_same_for_all() -> None:
    dataset = load_dataset("nist7x7", seed=3)
    uri = "sim:analog-8bit?layers=49-4-4"
    changes = ("training.probes=120", "training.tau_theta=5")
    events = await run(*changes, n=2, device=SimDevice(uri, parse(uri)), dataset=dataset)
    async with SimDevice(uri, parse(uri)) as device:
        alone = [event async for event in Trainer(experiment(*changes, "seed=6"), device, dataset)][-1]
    assert isinstance(alone, Finished)
    assert_same(of(events, ReplicaFinished)[1], alone)


# --- how the work is done --------------------------------------------------------------------------------------------


class Watched(SimDevice):
    """Remembers what it was asked to learn."""

    def __init__(self) -> None:
        super().__init__(WIDE_CHIP, parse(WIDE_CHIP))
        self.rounds: list[list[Segment]] = []

    async def learn_many(self, segments: Sequence[Segment]) -> list[SegmentResult]:
        self.rounds.append(list(segments))
        return await super().learn_many(segments)


async def test_replicas_advance_in_lock_step_and_in_longer_and_longer_rounds() -> None:
    device = Watched()
    await run("training.probes=2_000", "evaluation.every=500", n=5, device=device)
    assert all(len(segments) == 5 for segments in device.rounds)
    assert all(len({segment.state.step for segment in segments}) == 1 for segments in device.rounds)
    sizes = [segments[0].n_probes for segments in device.rounds]
    assert sizes[:5] == [4, 6, 10, 20, 40]  # twice as many each time, up to the last update among them
    assert sum(sizes) == 2_000
    assert len(sizes) < 20


async def test_a_segment_ends_at_evaluations_where_there_is_a_target_and_at_marks(many_marks: None) -> None:
    device = Watched()
    aimed = ("evaluation.stop_at_accuracy=1.0", "evaluation.stop_at_cost=1e-9")
    await run(*aimed, "run.block=1000", n=2, device=device)
    ends = [segments[0].state.step + segments[0].n_probes for segments in device.rounds]
    assert ends == sorted({*range(40, 301, 40), 77, 154, 231, 301})


async def test_what_fits_no_memory_goes_in_waves(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = of(await run(n=5), ReplicaFinished)
    monkeypatch.setattr(replica_batch, "BATCH_REPLICAS", 2)
    device = Watched()
    in_waves = of(await run(n=5, device=device), ReplicaFinished)
    assert {len(segments) for segments in device.rounds} == {1, 2}
    assert [event.result for event in in_waves] == [event.result for event in whole]
    monkeypatch.setattr(replica_batch, "BATCH_BYTES", 1)
    device = Watched()
    assert len(of(await run(n=2, device=device), ReplicaFinished)) == 2
    assert {len(segments) for segments in device.rounds} == {1}


async def test_many_parameters_leave_room_for_fewer() -> None:
    uri = "sim:analog-8bit?layers=784-64-10"
    dataset = Dataset("noise", np.random.default_rng(0).random((4, 784)), 1.0, np.eye(10)[:4], 4)
    async with SimDevice(uri, parse(uri)) as device:
        lock_step = ReplicaBatch(experiment("training.init=glorot"), device, dataset, Retries(uri, 0), None, {})
        size = replicas_at_once(lock_step.begin(0))
    # θ, two sums, a filter and Adam's two means, before and after: twelve arrays of 50,890 numbers
    assert size == 2**30 // (50_890 * 8 * 12 + replica_batch.OBJECT_BYTES) == 219


# --- ends -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", LEVELS)
async def test_a_stop_keeps_what_is_finished(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica_batch, "BATCH_REPLICAS", 1)
    async with SimDevice(WIDE_CHIP, parse(WIDE_CHIP)) as device:
        going = Replicas(experiment(f"run.level={level}"), device, XOR, 5)
        events: list[ReplicasEvent] = []
        async for event in going:
            events.append(event)
            if len(of(events, ReplicaFinished)) == 2 and isinstance(event, ReplicasAdvanced):
                going.stop()
    assert events[-1] == ReplicasFinished("stopped")
    assert [event.result.replica for event in of(events, ReplicaFinished)] == [0, 1]
    assert of(events, ReplicasAdvanced)[-1].left > 0


@pytest.mark.parametrize("level", LEVELS)
async def test_a_stop_before_the_beginning(level: str) -> None:
    async with SimDevice(WIDE_CHIP, parse(WIDE_CHIP)) as device:
        going = Replicas(experiment(f"run.level={level}"), device, XOR, 5)
        going.stop()
        events = [event async for event in going]
    assert [type(event) for event in events] in (
        [ReplicasStarted, ReplicasFinished],
        [ReplicasStarted, ReplicasAdvanced, ReplicasFinished],
    )


@pytest.mark.parametrize(
    ("n", "changes", "message"),
    [
        (0, (), r"replicas: expected 1 or more \(got 0\)"),
        (-3, (), r"replicas: expected 1 or more"),
        (10**11, (), r"at most 1,000,000 \(got 100,000,000,000\): .* held in memory, which would take 100,000 GB"),
        (2, (f"seed={LARGEST_SEED}",), r"would need seeds beyond .*; take a smaller one"),
        (2, ("codes.delta=0.001",), r"codes\.delta"),
    ],
)
async def test_what_cannot_be_is_refused_before_it_begins(n: int, changes: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Replicas(experiment(*changes), SimDevice(WIDE_CHIP, parse(WIDE_CHIP)), XOR, n)


# --- faults -----------------------------------------------------------------------------------------------------------


REQUESTS = "load write infer learn_many"


@pytest.mark.parametrize("late", [False, True], ids=["request lost", "answer lost"])
async def test_what_a_link_loses_is_repeated_to_the_same_digests(late: bool) -> None:
    expected = [event.result for event in of(await run(), ReplicaFinished)]
    device = Flaky(REQUESTS, range(3, 1000, 4), late=late)
    events = await run(device=device)
    assert [event.result for event in of(events, ReplicaFinished)] == expected
    assert len(of(events, Faulted)) == device.number // 4 > 2


async def test_a_link_that_stays_lost_ends_the_set_and_is_told() -> None:
    events: list[ReplicasEvent] = []

    async def listen() -> None:
        async with Flaky(REQUESTS, range(2, 1000)) as device:
            async for event in Replicas(experiment("run.retries=2"), device, XOR, 2):
                events.append(event)

    with pytest.raises(LinkTimeout):
        await listen()
    assert [event.attempt for event in of(events, Faulted)] == [1, 2]


@pytest.mark.parametrize(("what", "message"), [("short", "2 answers to 3 segments"), ("stale", "makes no sense")])
async def test_a_wrong_answer_is_the_devices_fault(what: str, message: str) -> None:
    with pytest.raises(DeviceFault, match=message):
        await run(device=Wrong(what))
