"""The distribution of the time to solution."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import pytest

from mgdhw.training.results import ReplicaResult, ReplicasResult, quartiles

INF = math.inf


def replica(number: int, probes: int | None, accuracy: float = 0.9) -> ReplicaResult:
    """One that was solved after so many probes, or was not."""
    reason, done = ("done", 1000) if probes is None else ("target", probes)
    return ReplicaResult(number, 7 + number, reason, accuracy, 0.25, done, 2 * done, done // 10, f"{number:064x}")


def result(times: Sequence[int | None], asked: int | None = None) -> ReplicasResult:
    replicas = tuple(replica(number, time) for number, time in enumerate(times))
    return ReplicasResult("done", asked or len(times), True, 100, replicas, "test", 1.5, None)


@pytest.mark.parametrize(
    ("times", "lower", "median", "upper"),
    [
        ([300], 300, 300, 300),
        ([400, 100, 300, 200], 100, 200, 300),
        ([100, 200, 300, 400, 500], 200, 300, 400),
        ([100, None], 100, 100, INF),
        ([100, None, None], 100, INF, INF),
        ([100, 200, None], 100, 200, INF),
        ([None, None], INF, INF, INF),
        ([None, 100, None, None], 100, INF, INF),
    ],
)
def test_quartiles_are_times_within_which_that_share_is_solved(
    times: list[int | None], lower: float, median: float, upper: float
) -> None:
    found = result(times).quartiles()
    assert (found.lower, found.median, found.upper) == (lower, median, upper)
    assert result(times).median() == median


@pytest.mark.parametrize("n", range(1, 12))
def test_a_median_exists_exactly_where_half_are_solved(n: int) -> None:
    for solved in range(n + 1):
        found = result([10 * k for k in range(solved)] + [None] * (n - solved))
        assert math.isfinite(found.median()) == (2 * solved >= n)
        assert found.fraction_solved == solved / n


def test_time_is_told_in_probes_evaluations_and_updates() -> None:
    found = result([100, 200, 300])
    assert (found.median("probes"), found.median("evaluations"), found.median("updates")) == (200, 400, 20)
    assert found.probes == 600


def test_replicas_that_are_not_finished_count_as_unsolved() -> None:
    found = result([100, 200], asked=5)
    assert found.fraction_solved == 0.4
    assert found.times() == [100, 200, INF, INF, INF]
    assert found.median() == INF


def test_the_digest_is_of_all_replicas() -> None:
    some = [result([None] * n).digest for n in range(4)]
    assert len(set(some)) == 4
    assert result([100, 200]).digest == some[2], "the replicas' own digests say how they got there"


def test_the_summary_is_json() -> None:
    summary = json.loads(json.dumps(result([100, None, None]).summary(), allow_nan=False))
    assert summary["time_to_solution"]["probes"] == {"lower": 100, "median": None, "upper": None}
    assert summary["accuracy"] == {"lower": 0.9, "median": 0.9, "upper": 0.9}
    assert (summary["mean_accuracy"], summary["accuracy_deviation"]) == (pytest.approx(0.9), pytest.approx(0.0))
    assert (summary["replicas"], summary["finished"], summary["solved"]) == (3, 3, 1)


def test_nothing_finished_is_no_number() -> None:
    assert result([], asked=3).summary()["accuracy"] == {"lower": None, "median": None, "upper": None}
    assert result([], asked=3).summary()["mean_accuracy"] is None
    assert math.isnan(quartiles([]).median)
