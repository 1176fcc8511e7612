"""From costs and codes to a gradient: exact sums, plain formulas, and the truth on a chip that is nearly ideal.

The gradient that estimates are compared with is a central difference of the chip's own costs. Statistical tests use
fixed seeds, so they pass always or never.
"""

from collections.abc import Callable
from dataclasses import replace
from math import sqrt
from random import Random as PlainRandom
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mgdhw.arrays import FloatArray, IntArray
from mgdhw.block import Baseline, Block, CodeSpec, Costs
from mgdhw.codes import FAMILIES, Codes, Group, generator
from mgdhw.codes.base import CodeArray
from mgdhw.codes.random import Random
from mgdhw.datasets import Dataset
from mgdhw.learning import gradient
from mgdhw.learning.filters import FilterState, filter_block
from mgdhw.learning.gradient import Window, accumulate, cost_difference, cost_scale, estimate, oripov_scaled
from mgdhw.random.philox import Stream, bits, words
from mgdhw.random.sample_order import SampleOrder
from mgdhw.testing.stimuli import parameters_for
from mgdhw.topology import Topology
from mgdhw_sim.reference.chip import Chip
from mgdhw_sim.uri import parse

KINDS = [pytest.param(family, groups, id=f"{family}-{groups}") for family in FAMILIES for groups in ("all", "layer")]
NETWORK = Topology.dense((3, 2, 2))
P = NETWORK.n_parameters


# --- a chip, and what its gradient really is --------------------------------------------------------------------------

SAMPLES = 5
STEP = 256  # parameter codes of a central difference: 2 % of the parameters' unit, 0.1 % off by the third derivative


def uniform(seed: int, *shape: int) -> FloatArray:
    """Numbers within ±1."""
    drawn = words(seed, Stream.DATA, [0], int(np.prod(shape)))[0]
    return drawn.reshape(shape).astype(np.float64) * 2.0**-31 - 1.0


def some_chip(sizes: str, seed: int = 1) -> Chip:
    """An ideal-16bit chip with data and parameters."""
    chip = Chip(parse(f"sim:ideal-16bit?layers={sizes}"))
    n_in, n_out = chip.spec.layers[0], chip.spec.layers[-1]
    chip.load(Dataset("some", uniform(1, SAMPLES, n_in) / 2 + 0.5, 1.0, np.eye(n_out)[np.arange(SAMPLES) % n_out], 5))
    chip.codes = np.rint(uniform(seed, chip.topology.n_parameters) * 1.5 / chip.spec.weight_lsb).astype(np.int64)
    return chip


def central_difference(chip: Chip) -> FloatArray:
    """(P,) gradient of the mean cost, in cost units per parameter unit."""
    steps = STEP * np.eye(chip.topology.n_parameters, dtype=np.int64)
    samples = np.broadcast_to(np.arange(SAMPLES), (len(steps), SAMPLES))
    difference = chip.cost(chip.codes + steps, samples) - chip.cost(chip.codes - steps, samples)
    return np.asarray(difference * chip.spec.cost_lsb / SAMPLES / (2 * STEP * chip.spec.weight_lsb))


def estimated(
    chip: Chip, codes: CodeSpec, first_step: int, probes: int, baseline: Baseline = Baseline.HELD
) -> FloatArray:
    """(P,) ĝ over one window, every probe on all samples."""
    block = Block(first_step, probes, codes, SampleOrder(1, SAMPLES, SAMPLES, tau_x=1 << 60), baseline)
    window = accumulate(
        Window.empty(chip.topology.n_parameters), chip.probe(block), Codes(codes, chip.topology), first_step
    )
    return estimate(window, cost_scale(chip.spec.cost_lsb, SAMPLES, baseline), chip.spec.weight_lsb)


def cosine(a: FloatArray, b: FloatArray) -> float:
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def full_window(codes: Codes) -> int:
    """Probes of a window over which the codes are orthogonal, or nearly so."""
    window = codes.window()
    return window if window > len(codes.groups) else 300 * codes.topology.n_parameters * len(codes.groups)


@pytest.mark.parametrize(("family", "groups"), KINDS)
@pytest.mark.parametrize("seed", [1, 2])
def test_over_a_full_window_the_estimate_points_along_the_gradient(family: str, groups: str, seed: int) -> None:
    chip = some_chip("4-3-2", seed)
    spec = CodeSpec(family, seed, amplitude=64, groups=groups, parameters=parameters_for(family))
    truth, codes = central_difference(chip), Codes(spec, chip.topology)
    for baseline in (Baseline.HELD, Baseline.EVERY, Baseline.ANTITHETIC):
        found = estimated(chip, spec, 0, full_window(codes), baseline)
        assert cosine(found, truth) >= 0.99
        assert sqrt(found @ found) == pytest.approx(sqrt(truth @ truth), rel=0.1)
        if full_window(codes) == codes.window():  # no crosstalk, so the weaker layer's is as good
            for layer in chip.topology.layers:
                assert cosine(found[layer.parameters], truth[layer.parameters]) >= 0.99


def worst_bias(chip: Chip, spec: CodeSpec, windows: int) -> float:
    """How far the mean of many windows is from the gradient, at worst, for any parameter or any layer's length.

    In standard errors, after an allowance of 1 % of the layer's gradient for the curvature, the chip's grid and the
    central difference, which families without chance are left with.
    """
    codes, truth = Codes(spec, chip.topology), central_difference(chip)
    size = max(codes.window(), 16)
    found = np.array([estimated(chip, spec, window * size, size) for window in range(windows)])
    worst = 0.0
    for layer in chip.topology.layers:
        part, want = found[:, layer.parameters], truth[layer.parameters]
        length = sqrt(want @ want)
        measured = np.column_stack([part, part @ want / length])
        wanted = np.append(want, length)
        error = measured.std(axis=0, ddof=1) / sqrt(windows)
        excess = np.maximum(np.abs(measured.mean(axis=0) - wanted) - 0.01 * length, 0)
        worst = max(worst, float((excess / np.maximum(error, 1e-12)).max()))
    return worst


@pytest.mark.parametrize(("family", "groups"), KINDS)
def test_the_estimate_is_unbiased_in_every_layer(family: str, groups: str) -> None:
    """Within four standard errors over 600 windows, parameter by parameter and along each layer's gradient.

    Beyond them by chance: 25 values, 6e-5 each, so a false-alarm rate of 0.2 % (less for the 1 % allowed).
    """
    spec = CodeSpec(family, 3, amplitude=64, groups=groups, parameters=parameters_for(family))
    assert worst_bias(some_chip("4-3-2"), spec, 600) < 4.0


class OneKey(Random):
    """The mistake of a peer: each layer draws its signs as if it were the only one."""

    name = "one-key"

    def values(self, spec: CodeSpec, group: Group, steps: IntArray) -> CodeArray:
        sizes = [matrix.n_out * (matrix.n_in + 1) for matrix in group.matrices]
        drawn = [bits(spec.seed, Stream.CODES, steps, size).astype(np.int16) * 2 - 1 for size in sizes]
        return np.asarray(np.concatenate(drawn, axis=1) * spec.amplitude, dtype=np.int16)


def test_one_key_for_every_layer_is_seen_to_be_biased(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers of equal shape see each other's gradient, however long the window."""
    monkeypatch.setitem(FAMILIES, OneKey.name, OneKey)
    chip, broken = some_chip("3-3-3-3"), CodeSpec("one-key", 3, amplitude=64)
    try:
        assert worst_bias(chip, broken, 600) > 10.0
        assert cosine(estimated(chip, broken, 0, 20_000), central_difference(chip)) < 0.9
        assert cosine(estimated(chip, replace(broken, family="random"), 0, 20_000), central_difference(chip)) > 0.99
    finally:
        generator._chunk.cache_clear()


def test_held_and_every_agree_to_the_bit_at_frozen_parameters() -> None:
    chip, spec = some_chip("4-3-2"), CodeSpec("random", 4, amplitude=16)
    assert_array_equal(*(estimated(chip, spec, 7, 50, baseline) for baseline in (Baseline.HELD, Baseline.EVERY)))


def test_a_layer_that_is_never_perturbed_gets_zero() -> None:
    chip, spec = some_chip("4-3-2"), CodeSpec("random", 4, amplitude=16, groups="layer")
    first, second = (layer.parameters for layer in chip.topology.layers)
    found = estimated(chip, spec, 6, 1)
    assert np.all(found[first] != 0)
    assert not found[second].any()
    assert not estimated(chip, spec, 7, 1)[first].any()


@pytest.mark.parametrize("family", ["random", "sinusoidal", "walsh"])
def test_the_filters_of_continuous_mode_find_the_gradient(family: str) -> None:
    """Two time constants after rest, the low-passed estimate points along the gradient."""
    chip, spec = some_chip("4-3-2"), CodeSpec(family, 4, amplitude=64)
    costs = chip.probe(Block(0, 12_000, spec, SampleOrder(1, SAMPLES, SAMPLES, tau_x=1 << 60), Baseline.NONE))
    found = filter_block(
        FilterState.empty(chip.topology.n_parameters),
        costs,
        Codes(spec, chip.topology),
        0,
        scale=cost_scale(chip.spec.cost_lsb, SAMPLES, Baseline.NONE),
        theta_lsb=chip.spec.weight_lsb,
        tau_hp=100.0,
        tau_theta=6000.0,
    )
    assert cosine(found.gradient, central_difference(chip)) > 0.95


# --- exact sums -------------------------------------------------------------------------------------------------------


def plain_sums(change: list[int], values: CodeArray) -> list[int]:
    """Σₖ C̃ₖ θ̃ₖᵢ in Python's own integers."""
    table = values.tolist()
    return [sum(c * row[i] for c, row in zip(change, table, strict=True)) for i in range(values.shape[1])]


def random_costs(rng: PlainRandom, count: int, size: int) -> Costs:
    perturbed = np.array([rng.randint(0, size) for _ in range(count)])
    return Costs(perturbed, np.array([rng.randint(0, size) for _ in range(count)]), count)


def part(costs: Costs, cut: slice) -> Costs:
    return Costs(costs.perturbed[cut], costs.reference[cut], 0)


def in_pieces(codes: Codes, costs: Costs, first_step: int, rng: PlainRandom, window: Window) -> Window:
    done, count = 0, costs.perturbed.size
    while done < count:
        size = rng.randint(1, count - done)
        window = accumulate(window, part(costs, slice(done, done + size)), codes, first_step + done)
        done += size
    return window


@pytest.mark.parametrize(("family", "groups"), KINDS)
@pytest.mark.parametrize(("size", "amplitude"), [(100, 1), (2**20, 9), (2**40, 2**15 - 1)])
def test_integer_costs_add_up_exactly_however_cut(family: str, groups: str, size: int, amplitude: int) -> None:
    """Sizes that take the float32, the float64 and the int64 path."""
    rng = PlainRandom(size)
    codes = Codes(CodeSpec(family, 5, amplitude, groups, parameters_for(family)), NETWORK)
    costs = random_costs(rng, 60, size)
    window = in_pieces(codes, costs, 11, rng, Window.empty(P))
    values = codes.values(11, 60)
    assert window.cross.dtype == window.energy.dtype == np.int64
    assert_array_equal(window.cross, plain_sums((costs.perturbed - costs.reference).tolist(), values))
    assert_array_equal(window.energy, np.square(values.astype(np.int64)).sum(axis=0))


@pytest.mark.parametrize("size", [10, 1000, 100_000])
def test_all_kinds_of_arithmetic_give_the_same_sums(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    codes = Codes(CodeSpec("random", 5, 3), NETWORK)
    costs = random_costs(PlainRandom(size), 40, size)
    found = []
    for float32, float64 in ((gradient.EXACT_FLOAT32, gradient.EXACT_FLOAT64), (0, gradient.EXACT_FLOAT64), (0, 0)):
        monkeypatch.setattr(gradient, "EXACT_FLOAT32", float32)
        monkeypatch.setattr(gradient, "EXACT_FLOAT64", float64)
        found.append(accumulate(Window.empty(P), costs, codes, 0).cross)
    assert_array_equal(found[0], found[1])
    assert_array_equal(found[0], found[2])


@pytest.mark.parametrize(("name", "bits_exact"), [("EXACT_FLOAT32", 24), ("EXACT_FLOAT64", 53)])
def test_a_sum_is_exact_up_to_its_bound_and_would_not_be_beyond(
    monkeypatch: pytest.MonkeyPatch, name: str, bits_exact: int
) -> None:
    """Costs of 2**(b-1), 2**(b-1) - 1 and then two more of 1: within b bits, and one bit too many."""
    codes = Codes(CodeSpec("sequential", 0, 1), Topology(1))
    assert getattr(gradient, name) == 2**bits_exact

    def total(change: list[int]) -> int:
        costs = Costs(np.array(change), np.zeros(len(change), dtype=np.int64), 0)
        return int(accumulate(Window.empty(1), costs, codes, 0).cross[0])

    within, beyond = (
        [2 ** (bits_exact - 1), 2 ** (bits_exact - 1) - 1],
        [2 ** (bits_exact - 1), 2 ** (bits_exact - 1), 1],
    )
    assert total(within) == sum(within)
    assert total(beyond) == sum(beyond)
    monkeypatch.setattr(gradient, name, 2**62)
    assert total(within) == sum(within)
    assert total(beyond) != sum(beyond)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.uint32, np.uint64, np.int32])
def test_unsigned_costs_from_a_wire_do_not_wrap(kind: type[Any]) -> None:
    costs = Costs(np.array([3, 200], dtype=kind), np.array([7, 100], dtype=kind), 2)
    assert_array_equal(cost_difference(costs), [-4, 100])
    codes = Codes(CodeSpec("sequential", 0, 2), Topology(2))
    assert_array_equal(accumulate(Window.empty(2), costs, codes, 0).cross, [-8, 200])


def test_float_costs_are_added_one_probe_after_the_other_however_cut() -> None:
    rng = PlainRandom(8)
    codes = Codes(CodeSpec("random", 5, 3), NETWORK)
    costs = Costs(np.array([rng.uniform(0, 1) for _ in range(50)]), np.array([rng.random() for _ in range(50)]), 50)
    expected = [0.0] * P
    for c, c0, row in zip(
        costs.perturbed.tolist(), costs.reference.tolist(), codes.values(4, 50).tolist(), strict=True
    ):
        expected = [total + (c - c0) * code for total, code in zip(expected, row, strict=True)]
    for integer in (False, True):  # a trainer does not know beforehand what a device's costs will be
        window = Window.empty(P, integer=integer)
        assert_array_equal(accumulate(window, costs, codes, 4).cross, expected)
        assert_array_equal(in_pieces(codes, costs, 4, rng, window).cross, expected)


def test_nothing_is_changed_in_place() -> None:
    codes, window = Codes(CodeSpec("random", 5, 3), NETWORK), Window.empty(P)
    accumulate(window, random_costs(PlainRandom(1), 9, 9), codes, 0)
    assert not window.cross.any()
    assert not window.energy.any()


# --- plain formulas ---------------------------------------------------------------------------------------------------


def test_estimate_is_cross_over_energy_in_the_right_units() -> None:
    window = Window(np.array([12, -5, 0, 7]), np.array([4, 9, 3, 0]))
    lsb = np.array([0.5, 0.25, 1.0, 1.0])
    assert estimate(window, 0.125, lsb).tolist() == [12 * 0.125 / (4 * 0.5), -5 * 0.125 / (9 * 0.25), 0.0, 0.0]
    assert estimate(window, 0.125, 0.5).tolist() == [12 * 0.125 / 2, -5 * 0.125 / 4.5, 0.0, 0.0]
    assert not estimate(Window.empty(3), 1.0, 1.0).any()


def test_an_antithetic_difference_counts_half() -> None:
    assert cost_scale(0.25, 8, Baseline.ANTITHETIC) == 0.25 / 16
    for baseline in (Baseline.HELD, Baseline.EVERY, Baseline.NONE):
        assert cost_scale(0.25, 8, baseline) == 0.25 / 8


def oripov(window: Window, scale: float, lsb: list[float], sizes: list[int], amplitude: int, tau: int) -> list[float]:
    """The 2025 paper's scaling, parameter by parameter: G / (a√N √(1/N + 1/τ - 1/(Nτ)) τ)."""
    found, i = [], 0
    for n in sizes:
        for _ in range(n):
            g = float(window.cross[i]) * scale * lsb[i]
            found.append(g / (amplitude * lsb[i] * sqrt(n) * sqrt(1 / n + 1 / tau - 1 / (n * tau)) * tau))
            i += 1
    return found


@pytest.mark.parametrize(("groups", "turns"), [("all", 1), ("layer", 2)])
@pytest.mark.parametrize("probes", [1, 2, 100])
@pytest.mark.parametrize("lsb", [0.25, "each"])
def test_oripov_scaling_is_the_formula_layer_by_layer(groups: str, turns: int, probes: int, lsb: float | str) -> None:
    codes = Codes(CodeSpec("random", 0, 3, groups), NETWORK)
    window = Window(np.arange(P) - 4, np.ones(P, dtype=np.int64))
    lsbs = [0.5 + i for i in range(P)] if isinstance(lsb, str) else [lsb] * P
    found = oripov_scaled(window, 0.125, np.array(lsbs) if isinstance(lsb, str) else lsb, codes, probes)
    expected = oripov(window, 0.125, lsbs, [8, 6], 3, max(1, probes // turns))
    assert found == pytest.approx(expected, rel=1e-14)


def test_oripov_scaling_takes_unknown_structure_for_one_layer() -> None:
    codes = Codes(CodeSpec("random", 0, 3), Topology(P))
    window = Window(np.arange(P) - 4, np.ones(P, dtype=np.int64))
    assert oripov_scaled(window, 0.125, 0.5, codes, 9) == pytest.approx(oripov(window, 0.125, [0.5] * P, [P], 3, 9))


def filtered(
    costs: list[float], rows: list[list[int]], mean_square: list[float], scale: float, lsb: float, hp: float, tau: float
) -> tuple[list[float], float]:
    """High-pass and low-pass of the 2023 paper's analog form, one number at a time."""
    g, change, previous = [0.0] * len(rows[0]), 0.0, None
    for raw, row in zip(costs, rows, strict=True):
        cost = raw * scale
        if previous is not None:
            change = hp / (hp + 1) * (change + cost - previous)
        previous = cost
        g = [
            gi + 1 / (tau + 1) * (change * code * (1 / (square * lsb)) - gi)
            for gi, code, square in zip(g, row, mean_square, strict=True)
        ]
    return g, change


FILTERS: dict[str, Any] = {"scale": 0.01, "theta_lsb": 0.5, "tau_hp": 7.0, "tau_theta": 30.0}


@pytest.mark.parametrize(("family", "groups"), KINDS)
@pytest.mark.parametrize("make", [float, int])
def test_filters_follow_the_plain_recursion_however_cut(
    family: str, groups: str, make: Callable[[float], float]
) -> None:
    rng = PlainRandom(3)
    codes = Codes(CodeSpec(family, 5, 3, groups, parameters_for(family)), NETWORK)
    raw = [make(rng.uniform(0, 1000)) for _ in range(80)]
    costs = Costs(np.array(raw), np.zeros(80, dtype=np.int64), 80)
    whole = filter_block(FilterState.empty(P), costs, codes, 9, **FILTERS)
    expected, change = filtered(
        raw, codes.values(9, 80).tolist(), codes.mean_square().tolist(), 0.01, 0.5, hp=7.0, tau=30.0
    )
    assert whole.gradient.tolist() == expected
    assert whole.high_passed == change

    state, done = FilterState.empty(P), 0
    while done < 80:
        size = rng.randint(1, 80 - done)
        state = filter_block(state, part(costs, slice(done, done + size)), codes, 9 + done, **FILTERS)
        done += size
    assert_array_equal(state.gradient, whole.gradient)
    assert (state.cost, state.high_passed) == (whole.cost, whole.high_passed)


def test_a_constant_cost_makes_no_gradient() -> None:
    costs = Costs(np.full(50, 123), np.zeros(50, dtype=np.int64), 50)
    state = filter_block(FilterState.empty(P), costs, Codes(CodeSpec("random"), NETWORK), 0, **FILTERS)
    assert not state.gradient.any()
