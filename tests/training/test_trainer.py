"""The loop: the same bits however the work is cut, delegated, interrupted or watched."""

import asyncio
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pytest

from mgdhw.codes import FAMILIES
from mgdhw.datasets import Dataset
from mgdhw.errors import CheckpointError, ConfigError
from mgdhw.training.events import BlockDone, Checkpoint, Evaluated, Event, Finished, Started, Updated
from mgdhw_sim.device import SimDevice
from mgdhw_sim.uri import parse
from tests.helpers.chips import WIDE_CHIP
from tests.helpers.events import end, of
from tests.training.trainings import XOR, assert_same_end, run, trainer

MODES = {
    "held": ("training.baseline=held",),
    "every": ("training.baseline=every",),
    "antithetic": ("training.baseline=antithetic",),
    "continuous": ("training.mode=continuous", "training.update_every=4", "optimizer.eta=0.001"),
}


# --- cuts and levels --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("many_marks")
async def test_blocks_of_any_size_give_the_same_digest() -> None:
    whole = end(await run())
    for size in (1, 7, 100, 1000):
        assert_same_end(end(await run(f"run.block={size}")), whole)


@pytest.mark.usefixtures("many_marks")
@pytest.mark.parametrize("groups", ["all", "layer"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", FAMILIES)
async def test_all_levels_walk_the_same_trajectory(family: str, mode: str, groups: str) -> None:
    """Whoever makes the codes, in whatever blocks: every family, baseline and mode."""
    changes = (f"codes.family={family}", f"codes.groups={groups}", *MODES[mode], "training.probes=83")
    if mode == "continuous" and (family == "sequential" or (family, groups) == ("sinusoidal", "layer")):
        with pytest.raises(ConfigError, match=rf"codes\.family: in continuous mode {family} codes"):
            await run(*changes)
        return
    by_chip = await run(*changes, "run.level=device-codes")
    by_host = await run(*changes, "run.level=host-codes", "run.block=7")
    alone = await run(*changes, "run.level=auto", "run.block=19")
    assert of(alone, Started)[0].level == "learn"
    assert_same_end(end(alone), end(by_chip))
    assert of(by_chip, Started)[0].level == "device-codes"
    assert of(by_host, Started)[0].level == "host-codes"
    assert_same_end(end(by_host), end(by_chip))
    assert not np.array_equal(end(by_chip).state.theta, of(by_chip, Checkpoint)[0].state.theta)


async def test_a_chip_without_a_code_generator_gets_its_codes_from_the_host() -> None:
    uri = f"{WIDE_CHIP}&codes=host"
    events = await run("run.level=auto", device=SimDevice(uri, parse(uri)))
    assert of(events, Started)[0].level == "host-codes"
    assert_same_end(end(events), end(await run()))


HOW = ((), ("run.block=3",), ("run.level=host-codes",), ("run.level=learn",), ("run.level=learn", "run.block=11"))


@pytest.mark.parametrize(
    "changes",
    [
        ("optimizer.name=sgd",),
        ("optimizer.name=adamw", "schedule.name=cosine"),
        ("training.normalise=oripov", "schedule.name=step"),
        ("training.rounding=stochastic",),
        ("training.init=read",),
        ("training.batch=4", "training.tau_x=1000"),
    ],
    ids=str,
)
async def test_every_way_of_updating_gives_the_same_digest_in_any_blocks(changes: tuple[str, ...]) -> None:
    digests = {end(await run(*changes, *how)).digest for how in HOW}
    assert len(digests) == 1


async def test_what_decides_the_trajectory_decides_the_digest() -> None:
    changes = ("seed=1", "training.probes=300", "codes.family=walsh", "optimizer.eta=0.2", "training.tau_x=4")
    digests = [end(await run(*change)).digest for change in ((), *((change,) for change in changes))]
    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize("every", [1, 13, 60, 1000])
async def test_looking_changes_nothing(every: int) -> None:
    events = await run(f"evaluation.every={every}")
    assert_same_end(end(events), end(await run()))
    looked = [event.step for event in of(events, Evaluated)]
    assert looked == sorted({*range(0, 301, every), 301})


# --- interruptions ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("many_marks")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("rounding", ["nearest", "stochastic"])
async def test_a_run_resumed_from_any_checkpoint_gives_the_same_digest(mode: str, rounding: str) -> None:
    """Within a window, within a batch, between two marks; finished with blocks of another size."""
    changes = (*MODES[mode], f"training.rounding={rounding}", "training.probes=101")
    events = await run(*changes, "run.block=7", "run.checkpoint_seconds=1e-9")
    states = [event.state for event in of(events, Checkpoint)]
    assert len(states) > 15
    for state in states[::3]:
        resumed = await run(*changes, "run.block=9", resume=state)
        assert of(resumed, Started)[0].step == state.step
        assert_same_end(end(resumed), end(events))


async def test_a_run_that_is_over_can_be_resumed_to_its_end() -> None:
    finished = end(await run())
    assert_same_end(end(await run(resume=finished.state)), finished)


@pytest.mark.parametrize("blocks", [1, 3, 20])
async def test_a_stop_ends_after_the_block_and_loses_nothing(blocks: int) -> None:
    async with SimDevice(WIDE_CHIP, parse(WIDE_CHIP)) as device:
        going = trainer("run.block=7", device=device)
        events, seen = [], 0
        async for event in going:
            events.append(event)
            seen += isinstance(event, BlockDone)
            if seen == blocks:
                going.stop()
    finished = end(events)
    assert finished.reason == "stopped"
    assert len(of(events, BlockDone)) == blocks
    assert finished.state.step == of(events, BlockDone)[-1].step < 301
    assert of(events, Checkpoint)[-1].state is finished.state
    assert_same_end(end(await run(resume=finished.state)), end(await run()))


async def test_a_stop_before_the_beginning_ends_after_the_first_block() -> None:
    async with SimDevice(WIDE_CHIP, parse(WIDE_CHIP)) as device:
        going = trainer("run.block=7", device=device)
        going.stop()
        finished = end([event async for event in going])
    assert (finished.reason, finished.state.step) == ("stopped", 7)


async def test_a_stop_before_the_beginning_waits_for_no_second_long_look(monkeypatch: pytest.MonkeyPatch) -> None:
    class Waits(SimDevice):
        async def infer(self, samples: np.ndarray, step: int = 0) -> np.ndarray:  # type: ignore[type-arg]
            await asyncio.sleep(0.01)
            return await super().infer(samples, step)

    monkeypatch.setattr("mgdhw.training.trainer.LONG_EVALUATION_SECONDS", 0.0)
    async with Waits(WIDE_CHIP, parse(WIDE_CHIP)) as device:
        going = trainer("run.block=7", device=device)
        going.stop()
        events = [event async for event in going]
    assert {event.step for event in of(events, Evaluated)} == {0}


async def test_a_checkpoint_of_another_network_is_refused() -> None:
    state = end(await run()).state
    uri = "sim:analog-8bit?layers=2-4-1"
    with pytest.raises(CheckpointError, match=r"the checkpoint has 13 parameters, sim:.* has 17; resume on the device"):
        await run(device=SimDevice(uri, parse(uri)), resume=state)


# --- ends -------------------------------------------------------------------------------------------------------------


LEARNS = (
    "training.probes=60_000",
    "training.batch=4",
    "training.tau_x=1",
    "training.tau_theta=16",
    "codes.delta=0.0625",
    "optimizer.eta=0.05",
)


async def test_training_stops_at_the_accuracy_and_cost_aimed_at() -> None:
    targets = ("evaluation.every=1_600", "evaluation.stop_at_accuracy=1.0", "evaluation.stop_at_cost=0.1")
    events = await run(*LEARNS, *targets)
    finished = end(events)
    assert finished.reason == "target"
    assert finished.state.step < 60_000
    assert finished.last is of(events, Evaluated)[-1]
    assert (finished.last.accuracy, finished.last.split) == (1.0, "train")
    assert finished.last.cost < 0.1
    assert all(event.accuracy < 1.0 or event.cost >= 0.1 for event in of(events, Evaluated)[:-1])


async def test_a_target_that_is_met_at_the_last_probe_is_met_however_the_run_came_there() -> None:
    """A run may be killed after the last probe, before anybody has looked."""
    changes = ("evaluation.every=400", "run.checkpoint_seconds=1e-9", "run.block=7", "optimizer.eta=0.1")
    costs = [event.cost for event in of(await run(*changes), Evaluated)]
    assert costs[-1] < costs[0]
    events = await run(*changes, target := f"evaluation.stop_at_cost={sum(costs) / 2}")
    assert (end(events).reason, end(events).state.step) == ("target", 301)
    over = [event.state for event in of(events, Checkpoint) if event.state.step == 301]
    assert len(over) == 2
    for state in over:
        resumed = end(await run(*changes, target, resume=state))
        assert resumed.reason == "target"
        assert_same_end(resumed, end(events))


async def test_a_run_without_target_goes_to_its_end() -> None:
    events = await run()
    assert end(events).reason == "done"
    assert end(events).state.step == 301
    assert end(events).state.update == 30
    assert [event.update for event in of(events, Updated)] == list(range(1, 31))
    assert sum(event.probes for event in of(events, BlockDone)) == 301
    assert of(events, BlockDone)[-1].evaluations == end(events).state.evaluations


async def test_evaluations_are_counted_probes_and_baselines() -> None:
    """τ_x = 3 and τ_θ = 10: a baseline where either changes. 301 probes have 101 batches and 30 updates, of which
    every third falls together with a change of batch."""
    assert end(await run()).state.evaluations == 301 + 101 + 20
    assert end(await run(*MODES["every"])).state.evaluations == 2 * 301
    assert end(await run(*MODES["antithetic"])).state.evaluations == 2 * 301
    assert end(await run(*MODES["continuous"])).state.evaluations == 301


async def test_samples_kept_for_testing_are_what_is_evaluated() -> None:
    inputs, targets = np.concatenate([XOR.inputs, XOR.inputs]), np.concatenate([XOR.targets, 1 - XOR.targets])
    events = await run(*LEARNS, "training.probes=12_000", dataset=Dataset("anti-xor", inputs, 1.0, targets, 4))
    assert end(events).last.split == "test"
    assert end(events).last.accuracy == 0.0


# --- watching ---------------------------------------------------------------------------------------------------------


async def test_events_come_in_order() -> None:
    events = await run("run.block=10")
    kinds = [type(event) for event in events]
    assert kinds[0] is Started
    assert kinds[-2:] == [Checkpoint, Finished]
    steps = [event.step for event in events if isinstance(event, BlockDone | Updated | Evaluated)]
    assert steps == sorted(steps)
    for before, after in pairwise(events):
        if isinstance(after, Updated):
            assert isinstance(before, BlockDone)
            assert before.step == after.step


async def test_blocks_grow_on_a_fast_device() -> None:
    """Left to itself, the trainer asks for longer blocks as long as they take little time."""
    events = await run("training.probes=20_000", "training.tau_theta=20_000", "evaluation.every=20_000")
    sizes = [event.probes for event in of(events, BlockDone)]
    assert sizes[0] == 64
    assert max(sizes) > 64


async def test_blocks_shrink_on_a_slow_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every device is slow to who has no time at all."""
    monkeypatch.setattr("mgdhw.training.trainer.BLOCK_SECONDS", 0.0)
    events = await run("training.probes=200", "training.tau_theta=1000", "evaluation.every=1000")
    assert list(sizes_of(events)) == [64, 32, 16, 8, 4, 2, *[1] * 74]


async def test_a_trainer_can_be_left_in_the_middle() -> None:
    async with SimDevice(WIDE_CHIP, parse(WIDE_CHIP)) as device:
        async for event in trainer(device=device):
            if isinstance(event, Updated):
                break


def sizes_of(events: Sequence[Event]) -> Iterator[int]:
    return (event.probes for event in of(events, BlockDone))


async def test_blocks_end_at_updates_and_evaluations() -> None:
    events = await run("run.block=1000")
    ends = np.cumsum(list(sizes_of(events))).tolist()
    assert ends == sorted({*range(10, 301, 10), 77, 154, 231, 301})
