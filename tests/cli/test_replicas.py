"""How a set of replicas is shown."""

from __future__ import annotations

import itertools
import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from mgdhw.cli import training_metrics
from mgdhw.cli.histogram import MOST_BINS, bar, bins
from mgdhw.cli.training_metrics import ReplicasMetrics
from mgdhw.datasets import load
from mgdhw.training.events import ReplicaFinished, ReplicasAdvanced, ReplicasStarted
from mgdhw.training.results import ReplicaResult
from mgdhw_sim.device import SimDevice
from mgdhw_sim.uri import parse
from tests.helpers.chips import WIDE_CHIP

GOOD = """
name = "xor"
[device]
uri = "sim:analog-8bit?layers=2-3-1&weight_range=8"
[data]
name = "xor"
[training]
probes = 3000
batch = 4
tau_theta = 16
init = "uniform"
[codes]
delta = 0.0625
[optimizer]
eta = 0.05
[evaluation]
every = 400
"""
AIMED = GOOD + "stop_at_accuracy = 1.0\nstop_at_cost = 0.1\n"


# --- histogram -------------------------------------------------------------------------------------------------------


def test_a_bin_has_what_happened_between_two_looks() -> None:
    found = bins([800, 400, 800, 1600], 400)
    assert [(one.low, one.high, one.count) for one in found] == [
        (0, 400, 1),
        (400, 800, 2),
        (800, 1200, 0),
        (1200, 1600, 1),
    ]


def test_what_was_solved_at_the_very_beginning_is_in_the_first_bin() -> None:
    assert [(one.low, one.high, one.count) for one in bins([0, 0, 400], 400)] == [(0, 400, 3)]


def test_no_values_no_bins() -> None:
    assert bins([], 1) == []


def test_many_values_share_few_round_bins() -> None:
    draw = random.Random(1)
    for size, spread, unit in itertools.product((1, 2, 300), (1, 10, 1000, 10**7), (1, 7, 400, 0.1)):
        values = [unit * draw.randrange(spread) for _ in range(size)]
        found = bins(values, unit)
        assert 1 <= len(found) <= MOST_BINS
        assert sum(one.count for one in found) == size
        assert found[0].count > 0
        assert found[-1].count > 0
        assert all(before.high == after.low for before, after in itertools.pairwise(found))
        assert min(values) >= found[0].low
        assert max(values) <= found[-1].high + 1e-6


def test_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [len(bar(count, 1000)) for count in (0, 1, 500, 1000)] == [0, 1, 20, 40]

    class Plain:
        encoding = "ascii"

    monkeypatch.setattr("mgdhw.cli.histogram.sys.stdout", Plain())
    assert bar(10, 10) == 40 * "#"


# --- metrics ---------------------------------------------------------------------------------------------------------


def started(*, has_target: bool) -> ReplicasStarted:
    return ReplicasStarted(SimDevice(WIDE_CHIP, parse(WIDE_CHIP)).info, load("xor"), "learn", 0.1, 4, 1000, has_target)


def finished(probes: int, reason: str) -> ReplicaFinished:
    return ReplicaFinished(ReplicaResult(0, 0, reason, 1.0, 0.1, probes, probes, 1, "00"), None)  # type: ignore[arg-type]


def test_time_left_counts_what_solved_replicas_leave_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(training_metrics.time, "monotonic", lambda: now)
    metrics = ReplicasMetrics()
    metrics(started(has_target=True))
    assert (metrics.share, metrics.time_left, metrics.fields()) == (0.0, "", ["0 of 4 solved"])
    now += 1.0
    metrics(ReplicasAdvanced(1000, 3000, 0.25))
    assert metrics.share == 0.25
    assert metrics.time_left == "at most 3.0 s left"
    metrics(finished(500, "target"))
    assert metrics.time_left == "at most 2.5 s left"
    assert metrics.fields() == ["1 of 4 solved", "mean training cost 0.2500", "1,000 probes/s"]
    metrics(ReplicasAdvanced(3500, 0, 0.05))
    assert (metrics.share, metrics.time_left) == (1.0, "")


def test_without_target_nothing_is_solved() -> None:
    metrics = ReplicasMetrics()
    metrics(started(has_target=False))
    metrics(finished(1000, "done"))
    assert metrics.fields() == ["1 of 4 finished"]


# --- command ---------------------------------------------------------------------------------------------------------


def test_a_pipe_gets_the_distribution_and_a_histogram(mgdhw: Any, tmp_path: Path) -> None:
    (tmp_path / "xor.toml").write_text(AIMED)
    done = mgdhw("train", "xor.toml", "--replicas", "6")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert not any(line.endswith(" ") or "\x1b" in line for line in lines)
    assert lines[1].startswith("learn, Δ = 0.0625, 6 replicas, saved in runs/xor-")
    summary = json.loads(next((tmp_path / "runs").glob("*/summary.json")).read_text())
    assert 0 < summary["solved"] < 6, "a test that has both"
    median = summary["time_to_solution"]["probes"]["median"]
    assert re.search(rf"^probes to solution +[\d,]+ +{median:,} ", done.out, re.MULTILINE)
    counts = [int(count) for count in re.findall(r"^ *[\d,]+ to [\d,]+ #*█* ?(\d+)$", done.out, re.MULTILINE)]
    assert sum(counts) == summary["solved"]
    assert re.search(rf"^ *unsolved █+ {6 - summary['solved']}$", done.out, re.MULTILINE)
    assert f"solved  {summary['solved']} of 6 replicas" in done.out


def test_json_is_the_summary_alone(mgdhw: Any, tmp_path: Path) -> None:
    (tmp_path / "xor.toml").write_text(AIMED)
    done = mgdhw("train", "xor.toml", "--replicas", "3", "--json", "--quiet")
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out) == json.loads(next((tmp_path / "runs").glob("*/summary.json")).read_text())


def test_without_target_the_accuracy_is_shown(mgdhw: Any, tmp_path: Path) -> None:
    (tmp_path / "xor.toml").write_text(GOOD)
    done = mgdhw("train", "xor.toml", "--replicas", "3", "--set", "training.probes=400")
    assert done.code == 0
    assert "note: there is no target, so nothing counts as solved" in done.out
    assert "solution" not in done.out
    assert "unsolved" not in done.out
    assert re.search(r"^train accuracy +\d", done.out, re.MULTILINE)
    assert re.search(r"^ *[\d.]+ % to [\d.]+ % █+ \d$", done.out, re.MULTILINE)
    assert "finished  3 of 3 replicas" in done.out
    assert re.search(r"^mean +[\d.]+ % ± [\d.]+ % \(standard deviation\), train accuracy$", done.out, re.MULTILINE)
