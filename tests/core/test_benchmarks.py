"""What the benchmarks say about their peers: who is quoted, what settings are chosen on, and that peers learn."""

import importlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from mgdhw.datasets import load
from tests.helpers.paths import ROOT

SCRIPTS = ROOT / "bench_scripts"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Imports a module of the benchmarks, which lie side by side and are no package."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if str(SCRIPTS) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_a_race_is_quoted_by_its_fastest_peer(bench: Callable[[str], Any], capsys: pytest.CaptureFixture[str]) -> None:
    speed, row = bench("speed"), bench("common").Row
    rows = [
        row("a", "single", 6.0, 1.0, "slow", "ours >= 6 x peer", True),
        row("a", "single", 6.0, 8.0, "fast", "ours >= 6 x peer", False),
        row("c'", "rank1", 90.0, 20.0, "only", "ours >= 3 x peer", True),
        row("d", "growth", 0.1, target="ours <= 0.05", holds=False),
        row("f", "train", 2.0, 50.0, "engine=reference, in all", "ours <= 5 s", True),
    ]
    assert [one.peer_name for one in speed.fastest(rows)] == ["fast", "only"]
    speed.quote(rows)
    out = capsys.readouterr().out
    assert "slow" not in out
    assert "NO" in out
    assert out.splitlines()[-1] == "fall short of their bar: a single, d growth"


def test_every_race_has_peers_that_do_the_same_work(bench: Callable[[str], Any]) -> None:
    speed = bench("speed")
    for race in speed.RACES:
        rank1 = bench("cases").CASES[race.case].codes == "rank1"
        assert all(("rank1" in name) == rank1 for name in race.peers), race
        assert len(set(race.peers.values()) - {20}) == 1, "one bar for all compiled peers, whoever is fastest"


def test_settings_are_chosen_without_a_look_at_the_test_samples(bench: Callable[[str], Any]) -> None:
    accuracy = bench("accuracy")
    whole = load("digits", seed=0)
    parts = accuracy.folds(whole)
    kept_back = [part.inputs[part.n_train :] for part in parts]
    np.testing.assert_array_equal(np.concatenate(kept_back), whole.inputs[: whole.n_train])
    for part in parts:
        assert part.n_samples == whole.n_train
        assert sorted(map(bytes, part.inputs)) == sorted(map(bytes, whole.inputs[: whole.n_train]))
    assert not set(accuracy.CHOOSING) & set(accuracy.SEEDS)
    assert len(accuracy.SEEDS) == 20
    assert accuracy.EXPERIMENT["codes"]["delta"] == 2**-5


def test_the_gradient_of_the_peer_is_the_slope_of_its_cost(bench: Callable[[str], Any]) -> None:
    backprop = bench("backprop")
    network = backprop.Network.like("sim:analog-8bit?layers=3-4-2", (0, 1))
    generator = np.random.default_rng(0)
    x, t = generator.random((2, 5, 3)), generator.random((2, 5, 2))

    def cost() -> Any:
        return np.square(network.outputs(x)[-1] - t).mean(axis=(1, 2))

    for parameter, slope in zip(network.parameters, network.slopes(x, t), strict=True):
        at = (slice(None), 0, 1)
        middle = parameter[at].copy()
        parameter[at] = middle + 1e-6
        above = cost()
        parameter[at] = middle - 1e-6
        np.testing.assert_allclose((above - cost()) / 2e-6, slope[at], rtol=1e-6)
        parameter[at] = middle


def test_adamw_is_adam_with_a_decay_apart_from_the_gradient(bench: Callable[[str], Any]) -> None:
    theta = [np.array([2.0, -1.0])]
    method = bench("backprop").AdamW(theta, decay=0.5)
    method.update(theta, [np.array([3.0, 0.0])], 0.1)
    np.testing.assert_allclose(theta[0], [2.0 * 0.95 - 0.1, -0.95])  # a first step is one of η, whatever the slope


def cost_of(task: Any, theta: Any) -> float:
    x, at = task.inputs, 0
    for n_in, n_out in pairwise(task.case.layers):
        weights, bias = theta[at : at + n_in * n_out].reshape(n_out, n_in), at + n_in * n_out
        x = 1 / (1 + np.exp(-(x @ weights.T + theta[bias : bias + n_out])))
        at = bias + n_out
    return float(np.square(x - task.targets).mean())


@pytest.mark.long
@pytest.mark.parametrize(("letter", "replicas"), [("a", 1), ("a", 64), ("b", 1), ("b", 2)])
def test_the_compiled_loop_learns(bench: Callable[[str], Any], letter: str, replicas: int) -> None:
    task, peer = bench("peers.task"), bench("peers.numba_loop")
    given = replace(task._task(letter, replicas, "random"), eta=0.2 if letter == "a" else 0.02)
    run, theta, words = peer.begin(given)
    run(theta, given.inputs, given.targets, words, 100_000)
    learned = theta.transpose(0, 2, 1).reshape(replicas, -1) if theta.ndim == 3 else theta
    costs = [cost_of(given, one) for one in learned]
    assert np.median(costs) < 0.1 * cost_of(given, given.theta[0])
    assert len(set(costs)) == replicas, "each goes its own way"


@pytest.mark.long
def test_jax_with_rank1_codes_learns(bench: Callable[[str], Any]) -> None:
    jax = pytest.importorskip("jax")
    task, peer = bench("peers.task"), bench("peers.jax_rank1")
    given = task._task("b", 1, "random")
    given = replace(given, case=replace(given.case, batch=64, period=100, codes="rank1"), eta=2.0)
    training, layers, key = peer.Training(given), peer.begin(given), jax.random.key(1)
    run = jax.jit(training.run)
    for _ in range(40):
        layers, key = run(layers, key)
    theta = np.concatenate([np.ravel(part) for layer in layers for part in layer])
    assert cost_of(given, theta) < 0.1 * cost_of(given, given.theta[0])
