"""What a link loses is repeated to the same bits, and nonsense is the fault of the device."""

import pytest

from mgdhw.errors import DeviceFault, LinkCorrupt, LinkLost, LinkTimeout
from mgdhw.training.events import Faulted
from tests.helpers.chips import WIDE_CHIP
from tests.helpers.events import end, of
from tests.helpers.faulty import Flaky, Wrong
from tests.training.trainings import assert_same_end, run


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
