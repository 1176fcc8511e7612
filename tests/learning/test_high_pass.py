"""Continuous mode divides by what its high-pass filter leaves of each parameter's gradient, or says that it can't.

Statistical tests use fixed seeds, so they pass always or never.
"""

import re
from dataclasses import replace
from math import sqrt
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mgdhw.arrays import FloatArray
from mgdhw.block import CodeSpec, Costs
from mgdhw.codes import FAMILIES, Codes
from mgdhw.device import Capability, DeviceInfo
from mgdhw.errors import ConfigError
from mgdhw.experiment.load import parse_experiment
from mgdhw.learning.filters import FilterState, filter_block
from mgdhw.learning.gradient import Window
from mgdhw.learning.high_pass import filter_weight, gains
from mgdhw.learning.rule import LearningRule
from mgdhw.learning.state import TrainState
from mgdhw.learning.step import accumulate_costs
from mgdhw.topology import Topology
from mgdhw.training.prepare import learning_rule

NETWORK = Topology.dense((2, 2, 1))
P = NETWORK.n_parameters
LSB = 2.0**-10
AMPLITUDE = 64
KINDS = [
    pytest.param(family, groups, id=f"{family}-{groups}")
    for family in sorted(FAMILIES)
    for groups in ("all", "layer")
    if family != "sequential" and (family, groups) != ("sinusoidal", "layer")
]
"""What continuous mode takes."""


def info_of(topology: Topology) -> DeviceInfo:
    """Of a device with so many parameters."""
    can = Capability.PROBE | Capability.DETERMINISTIC
    return DeviceInfo("a device", "number 1", topology, -8.0, 8.0, LSB, 2, 1, "mse", 1.0, can)


def rule(*changes: str, topology: Topology = NETWORK) -> LearningRule:
    """Of continuous mode, as an experiment makes it."""
    fixed = ("training.mode=continuous", f"codes.delta={AMPLITUDE * LSB}", "training.init=uniform")
    return learning_rule(parse_experiment("", source="test", overrides=(*fixed, *changes)), info_of(topology), 10)[0]


def high_passed(costs: FloatArray, tau: float) -> FloatArray:
    """The filter along the first axis, as the 2023 paper writes it down; at rest at the first cost."""
    out = np.zeros_like(costs)
    for k in range(1, costs.shape[0]):
        out[k] = tau / (tau + 1) * (out[k - 1] + costs[k] - costs[k - 1])
    return out


# --- the gain itself --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tau", [0.5, 10.0, 40.0])
@pytest.mark.parametrize("n", [1, 9, 60])
@pytest.mark.parametrize(("amplitude", "close"), [(1000, 1e-5), (8, 5e-3), (1, 0.08)])
def test_gains_of_sines_are_those_of_the_filter_run_over_them(n: int, tau: float, amplitude: int, close: float) -> None:
    """Exactly those of the sine; how it is rounded to steps changes them a little."""
    codes = Codes(CodeSpec("sinusoidal", 3, amplitude), Topology(n))
    period = codes.window()
    settled = -(-int(40 * tau) // period) * period
    values = codes.values(0, settled + period).astype(np.float64)
    filtered = high_passed(values, tau)[settled:]
    found = (filtered * values[settled:]).sum(axis=0) / np.square(values[settled:]).sum(axis=0)
    assert_allclose(gains(codes, tau), found, rtol=close)


@pytest.mark.parametrize("tau", [0.5, 10.0, 1000.0])
@pytest.mark.parametrize("groups", ["all", "layer"])
def test_gains_of_walsh_codes_are_the_sum_over_all_pairs_of_a_period(groups: str, tau: float) -> None:
    """A period's random sign goes with every pair within it, and makes those across its borders cancel in the mean."""
    topology = Topology.dense((5, 6, 3))
    codes = Codes(CodeSpec("walsh", 3, 1, groups), topology)
    spacing, keep = len(codes.groups), tau / (tau + 1)
    for group in codes.groups:
        period = codes.family.window(group)
        signs = codes.family.values(codes.spec, group, np.arange(period)).astype(np.float64)
        lag = np.subtract.outer(np.arange(period), np.arange(period)) * spacing
        weight = np.where(lag > 0, -(1 - keep) * keep ** np.maximum(lag, 0.0), np.where(lag == 0, keep, 0.0))
        expected = np.einsum("ti,ts,si->i", signs, weight, signs) / period
        assert_allclose(gains(codes, tau)[group.start : group.start + group.size], expected, rtol=1e-11)


@pytest.mark.parametrize("family", ["random", "rank1", "sparse"])
def test_codes_without_memory_keep_the_filters_first_weight(family: str) -> None:
    assert_array_equal(gains(Codes(CodeSpec(family), NETWORK), 10.0), 10.0 / 11.0)


# --- the estimate -----------------------------------------------------------------------------------------------------

TAU_HP = 10.0
SETTLING = 256  # probes after which what the filter was before is forgotten: 10/11 to their power is 3e-11
PROBES = 3584  # whole periods of every code here
SEEDS = 60
STRICT = 6.5
"""Standard errors. Of 9 · 81 numbers one is beyond in 5e-8 of all cases if they are normal; by Student's law for sixty
seeds in 1e-5."""
ROUNDING = 1e-3  # of sines to steps


def estimates_of_each(family: str, groups: str) -> tuple[Codes, FloatArray]:
    """(SEEDS, P, P) estimates for parameter i where the cost is θⱼ; codes of one of the seeds."""
    changes = (f"codes.family={family}", f"codes.groups={groups}", "codes.density=0.5", f"training.tau_hp={TAU_HP}")
    rules = [rule(*changes, f"seed={seed}") for seed in range(SEEDS)]
    codes = [Codes(one.codes, NETWORK) for one in rules]
    values = np.stack([each.values(0, SETTLING + PROBES) for each in codes], axis=1).astype(np.float64)
    filtered = high_passed(values * LSB, TAU_HP)[SETTLING:]
    found = values[SETTLING:].transpose(1, 2, 0) @ filtered.transpose(1, 0, 2) / PROBES
    return codes[0], found * np.stack([one.filter_weight for one in rules])[:, :, None]  # type: ignore[misc]


@pytest.mark.parametrize(("family", "groups"), KINDS)
def test_the_estimate_of_a_linear_cost_is_unbiased(family: str, groups: str) -> None:
    """For each parameter it is that parameter's own gradient and nothing of the others'; undivided it is not."""
    codes, estimates = estimates_of_each(family, groups)
    allowed = STRICT * estimates.std(axis=0, ddof=1) / sqrt(SEEDS) + ROUNDING
    mean = estimates.mean(axis=0)
    assert (np.abs(mean - np.eye(P)) < allowed).all()

    undivided = mean * gains(codes, TAU_HP)[:, None]
    own = np.diag_indices(P)
    assert (np.abs(undivided - np.eye(P)) > allowed)[own].all()


def test_what_training_takes_in_ends_up_as_the_gradient() -> None:
    """Sines, whose estimates are the least noisy; undivided they would be some 6 % too small."""
    one = rule("codes.family=sinusoidal", "training.tau_theta=4000", "training.update_every=100000")
    codes, slope = Codes(one.codes, NETWORK), np.array([1.0, -2.0, 3.0, -1.0, 1.5, -3.0, 2.0, 1.0, -1.0])
    costs = codes.values(0, 28_000) @ (slope * LSB)
    state = TrainState(
        0, 0, np.zeros(P), {}, Window.empty(P, integer=False), FilterState.empty(P), None, 0, bytes(32)
    )  # fmt: skip
    measured = Costs(costs / one.scale, np.zeros_like(costs), costs.size)
    assert_allclose(accumulate_costs(state, measured, one, codes).filters.gradient, slope, rtol=0, atol=0.025)
    without = replace(one, filter_weight=None)
    assert (np.abs(accumulate_costs(state, measured, without, codes).filters.gradient / slope - 1.0) > 0.03).all()


@pytest.mark.parametrize(("family", "groups"), KINDS)
def test_filters_weigh_with_what_the_recipe_says(family: str, groups: str) -> None:
    """A block's filters are linear in the weight, and without one they divide by the mean square alone."""
    one = rule(f"codes.family={family}", f"codes.groups={groups}")
    codes = Codes(one.codes, NETWORK)
    costs = Costs(np.random.default_rng(1).normal(size=40), np.zeros(40), 40)
    fixed: dict[str, Any] = {"scale": 1.0, "theta_lsb": LSB, "tau_hp": TAU_HP, "tau_theta": 30.0}
    assert_array_equal(one.filter_weight, 1.0 / (codes.mean_square() * LSB * gains(codes, one.tau_hp)))
    plain = filter_block(FilterState.empty(P), costs, codes, 3, **fixed).gradient
    same = filter_block(
        FilterState.empty(P), costs, codes, 3, **fixed, weight=1.0 / (codes.mean_square() * LSB)
    ).gradient
    assert_array_equal(plain, same)
    divided = filter_block(FilterState.empty(P), costs, codes, 3, **fixed, weight=one.filter_weight).gradient
    assert_allclose(divided, plain / gains(codes, one.tau_hp), rtol=1e-12)


def test_windows_have_no_weight() -> None:
    assert rule("training.mode=discrete").filter_weight is None


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "changes", "parts"),
    [
        (220, ("codes.family=walsh",), ("a high-pass of 10 probes leaves 0.117", "walsh codes of 220 parameters")),
        (
            220,
            ("codes.family=walsh", "training.tau_hp=20"),
            ("20 probes leaves 0.234", "it takes 4.2 times the probes"),
        ),
        (60, ("codes.family=sinusoidal", "training.tau_hp=0.05"), ("sinusoidal codes of 60 parameters",)),
    ],
)
def test_too_little_to_divide_by_is_refused_with_what_would_do(
    n: int, changes: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigError, match=r"^training\.tau_hp: ") as refused:
        rule(*changes, topology=Topology(n))
    for part in parts:
        assert part in str(refused.value)
    found = re.search(r"expected (training\.tau_hp=\S+), or (codes\.family=\w+)", str(refused.value))
    assert found is not None
    for remedy in found.groups():
        assert rule(*changes, remedy, topology=Topology(n)).filter_weight is not None


@pytest.mark.parametrize("tau", [5e-324, 1e-9])
def test_no_time_constant_is_too_short_to_say_so(tau: float) -> None:
    with pytest.raises(ConfigError, match=r"^training\.tau_hp: expected at least 0\.001 probes"):
        rule(f"training.tau_hp={tau!r}")


@pytest.mark.parametrize("family", ["random", "walsh", "sinusoidal"])
def test_a_filter_as_slow_as_can_be_weakens_nothing(family: str) -> None:
    one = rule(f"codes.family={family}", "training.tau_hp=1e308")
    assert_array_equal(gains(Codes(one.codes, NETWORK), 1e308), 1.0)


@pytest.mark.parametrize("n", [2, 13, 30])
def test_the_bound_is_four_times_the_variance_that_white_noise_makes_without_a_filter(n: int) -> None:
    """Of walsh codes: Σₖ (H noise)ₖ θ̃ₖ is a sum of noise, weighted by the filter run backwards over the code."""
    codes = Codes(CodeSpec("walsh", 3, 1), Topology(n))
    values = codes.values(0, 6000).astype(np.float64)
    taken = 0
    for tau in (0.5, 1.0, 2.0, 4.0, 8.0):
        backwards = high_passed(values[::-1], tau)[1000:]
        variance = (np.square(backwards).mean(axis=0) / np.square(gains(codes, tau))).max()
        if variance > 4.4:  # a little of it is chance: the codes' own signs
            with pytest.raises(ConfigError):
                filter_weight(codes, tau, LSB)
        elif variance < 3.6:
            taken += filter_weight(codes, tau, LSB).size
    assert taken


def test_sequential_codes_are_refused_for_they_lose_what_gradients_have_in_common() -> None:
    """However long the time constant: one parameter after the other, all to one side, is a constant cost."""
    with pytest.raises(ConfigError, match=r"^codes\.family: in continuous mode sequential codes.*codes\.family=random"):
        rule("codes.family=sequential")
    for tau in (10.0, 1000.0):
        values = Codes(CodeSpec("sequential"), NETWORK).values(0, int(40 * tau) // P * P + P).astype(np.float64)
        own = high_passed(values, tau)
        seen = values[-P:].T @ own[-P:]
        assert np.diag(seen).min() > 0.8
        assert_allclose(seen.sum(axis=1), 0.0, atol=1e-9)


def test_sines_in_layers_that_take_turns_are_refused_for_they_have_the_same_frequencies() -> None:
    topology = Topology.dense((2, 2, 2))
    with pytest.raises(ConfigError, match=r"^codes\.family: in continuous mode sinusoidal codes .*codes\.groups=all"):
        rule("codes.family=sinusoidal", "codes.groups=layer", topology=topology)
    assert rule("codes.family=sinusoidal", "codes.groups=layer", topology=Topology.dense((2, 2))).continuous
    codes = Codes(CodeSpec("sinusoidal", 1, AMPLITUDE, "layer"), topology)
    values = codes.values(0, 400 // codes.window() * codes.window() + codes.window()).astype(np.float64)
    last = slice(-codes.window(), None)
    seen = values[last].T @ high_passed(values, TAU_HP)[last] / np.square(values[last]).sum(axis=0)
    layers = [layer.parameters for layer in topology.layers]
    assert np.abs(seen[layers[0], layers[1]]).max() > 0.02


def test_an_amplitude_of_each_layers_own_is_in_the_weight() -> None:
    spec = CodeSpec("random", 3, 8, amplitudes=(8, 2))
    weight = filter_weight(Codes(spec, NETWORK), TAU_HP, LSB)
    for layer, amplitude in zip(NETWORK.layers, spec.amplitudes, strict=True):
        plain = filter_weight(Codes(replace(spec, amplitude=amplitude, amplitudes=()), NETWORK), TAU_HP, LSB)
        assert_array_equal(weight[layer.parameters], plain[layer.parameters])
