"""Replicas side by side give each the bits that it has alone: in lanes of vectors, and in threads."""

from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mgdhw.learning.segment import Segment
from mgdhw.optimizers import OPTIMIZERS
from mgdhw_sim.engines import choose
from mgdhw_sim.engines.numba import kernel_args
from mgdhw_sim.engines.numba.replicas import fits_lanes
from mgdhw_sim.reference.chip import Chip
from tests.helpers.states import assert_same_state
from tests.sim.draws import draw_dataset, draw_effects
from tests.sim.engines.test_engines import STEPPED, draw_loaded, draw_rule, first_state

REFERENCE = choose("reference")
COMPILED = choose("numba")


@pytest.mark.long
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_in_lanes(optimizer: str) -> None:
    compared = 0
    for number in range(25):
        rng = Random(f"lanes {optimizer} {number}")
        chip, n = draw_loaded(rng)
        rule = draw_rule(rng, chip, n, optimizer, "random", update_period=rng.choice((1, 1, 4, 7)))
        rule = replace(rule, order=replace(rule.order, batch=rng.choice((1, 2, 5))))
        rules = [
            replace(
                rule,
                codes=replace(rule.codes, seed=rng.getrandbits(64)),
                order=replace(rule.order, seed=rng.getrandbits(64)),
            )
            for _ in range(rng.choice((2, 3, 16, 19)))
        ]
        states = [replace(first_state(chip, one), theta=first_state(chip, one).theta * rng.random()) for one in rules]
        cut = rng.randint(1, 59)
        expected = [REFERENCE.learn(chip, Segment(s, r, 60)) for s, r in zip(states, rules, strict=True)]
        segments = [Segment(s, r, cut) for s, r in zip(states, rules, strict=True)]
        compared += fits_lanes(chip, segments)
        halfway = COMPILED.learn_many(chip, segments)
        rest = [Segment(half.state, r, 60 - cut) for half, r in zip(halfway, rules, strict=True)]
        for ours, theirs in zip(COMPILED.learn_many(chip, rest), expected, strict=True):
            assert_same_state(ours.state, theirs.state)
        whole = COMPILED.learn_many(chip, [Segment(s, r, 60) for s, r in zip(states, rules, strict=True)])
        assert [one.cost for one in whole] == [one.cost for one in expected]
        for ours, theirs in zip(whole, expected, strict=True):
            assert (ours.last is None) == (theirs.last is None)
            if ours.last is not None and theirs.last is not None:
                assert ours.last.eta == theirs.last.eta
                assert np.isclose(ours.last.gradient_norm, theirs.last.gradient_norm, rtol=1e-12)
    assert compared >= 5  # the other chips' numbers are too large for lanes


@pytest.mark.parametrize("changes", STEPPED.values(), ids=STEPPED)
def test_other_updates_in_threads(changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_args, "processors", lambda: 2)
    chip, n = draw_loaded(Random(11))
    rule = draw_rule(Random(12), chip, n, "adam", "random", **changes)
    rule = replace(rule, order=replace(rule.order, batch=2))
    rules = [replace(rule, codes=replace(rule.codes, seed=seed), seed=seed) for seed in range(5)]
    segments = [Segment(first_state(chip, r), r, 40) for r in rules]
    for ours, segment in zip(COMPILED.learn_many(chip, segments), segments, strict=True):
        expected = REFERENCE.learn(chip, segment).state
        assert_same_state(ours.state, expected)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["energy", "oripov"])
def test_nonideal_chips_in_threads(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_args, "processors", lambda: 2)
    rng = Random(13)
    spec = draw_effects(rng, draw_loaded(rng)[0].spec)
    chip, dataset = Chip(spec), draw_dataset(rng, spec)
    chip.load(dataset)
    rule = draw_rule(rng, chip, dataset.n_samples, "adam", "random", normalise=kind)
    rules = [replace(rule, codes=replace(rule.codes, seed=seed)) for seed in range(5)]
    segments = [Segment(first_state(chip, r), r, 40) for r in rules]
    for ours, segment in zip(COMPILED.learn_many(chip, segments), segments, strict=True):
        expected = REFERENCE.learn(chip, segment).state
        assert_same_state(ours.state, expected)
        assert ours.state.cells.keys() == expected.cells.keys()
        for name, array in expected.cells.items():
            assert_array_equal(ours.state.cells[name], array)


def test_in_threads_where_lanes_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_args, "processors", lambda: 2)
    rng = Random(5)
    chip, n = draw_loaded(rng)
    rules = [draw_rule(Random(7), chip, n, "adam", "walsh", seed=seed) for seed in range(5)]
    rules = [replace(r, codes=replace(r.codes, seed=seed)) for seed, r in enumerate(rules)]
    segments = [Segment(first_state(chip, r), r, 40) for r in rules]
    assert not fits_lanes(chip, segments)
    for ours, segment in zip(COMPILED.learn_many(chip, segments), segments, strict=True):
        assert_same_state(ours.state, REFERENCE.learn(chip, segment).state)


def test_replicas_at_different_steps_do_not_go_side_by_side() -> None:
    rng = Random(11)
    chip, n = draw_loaded(rng)
    rule = draw_rule(rng, chip, n, "sgd", "random")
    first = first_state(chip, rule)
    later = COMPILED.learn(chip, Segment(first, rule, 5)).state
    segments = [Segment(first, rule, 5), Segment(later, rule, 5)]
    assert not fits_lanes(chip, segments)
    for ours, segment in zip(COMPILED.learn_many(chip, segments), segments, strict=True):
        assert_array_equal(ours.state.theta, REFERENCE.learn(chip, segment).state.theta)
