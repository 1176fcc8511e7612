"""The loop: the same bits however the work is cut, delegated, interrupted, watched or disturbed."""

import asyncio
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mgdhw.codes import FAMILIES
from mgdhw.datasets import Dataset
from mgdhw.datasets import load as load_dataset
from mgdhw.device import Device
from mgdhw.errors import CheckpointError, ConfigError, DeviceFault, LinkCorrupt, LinkLost, LinkTimeout
from mgdhw.experiment.schema import parse_experiment
from mgdhw.learning import digest
from mgdhw.learning.state import TrainState
from mgdhw.training.events import BlockDone, Checkpoint, Evaluated, Event, Faulted, Finished, Started, Updated
from mgdhw.training.trainer import Trainer
from mgdhw_sim.device import SimDevice
from mgdhw_sim.uri import parse
from tests.helpers.chips import WIDE_CHIP
from tests.helpers.events import end, of
from tests.helpers.faulty import Flaky, Wrong

XOR = load_dataset("xor")

# Batches, held baselines, updates and evaluations that fall in with each other as little as possible.
SMALL = (
    "training.probes=301",
    "training.tau_theta=10",
    "training.tau_x=3",
    "training.batch=3",
    "training.init=uniform",
    "optimizer.eta=0.1",
    "codes.delta=0.25",
    "codes.density=0.4",
    "evaluation.every=77",
    "run.level=device-codes",
)


def trainer(*overrides: str, device: Device, dataset: Dataset = XOR, resume: TrainState | None = None) -> Trainer:
    experiment = parse_experiment("", source="test", overrides=[*SMALL, *overrides])
    return Trainer(experiment, device, dataset, resume=resume)


async def run(
    *overrides: str, device: Device | None = None, dataset: Dataset = XOR, resume: TrainState | None = None
) -> list[Event]:
    """Everything that a training says."""
    async with device or SimDevice(WIDE_CHIP, parse(WIDE_CHIP)) as opened:
        return [event async for event in trainer(*overrides, device=opened, dataset=dataset, resume=resume)]


def assert_same_end(one: Finished, other: Finished) -> None:
    """The digest says it; the parts say where."""
    assert one.state.evaluations == other.state.evaluations
    assert_array_equal(one.state.theta, other.state.theta)
    assert_array_equal(one.state.window.cross, other.state.window.cross)
    assert_array_equal(one.state.window.energy, other.state.window.energy)
    assert_array_equal(one.state.analog.gradient, other.state.analog.gradient)
    assert one.state.held == other.state.held
    assert one.state.optimizer.keys() == other.state.optimizer.keys()
    for name, array in one.state.optimizer.items():
        assert_array_equal(array, other.state.optimizer[name])
    assert one.digest == other.digest


MODES = {
    "held": ("training.baseline=held",),
    "every": ("training.baseline=every",),
    "antithetic": ("training.baseline=antithetic",),
    "continuous": ("training.mode=continuous", "training.update_every=4", "optimizer.eta=0.001"),
}


@pytest.fixture
def many_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The digest takes in the trajectory every few updates, not only its end."""
    monkeypatch.setattr(digest, "MARK_EVERY", 4)


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

    monkeypatch.setattr("mgdhw.training.trainer.LONG_LOOK_SECONDS", 0.0)
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


# --- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["learn", "device-codes", "host-codes"])
@pytest.mark.parametrize("rounding", ["nearest", "stochastic"])
async def test_parameters_never_leave_the_guard_band(level: str, rounding: str) -> None:
    """Driven against the rails, with perturbations of 16 steps."""
    changes = ("optimizer.eta=5.0", "codes.delta=1.0", f"run.level={level}", f"training.rounding={rounding}")
    events = await run(*changes, "run.checkpoint_seconds=1e-9")
    thetas = np.array([event.state.theta for event in of(events, Checkpoint)])
    assert thetas.min() == -8.0 + 1.0 + 2.0**-5
    assert thetas.max() == 8.0 - 2.0**-4 - 1.0 - 2.0**-5


@pytest.mark.parametrize(
    ("change", "delta", "notes"),
    [
        ("codes.delta=0.0625", 0.0625, 0),
        ("codes.delta=0.05", 0.0625, 1),
        ("codes.delta=0.1", 0.125, 1),
        ("codes.family=random", 0.25, 0),
    ],
)
async def test_delta_is_taken_in_whole_steps_and_says_so(change: str, delta: float, notes: int) -> None:
    started = of(await run(change), Started)[0]
    assert started.delta == delta
    assert len(started.notes) == notes
    assert all("is taken as" in note for note in started.notes)


@pytest.mark.parametrize(("family", "steps"), [("random", 4), ("walsh", 4), ("sinusoidal", 8)])
async def test_delta_has_a_default(family: str, steps: int) -> None:
    async with SimDevice(WIDE_CHIP, parse(WIDE_CHIP)) as device:
        experiment = parse_experiment(f"[codes]\nfamily = '{family}'\n[training]\nprobes = 1", source="test")
        (started, *_) = [event async for event in Trainer(experiment, device, XOR)]
    assert isinstance(started, Started)
    assert started.delta == steps * 2.0**-4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            ("codes.delta=0.03",),
            r"codes\.delta: 0\.03 is less than half of the smallest step .* expected at least 0\.0625",
        ),
        (("codes.delta=9.0",), r"codes\.delta: a perturbation of 9 leaves no room"),
        (("run.level=device-codes",), r"has no code generator; use level host-codes"),
        (("run.level=learn",), r"cannot learn by itself; use level device-codes or host-codes"),
    ],
)
def test_what_cannot_be_is_refused_before_it_begins(changes: tuple[str, ...], message: str) -> None:
    uri = f"{WIDE_CHIP}&codes=host"
    with pytest.raises(ConfigError, match=message):
        trainer(*changes, device=SimDevice(uri, parse(uri)))


def test_host_codes_need_single_measurements() -> None:
    class BlocksOnly(Device):
        info = SimDevice(WIDE_CHIP, parse(WIDE_CHIP)).info
        connect = disconnect = read = SimDevice.connect  # type: ignore[assignment]
        apply, infer, probe = SimDevice.apply, SimDevice.infer, SimDevice.probe  # type: ignore[assignment]

    with pytest.raises(ConfigError, match=r"^x:1 takes no single measurements; use level device-codes"):
        trainer("run.level=host-codes", device=BlocksOnly("x:1"))


async def test_data_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="do not fit dataset 'parity-3'"):
        await run(dataset=load_dataset("parity-3"))


# --- faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("late", [False, True], ids=["request lost", "answer lost"])
@pytest.mark.parametrize(
    ("calls", "lost", "level"),
    [
        ("probe", range(0, 1000, 3), "device-codes"),
        ("load write infer probe", range(0, 10_000, 4), "device-codes"),
        ("load write infer measure", range(0, 100_000, 50), "host-codes"),
        ("write", range(0, 100_000, 53), "host-codes"),
        ("load read infer learn", range(0, 10_000, 4), "learn"),
    ],
)
async def test_what_a_link_loses_is_repeated_to_the_same_digest(
    calls: str, lost: range, level: str, late: bool
) -> None:
    changes = (f"run.level={level}", "run.block=7", "training.probes=101")
    expected = end(await run(*changes))
    device = Flaky(calls, lost, late=late)
    events = await run(*changes, device=device)
    assert_same_end(end(events), expected)
    faults = of(events, Faulted)
    assert len(faults) == len([number for number in lost if number < device.number]) > 3
    assert all(isinstance(fault.error, LinkTimeout) and fault.error.uri == WIDE_CHIP for fault in faults)
    assert all(fault.attempt >= 1 for fault in faults)


async def test_parameters_that_a_lost_link_left_perturbed_are_written_again() -> None:
    """A measurement fails, and so does the write that should have restored θ: the next attempt must not take the
    perturbed parameters for the ones to be measured at."""
    changes = ("run.level=host-codes", "run.block=7", "training.probes=101")
    expected = end(await run(*changes))
    for start in range(20, 40):
        device = Flaky("measure write", range(start, start + 2))
        assert_same_end(end(await run(*changes, device=device)), expected)


async def test_a_fault_at_the_very_end_is_told_too() -> None:
    """Evaluations take place at 0, 77, 154, 231 and 301 probes; the last one is lost once."""
    events = await run(device=Flaky("infer", [4]))
    assert len(of(events, Faulted)) == 1
    assert events.index(of(events, Faulted)[0]) < len(events) - 1


@pytest.mark.parametrize("error", [LinkTimeout, LinkLost, LinkCorrupt])
@pytest.mark.parametrize("retries", [0, 1, 3])
async def test_a_link_that_stays_lost_ends_the_run_after_its_retries(
    error: type[LinkTimeout | LinkLost | LinkCorrupt], retries: int
) -> None:
    device = Flaky("probe", range(5, 1000), error=error)
    with pytest.raises(error, match=r"^sim:.*: no answer in 0\.1 s"):
        await run(f"run.retries={retries}", "run.block=7", device=device)
    assert device.number == 5 + 1 + retries
    just = Flaky("probe", range(5, 5 + retries), error=error)
    assert [event.attempt for event in of(await run(f"run.retries={retries}", device=just), Faulted)] == list(
        range(1, retries + 1)
    )


@pytest.mark.parametrize("what", ["nan", "inf", "-inf"])
async def test_a_cost_that_is_no_number_is_the_devices_fault(what: str) -> None:
    """The third block of seven begins at probe 14 - but 10 has an update, so at 10; its third cost is the culprit."""
    with pytest.raises(DeviceFault, match=r"^sim:.*: the cost of probe 12 is not a number; check the cost's range"):
        await run("run.block=7", device=Wrong(what))


@pytest.mark.parametrize("what", ["short", "short reference"])
async def test_a_wrong_number_of_costs_is_the_devices_fault(what: str) -> None:
    with pytest.raises(DeviceFault, match=r"^sim:.*: answered \d costs to a block of 7 probes"):
        await run("run.block=7", device=Wrong(what))


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
