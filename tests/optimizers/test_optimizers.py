"""Optimizers against the papers' recursions, written one number at a time: equal to the bit."""

from collections.abc import Callable
from dataclasses import fields
from math import sqrt
from random import Random
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mgdhw.optimizers import OPTIMIZERS, Optimizer

P = 7
UPDATES = 60
Scalar = Callable[..., tuple[float, dict[str, float]]]

# Each takes θ, ĝ, η, what it remembers (zeros and ones at first) and its parameters.


def sgd(theta: float, g: float, eta: float, s: dict[str, float]) -> tuple[float, dict[str, float]]:
    return theta - eta * g, s


def momentum(theta: float, g: float, eta: float, s: dict[str, float], beta: float) -> tuple[float, dict[str, float]]:
    m = beta * s.get("m", 0.0) + g
    return theta - eta * m, {"m": m}


def nesterov(theta: float, g: float, eta: float, s: dict[str, float], beta: float) -> tuple[float, dict[str, float]]:
    m = beta * s.get("m", 0.0) + g
    return theta - eta * (g + beta * m), {"m": m}


def rmsprop(
    theta: float, g: float, eta: float, s: dict[str, float], rho: float, epsilon: float
) -> tuple[float, dict[str, float]]:
    v = rho * s.get("v", 0.0) + (1.0 - rho) * (g * g)
    return theta - eta * g / (sqrt(v) + epsilon), {"v": v}


def adam(
    theta: float,
    g: float,
    eta: float,
    s: dict[str, float],
    beta1: float,
    beta2: float,
    epsilon: float,
    bias_correction: bool,
) -> tuple[float, dict[str, float]]:
    m = beta1 * s.get("m", 0.0) + (1.0 - beta1) * g
    v = beta2 * s.get("v", 0.0) + (1.0 - beta2) * (g * g)
    power1, power2 = s.get("p1", 1.0) * beta1, s.get("p2", 1.0) * beta2
    m_hat, v_hat = (m / (1.0 - power1), v / (1.0 - power2)) if bias_correction else (m, v)
    return theta - eta * m_hat / (sqrt(v_hat) + epsilon), {"m": m, "v": v, "p1": power1, "p2": power2}


def adamw(
    theta: float, g: float, eta: float, s: dict[str, float], weight_decay: float, **parameters: Any
) -> tuple[float, dict[str, float]]:
    return adam(theta - eta * weight_decay * theta, g, eta, s, **parameters)


ADAM = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "bias_correction": True}
PLAIN: dict[str, tuple[Scalar, dict[str, Any]]] = {
    "sgd": (sgd, {}),
    "momentum": (momentum, {"beta": 0.9}),
    "nesterov": (nesterov, {"beta": 0.9}),
    "rmsprop": (rmsprop, {"rho": 0.99, "epsilon": 1e-8}),
    "adam": (adam, ADAM),
    "adamw": (adamw, {**ADAM, "weight_decay": 0.01}),
}
CHANGED: dict[str, list[dict[str, Any]]] = {
    "momentum": [{"beta": 0.3}, {"beta": 0.0}],
    "nesterov": [{"beta": 0.3}],
    "rmsprop": [{"rho": 0.5, "epsilon": 0.1}],
    "adam": [{"beta1": 0.0, "beta2": 0.5}, {"bias_correction": False, "epsilon": 1e-3}],
    "adamw": [{"weight_decay": 0.3, "bias_correction": False}],
}
VARIANTS = [
    pytest.param(name, change, id=f"{name}{change or ''}")
    for name in OPTIMIZERS
    for change in ({}, *CHANGED.get(name, []))
]


def gradients(seed: int = 1) -> list[list[float]]:
    """Large and tiny ones, and zeros."""
    rng = Random(seed)
    return [[rng.choice((0.0, rng.gauss(0, 1), rng.gauss(0, 1e-9))) for _ in range(P)] for _ in range(UPDATES)]


def etas() -> list[float]:
    return [0.1 / (1 + update) for update in range(UPDATES)]


@pytest.mark.parametrize(("name", "change"), VARIANTS)
def test_every_optimizer_is_its_recursion_to_the_bit(name: str, change: dict[str, Any]) -> None:
    scalar, defaults = PLAIN[name]  # a new optimizer needs its recursion written here
    optimizer = OPTIMIZERS[name](**change)
    theta, state = np.linspace(-1.0, 1.0, P), optimizer.init(P)
    plain: list[float] = theta.tolist()
    remembered: list[dict[str, float]] = [{} for _ in plain]
    for g, eta in zip(gradients(), etas(), strict=True):
        theta, state = optimizer.update(theta, np.array(g), eta, state)
        for i in range(P):
            plain[i], remembered[i] = scalar(plain[i], g[i], eta, remembered[i], **{**defaults, **change})
        assert theta.tolist() == plain


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_defaults_are_the_ones_written_here(name: str) -> None:
    assert {f.name: f.default for f in fields(OPTIMIZERS[name])} == PLAIN[name][1]  # type: ignore[arg-type]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_nothing_is_changed_in_place_and_nothing_is_remembered_elsewhere(name: str) -> None:
    """So a checkpoint of the state is all that it takes to go on."""
    optimizer: Optimizer = OPTIMIZERS[name]()
    theta, state = np.linspace(-1.0, 1.0, P), optimizer.init(P)
    for g, eta in zip(gradients(), etas(), strict=True):
        g_before, theta_before = np.array(g), theta.copy()
        before = {key: value.copy() for key, value in state.items()}
        given = np.array(g)
        for array in (theta, given, *state.values()):
            array.flags.writeable = False
        new_theta, new_state = optimizer.update(theta, given, eta, state)
        again_theta, again_state = OPTIMIZERS[name]().update(theta_before, g_before, eta, before)
        assert_array_equal(theta, theta_before)
        assert_array_equal(again_theta, new_theta)
        assert new_state.keys() == state.keys()
        for key, value in new_state.items():
            assert_array_equal(again_state[key], value)
            assert_array_equal(before[key], state[key])
            assert value.dtype == np.float64
            assert value.shape in ((P,), ())
        theta, state = new_theta.copy(), {key: value.copy() for key, value in new_state.items()}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_goes_down_a_bowl(name: str) -> None:
    optimizer = OPTIMIZERS[name]()
    theta, state = np.linspace(-1.0, 1.0, P), optimizer.init(P)
    for _ in range(400):
        theta, state = optimizer.update(theta, 2 * theta, 0.01, state)
    assert np.abs(theta).max() < 0.05


@pytest.mark.parametrize("name", sorted(set(OPTIMIZERS) - {"adamw"}))
def test_without_a_gradient_nothing_moves(name: str) -> None:
    optimizer = OPTIMIZERS[name]()
    theta, _ = optimizer.update(np.ones(P), np.zeros(P), 0.1, optimizer.init(P))
    assert_array_equal(theta, np.ones(P))
