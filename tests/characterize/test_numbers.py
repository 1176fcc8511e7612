"""What a check makes of what it has measured: numbers by hand, without a device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from mgdhw.block import Baseline
from mgdhw.characterize.constant_predictor import constant_predictor_accuracy, constant_predictor_cost
from mgdhw.characterize.gradient_noise import fit_spread
from mgdhw.characterize.latency import fit_line
from mgdhw.characterize.learning_check import LearningCheck
from mgdhw.characterize.noise import Noise, allan_variance, drift
from mgdhw.characterize.response import amplitudes_of
from mgdhw.characterize.run import towards_usual
from mgdhw.characterize.sgd_model import SgdModel, best_update_plan, window_lengths
from mgdhw.costs import COSTS


def test_more_noise_on_many_samples_than_on_one_is_suspected() -> None:
    kept = Noise(4, 0.2, 0.02, 0.02, 0.0, 0.0, 1.0, ((1, 0.02),), np.zeros(9))
    assert not kept.unsettled
    assert replace(kept, sigma_single=0.01).unsettled
    assert not replace(kept, sigma_single=0.03).unsettled


def test_allan_variance_of_white_noise_falls_as_one_over_m_and_a_slope_is_found() -> None:
    white = np.random.default_rng(1).standard_normal(1 << 14)
    for m in (1, 4, 16, 64):
        assert allan_variance(white, m) * m == pytest.approx(1.0, rel=0.25)
    slope, error = drift(white + 1e-3 * np.arange(white.size))
    assert abs(slope - 1e-3) < 4 * error
    assert drift(np.zeros(100)) == (0.0, 0.0)


def test_amplitudes_are_powers_of_two_within_an_eighth_of_the_range() -> None:
    np.testing.assert_array_equal(amplitudes_of(8.0, 2.0**-5), [1, 2, 4, 8, 16, 32])
    many = amplitudes_of(8.0, 8.0 / 65536)
    assert (many.size, many[0], many[-1]) == (11, 1, 8192)
    np.testing.assert_array_equal(amplitudes_of(1.0, 1.0), [1])


def test_times_are_split_into_request_and_probe() -> None:
    fixed, per_probe = fit_line(tuple((k, 2e-3 + 5e-5 * k) for k in (1, 2, 8, 64, 128)))
    assert fixed == pytest.approx(2e-3)
    assert per_probe == pytest.approx(5e-5)
    assert fit_line(((1, 2e-3), (128, 1e-3)))[1] == 0.0


def test_spread_of_samples_from_the_power_at_each_batch() -> None:
    sizes, n = (1, 4, 16, 64), 1000
    power = 0.3 + 6.0 * (1 / np.array(sizes) - 1 / n)
    gradient, spread = fit_spread(sizes, power, n)
    assert (gradient, spread) == (pytest.approx(0.3), pytest.approx(6.0))
    assert fit_spread(sizes, np.array([0.9, 1.0, 1.1, 1.2]), n)[1] == 0.0
    assert fit_spread(sizes, 6.0 / np.array(sizes) - 0.09, n)[0] == 0.0


def fit_sgd_model(**changes: float) -> SgdModel:
    values: Mapping[str, float] = {
        "gradient": 1.0,
        "spread": 0.0,
        "noise": 0.0,
        "curvature": 0.0,
        "trace": 10.0,
        "along": 0.1,
        "drift": 0.0,
    }
    return SgdModel(parameters=100, **{**values, **changes})


def test_the_model_chooses_baselines_and_windows() -> None:
    clean = best_update_plan(fit_sgd_model(), 32)
    assert clean.baseline is Baseline.HELD
    assert 4 <= clean.tau <= 64  # √(tr(H) S / gᵀHg) = 10
    assert clean.eta == pytest.approx(1.0 / (0.1 + 10.0 / clean.tau))
    for disturbed in (fit_sgd_model(noise=10.0), fit_sgd_model(curvature=5.0), fit_sgd_model(drift=1.0)):
        assert best_update_plan(disturbed, 32).baseline is Baseline.ANTITHETIC
    assert best_update_plan(fit_sgd_model(noise=100.0), 32).tau == window_lengths(100)[-1]


def test_eta_is_near_the_usual_one_unless_pilots_want_much_less() -> None:
    assert towards_usual(0.05, 0.05) == pytest.approx(0.05)
    for far in (0.1, 0.4, 10.0):  # what is quick at first is not what lasts
        assert towards_usual(far, 0.05) == pytest.approx(0.05)
    assert towards_usual(0.05 / 4, 0.05) == pytest.approx(0.05 / 2**0.5)
    assert towards_usual(0.05 / 64, 0.05) == pytest.approx(0.05 / 2**4.5)


def test_windows_suit_the_number_of_parameters() -> None:
    assert window_lengths(1) == [1, 2, 4]
    assert window_lengths(1210) == [32, 64, 128]


def test_constant_answers_against_the_best_of_many() -> None:
    targets = np.eye(3)[[0, 0, 0, 1, 1, 2]]
    for kind, answers in (("mse", targets.mean(axis=0)), ("xent", np.log(targets.mean(axis=0)))):
        costs = [
            float(COSTS[kind](np.tile(answers + shift, (6, 1)), targets).mean())
            for shift in np.random.default_rng(2).normal(0, 0.1, (50, 3)) * np.linspace(0, 1, 50)[:, None]
        ]
        assert constant_predictor_cost(kind, targets) == pytest.approx(costs[0])
        assert min(costs) == costs[0]
    assert constant_predictor_accuracy(targets) == 0.5
    assert constant_predictor_accuracy(np.array([[1.0], [0.0], [0.0], [0.0]])) == 0.75
    assert constant_predictor_accuracy(np.array([[0.3], [0.8]])) is None


def test_a_pilot_that_answers_the_same_whatever_it_is_asked_has_learnt_nothing() -> None:
    constant = LearningCheck(
        cost=0.0899, constant=0.09, of_outputs=0.0899, error=1e-5, samples=256, accuracy=0.12, chance=0.1
    )
    assert not constant.seen
    assert replace(constant, cost=0.08).seen
    assert not replace(constant, cost=0.08, drifts=True).seen
    assert replace(constant, of_outputs=0.08, drifts=True).seen
    assert not replace(constant, cost=0.08, error=0.01).seen
    assert replace(constant, accuracy=0.3).seen  # a cost whose scale is off says nothing, its outputs do
    assert not replace(constant, accuracy=None, chance=None).seen
