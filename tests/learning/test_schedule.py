"""Learning rates over time."""

from itertools import pairwise
from math import cos, pi

import pytest

from mgdhw.learning.schedule import SCHEDULES, Progress, ScheduleSpec, rate

UPDATES = 1000


def course(spec: ScheduleSpec, updates: int = UPDATES) -> list[float]:
    return [rate(spec, Progress(update, updates)) for update in range(updates)]


def test_constant_is_one() -> None:
    assert set(course(ScheduleSpec())) == {1.0}


@pytest.mark.parametrize("final", [0.0, 0.1, 1.0])
def test_cosine_is_half_a_cosine(final: float) -> None:
    expected = [final + (1 - final) * (1 + cos(pi * update / UPDATES)) / 2 for update in range(UPDATES)]
    assert course(ScheduleSpec("cosine", final=final)) == pytest.approx(expected, abs=1e-7)


def test_cosine_begins_at_one_passes_the_middle_and_ends_at_final() -> None:
    spec = ScheduleSpec("cosine", final=0.25)
    assert rate(spec, Progress(0, UPDATES)) == pytest.approx(1.0, abs=1e-7)
    assert rate(spec, Progress(UPDATES // 2, UPDATES)) == 0.625
    assert rate(spec, Progress(UPDATES, UPDATES)) == pytest.approx(0.25, abs=1e-7)


@pytest.mark.parametrize(("every", "drops"), [(0.25, 3), (0.34, 2), (0.5, 1), (1.0, 0), (0.1, 9)])
def test_step_drops_after_every_part_of_the_run(every: float, drops: int) -> None:
    """`drops` of them lie before the end; the rate between them is a power of `drop`."""
    rates = course(ScheduleSpec("step", drop=0.5, every=every))
    assert sorted(set(rates), reverse=True) == [0.5**k for k in range(drops + 1)]
    assert rates == sorted(rates, reverse=True)
    for k in range(1, drops + 1):
        assert abs(rates.index(0.5**k) - k * every * UPDATES) <= 1


def test_inverse_is_half_after_tau() -> None:
    spec = ScheduleSpec("1/t", tau=0.2)
    rates = course(spec)
    assert rates[0] == 1.0
    assert rates[200] == 0.5
    assert rates == [1.0 / (1.0 + update / UPDATES / 0.2) for update in range(UPDATES)]


@pytest.mark.parametrize("name", SCHEDULES)
def test_no_schedule_rises_or_leaves_its_bounds(name: str) -> None:
    rates = course(ScheduleSpec(name))
    assert all(0.0 <= later <= earlier + 1e-12 for earlier, later in pairwise(rates))
    assert rates[0] == pytest.approx(1.0, abs=1e-7)
    assert max(rates) <= 1.0 + 1e-7


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_run_of_no_or_one_update_has_its_first_rate(name: str) -> None:
    assert (
        rate(ScheduleSpec(name), Progress(0, 0))
        == rate(ScheduleSpec(name), Progress(0, 1))
        == course(ScheduleSpec(name))[0]
    )


def test_fraction_goes_from_zero_to_below_one() -> None:
    assert [Progress(update, 4).fraction for update in range(4)] == [0.0, 0.25, 0.5, 0.75]
    assert Progress(0, 0).fraction == 0.0
