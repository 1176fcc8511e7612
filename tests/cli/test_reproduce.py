"""`mgdhw reproduce` and `mgdhw baseline`, as people type them."""

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mgdhw.study.reproduce import published, summary

NETWORK = "sim:ideal?layers=64-{d}-10&activation=tanh&cost=xent&theta_lsb=2^-23&engine=reference"
TINY = ("--d", "1,2", "--seeds", "2", "--data", "digits", "--network", NETWORK, "--output", "here", "--json")
FIG3 = ("reproduce", "fig3", "--method", "weight", "--iterations", "10", *TINY)
NODES = ("reproduce", "fig3", "--method", "node", "--iterations", "3", *TINY)
FIG4 = ("reproduce", "fig4", "--method", "weight", "--method", "backprop", "--iterations", "10", *TINY)
REFERENCE = Path(__file__).parents[3] / "shared" / "reference"


@pytest.mark.parametrize(
    ("arguments", "columns"), [(FIG3, {"cosine"}), (NODES, {"cosine"}), (FIG4, {"cost_train", "cost_test", "accuracy"})]
)
def test_a_figure_has_rows_a_table_and_a_page(
    mgdhw: Callable[..., Any], arguments: tuple[str, ...], columns: set[str]
) -> None:
    ended = mgdhw(*arguments)
    assert ended.code == 0, ended.err
    result = json.loads(ended.out)
    of_runs = [row for row in result["rows"] if "iteration" in row]
    assert {(row["d"], row["seed"]) for row in of_runs} == {(1, 1), (1, 2), (2, 1), (2, 2)}
    assert all(columns < set(row) for row in of_runs)
    assert all({"target", "iterations"} < set(row) for row in result["rows"] if row not in of_runs)
    figure = arguments[1]
    assert len(list(csv.DictReader(Path(f"here/{figure}.csv").read_text().splitlines()))) == len(result["rows"])
    page = Path(f"here/{figure}.html").read_text()
    assert "<table>" in page
    assert "src=" not in page.replace('src="data:', "")


def test_kept_runs_are_not_repeated_and_a_killed_study_goes_on_to_the_same_rows(
    mgdhw: Callable[..., Any], tmp_path: Path
) -> None:
    whole = json.loads(mgdhw(*FIG3).out)
    killed = tmp_path / "killed"
    arguments = [*FIG3[:-2], str(killed), "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "mgdhw", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ,
    )
    while process.poll() is None and not list(killed.glob("fig3/*.json")):
        time.sleep(0.005)
    process.kill()
    process.wait()
    kept = {path: path.stat().st_mtime_ns for path in killed.glob("fig3/*.json")}
    assert kept
    assert json.loads(mgdhw(*arguments).out)["rows"] == whole["rows"]
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items())


def test_without_time_nothing_is_begun(mgdhw: Callable[..., Any]) -> None:
    result = json.loads(mgdhw(*FIG3, "--budget", "0s").out)
    assert (result["rows"], result["finished"]) == ([], False)


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [("--d", "0", "widths of 1 or more"), ("--budget", "soon", "90s, 30m or 2h"), ("--method", "adam", "weight, node")],
)
def test_a_wrong_option_is_explained(mgdhw: Callable[..., Any], option: str, value: str, says: str) -> None:
    ended = mgdhw("reproduce", "fig3", option, value)
    assert (ended.code, ended.out) == (1, "")
    assert says in ended.err


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="the published data are not here")
@pytest.mark.parametrize("name", ["cosine", "curves", "fig3", "fig4"])
def test_published_rows_are_those_published(name: str) -> None:
    assert published.table(name) == list(csv.DictReader((REFERENCE / f"{name}.csv").read_text().splitlines()))


def test_deviations_count_in_combined_standard_errors() -> None:
    rows = [{"method": "weight", "d": 1, "iteration": 1000, "cosine": value} for value in (0.96, 0.98)]
    (point,) = summary.points("fig3", rows)
    assert point.error == pytest.approx(0.01)
    assert point.deviation == pytest.approx((0.97 - 0.96336) / (0.01**2 + 0.00928**2 / 10) ** 0.5)


def test_an_exponent_is_the_slope_of_the_medians() -> None:
    times = [summary.Time("weight", d, 0.966, 1, 2.0 * summary.n_parameters(d), None) for d in (1, 2, 4)]
    (one,) = summary.exponents(times)
    assert one.value == pytest.approx(1.0)
    assert one.low == pytest.approx(1.0)
    assert one.high == pytest.approx(1.0)


def test_baseline_reports_as_train_does(mgdhw: Callable[..., Any]) -> None:
    same = ("--device", "sim:ideal?layers=64-4-10", "--set", "training.probes=200", "--json", "--quiet")
    trained, baseline = json.loads(mgdhw("train", *same).out), json.loads(mgdhw("baseline", *same).out)
    assert baseline.keys() == trained.keys()
    assert (baseline["probes"], baseline["updates"]) == (trained["probes"], trained["updates"])


def test_baseline_of_a_chip_says_that_there_is_none(mgdhw: Callable[..., Any]) -> None:
    ended = mgdhw("baseline", "--device", "sim:analog-8bit", "--json")
    assert (ended.code, ended.out) == (1, "")
    assert "does not know its true gradient" in ended.err
