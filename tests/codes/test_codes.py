"""Perturbation codes: every registered family, a new one included, goes through all of these by itself.

Statistical tests use fixed seeds, so they pass always or never. Their false-alarm rate is the chance that codes made
from truly random numbers would have failed them.
"""

from collections.abc import Iterator
from dataclasses import replace
from math import log, sqrt
from random import Random as PlainRandom

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from mgdhw.arrays import IntArray
from mgdhw.block import CodeSpec
from mgdhw.codes import FAMILIES, CodeArray, Codes, Group, generator
from mgdhw.codes.random import Random
from mgdhw.codes.sparse import threshold
from mgdhw.errors import ConfigError
from mgdhw.random.philox import Stream, bits
from mgdhw.testing.stimuli import parameters_for
from mgdhw.topology import Topology

NETWORK = Topology.dense((3, 3, 3, 2))  # two layers of equal shape, and one that is not
WIDE = Topology.dense((20, 20, 20, 8))
KINDS = [pytest.param(family, groups, id=f"{family}-{groups}") for family in FAMILIES for groups in ("all", "layer")]

ORTHOGONAL = [kind for kind in KINDS if FAMILIES[kind.values[0]]().window(Group(0, 9)) > 1]
"""The others are so in the mean only: see `test_parameters_are_uncorrelated`."""

SEEDLESS = {"sequential"}
"""Nothing about these is random."""
PERIODIC = {"sequential", "sinusoidal"}
"""These repeat themselves after a window."""


def codes_of(
    family: str, groups: str = "all", *, amplitude: int = 8, seed: int = 1, topology: Topology = NETWORK
) -> Codes:
    parameters = parameters_for(family) if family in FAMILIES else ()
    return Codes(CodeSpec(family, seed, amplitude, groups, parameters), topology)


def forget() -> None:
    generator._chunk.cache_clear()


# --- pure functions of the step ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("family", "groups"), KINDS)
@pytest.mark.parametrize("first", [0, 1000, 2**32 - 100, 2**40 + 3])
def test_any_cut_gives_the_same_codes(family: str, groups: str, first: int) -> None:
    codes, rng = codes_of(family, groups), PlainRandom(first)
    whole = codes.values(first, 200)
    assert whole.shape == (200, NETWORK.n_parameters)
    done = 0
    while done < 200:
        count = rng.randint(1, min(40, 200 - done))
        assert_array_equal(codes.values(first + done, count), whole[done : done + count])
        done += count


@pytest.mark.parametrize(("family", "groups"), KINDS)
def test_the_order_of_asking_makes_no_difference(family: str, groups: str) -> None:
    codes, steps = codes_of(family, groups), range(5000, 0, -617)
    ahead = {step: codes.values(step, 1).copy() for step in steps}
    forget()
    for step in sorted(steps):
        assert_array_equal(codes_of(family, groups).values(step, 1), ahead[step])


@pytest.mark.parametrize(("family", "groups"), KINDS)
@pytest.mark.parametrize("amplitude", [1, 2, 9, 2**15 - 1])
def test_values_reach_the_amplitude_and_never_pass_it(family: str, groups: str, amplitude: int) -> None:
    values = codes_of(family, groups, amplitude=amplitude).values(0, 300).astype(np.int64)
    assert 0.99 * amplitude <= np.abs(values).max() <= amplitude
    assert set(np.unique(values)) <= set(range(-amplitude, amplitude + 1))


@pytest.mark.parametrize(("family", "groups"), KINDS)
def test_nobody_can_write_into_the_memo(family: str, groups: str) -> None:
    with pytest.raises(ValueError, match="read-only"):
        codes_of(family, groups).values(0, 3)[0] = 0


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"rank1"}))
def test_just_p_parameters_are_enough(family: str) -> None:
    """What is known of the structure changes nothing, where the family has no use for it."""
    plain = codes_of(family, topology=Topology(NETWORK.n_parameters))
    assert_array_equal(plain.values(90, 50), codes_of(family).values(90, 50))


# --- energy -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("family", "groups"), KINDS)
@pytest.mark.parametrize("amplitude", [1, 2**15 - 1])
def test_energy_is_the_sum_of_squares(family: str, groups: str, amplitude: int) -> None:
    codes = codes_of(family, groups, amplitude=amplitude)
    for first, count in ((0, 1), (1, 1), (2, 1), (5, 7), (2**33 + 1, 100), (1000, 60)):
        energy = codes.energy(first, count)
        assert energy.dtype == np.int64
        assert_array_equal(energy, np.square(codes.values(first, count).astype(np.int64)).sum(axis=0))


@pytest.mark.parametrize(("family", "groups"), KINDS)
@pytest.mark.parametrize("amplitude", [1, 3, 8, 1000])
def test_mean_square_is_what_the_energy_comes_to(family: str, groups: str, amplitude: int) -> None:
    """Sparse codes choose a parameter 2**15 × 0.3 times or oftener: a standard error below 0.9 %, so a false-alarm
    rate below 1e-6 for all parameters together. Sines are off by their rounding to code units, at most half a unit;
    those of a quarter of the probe rate have only four values to average it over."""
    codes = codes_of(family, groups, amplitude=amplitude)
    count = 3 * 2**15 // codes.window() * codes.window()
    allowed = {"sparse": 0.05, "sinusoidal": 1.5 / amplitude}.get(family, 0.0)
    assert np.abs(codes.energy(0, count) / count / codes.mean_square() - 1).max() <= allowed


def test_two_levels_are_two_levels() -> None:
    """`two_level` lets the energy go uncounted, so it had better be true."""
    for name, family in FAMILIES.items():
        if family.two_level:
            assert set(np.unique(codes_of(name, amplitude=5).values(0, 500))) == {-5, 5}


# --- orthogonal over a window -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("family", "groups"), ORTHOGONAL)
def test_codes_are_orthogonal_over_a_window(family: str, groups: str) -> None:
    """Exactly, for the families that say so; sines but for their rounding to code units."""
    codes = codes_of(family, groups, amplitude=1000)
    for window in (0, 1, 5):
        values = codes.values(window * codes.window(), codes.window()).astype(np.int64)
        products = values.T @ values
        energy = np.diag(products).copy()
        np.fill_diagonal(products, 0)
        assert np.all(energy > 0)
        assert np.abs(products).max() <= (energy.min() // 500 if family == "sinusoidal" else 0)


@pytest.mark.parametrize("family", sorted(PERIODIC))
def test_periodic_codes_repeat_after_a_window_and_not_before(family: str) -> None:
    codes = codes_of(family, amplitude=100)
    window = codes.window()
    assert_array_equal(codes.values(0, window), codes.values(7 * window, window))
    assert np.any(codes.values(0, window // 2) != codes.values(window // 2, window // 2)[: window // 2])


# --- uncorrelated -----------------------------------------------------------------------------------------------------

FALSE_ALARM = 1e-9


def limit(trials: int, chances: int) -> float:
    """What a mean of numbers within ±1 stays below, over all `chances`, but with probability FALSE_ALARM.

    Source: Hoeffding (1963), and the union bound.
    """
    return sqrt(2 * log(2 * chances / FALSE_ALARM) / trials)


def correlation(first: CodeArray, second: CodeArray, amplitude: int) -> NDArray[np.float64]:
    """Mean of θ̃ᵢ θ̃ⱼ over the steps, in squared amplitudes, for every parameter of one with every of the other."""
    return np.asarray(first.astype(np.float64).T @ second.astype(np.float64)) / (len(first) * amplitude**2)


def across_layers(family: str) -> float:
    """Largest correlation of a parameter with one of another layer, over 64 windows of 256 or more steps."""
    codes = codes_of(family)
    values = codes.values(0, 2**14)
    a, b, c = (values[:, layer.parameters] for layer in NETWORK.layers)
    return max(float(np.abs(correlation(one, other, 8)).max()) for one, other in ((a, b), (a, c), (b, c)))


def likeness(first: CodeArray, second: CodeArray) -> float:
    """Cosine of the angle between all codes of two runs."""
    a, b = first.astype(np.float64).ravel(), second.astype(np.float64).ravel()
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


@pytest.fixture
def one_key_for_every_layer(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The mistake of a peer: each layer draws its signs as if it were the only one."""

    class OneKey(Random):
        name = "one-key"

        def values(self, spec: CodeSpec, group: Group, steps: IntArray) -> CodeArray:
            sizes = [matrix.n_out * (matrix.n_in + 1) for matrix in group.matrices]
            drawn = [bits(spec.seed, Stream.CODES, steps, size).astype(np.int16) * 2 - 1 for size in sizes]
            return np.asarray(np.concatenate(drawn, axis=1) * spec.amplitude, dtype=np.int16)

    monkeypatch.setitem(FAMILIES, OneKey.name, OneKey)
    yield OneKey.name
    forget()


@pytest.mark.parametrize("family", FAMILIES)
def test_parameters_are_uncorrelated(family: str) -> None:
    """Within a layer and across layers; false-alarm rate below 1e-9 over all pairs."""
    values = codes_of(family).values(0, 2**14)
    found = np.abs(correlation(values, values, 8)) * ~np.eye(values.shape[1], dtype=bool)
    assert found.max() < limit(2**14, found.size)


@pytest.mark.parametrize("family", FAMILIES)
def test_layers_are_uncorrelated(family: str) -> None:
    """False-alarm rate below 1e-9 over all pairs of parameters of different layers."""
    assert across_layers(family) < limit(2**14, NETWORK.n_parameters**2)


def test_one_key_for_every_layer_is_noticed(one_key_for_every_layer: str) -> None:
    """Equal-shaped layers get identical codes."""
    values = codes_of(one_key_for_every_layer).values(0, 50)
    first, second, _ = (values[:, layer.parameters] for layer in NETWORK.layers)
    assert_array_equal(first, second)
    assert across_layers(one_key_for_every_layer) == 1.0


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - PERIODIC))
def test_layers_that_take_turns_are_uncorrelated_at_their_own_steps(family: str) -> None:
    """Also where no two are perturbed in one probe. The likeness of two layers of 420 parameters over 3 windows: of
    420 signs or more, so its false-alarm rate is below 1e-9."""
    codes = codes_of(family, "layer", topology=WIDE)
    values = codes.values(0, 3 * max(codes.window(), 1500))
    first, second, _ = (values[turn::3, layer.parameters] for turn, layer in enumerate(WIDE.layers))
    assert abs(likeness(first, second)) < limit(420, 1)


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - SEEDLESS))
@pytest.mark.parametrize("other", [2, 2**32 + 1, 2**63 + 1])
def test_seeds_are_uncorrelated(family: str, other: int) -> None:
    """Runs with other low or high halves of the seed. Over 1,008 parameters: false-alarm rate below 1e-9."""
    first, second = (codes_of(family, seed=seed, topology=WIDE).values(0, 4096) for seed in (1, other))
    assert abs(likeness(first, second)) < limit(WIDE.n_parameters, 1)


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - PERIODIC))
@pytest.mark.parametrize("lag", [1, 2, 3])
def test_windows_are_uncorrelated(family: str, lag: int) -> None:
    """Steps, or whole periods of Walsh codes. Over 1,008 parameters: false-alarm rate below 1e-9."""
    codes = codes_of(family, topology=WIDE)
    values = codes.values(0, 2 * 4096)
    shift = lag * codes.window()
    assert abs(likeness(values[shift:], values[:-shift])) < limit(WIDE.n_parameters, 1)


@pytest.mark.parametrize("family", sorted(SEEDLESS | PERIODIC))
def test_what_repeats_is_noticed_by_the_same_measure(family: str) -> None:
    """So the two tests above would fail on codes that ignore the seed, or the step."""
    codes = codes_of(family, topology=WIDE)
    values = codes.values(0, 2 * codes.window())
    assert likeness(values[: codes.window()], values[codes.window() :]) > 0.999999
    if family in SEEDLESS:
        assert likeness(values, codes_of(family, seed=2, topology=WIDE).values(0, len(values))) > 0.999999


# --- groups -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_layers_take_turns_and_nothing_else_is_perturbed(family: str) -> None:
    codes = codes_of(family, "layer")
    values = codes.values(4, 900)
    for turn, layer in enumerate(NETWORK.layers):
        own = (np.arange(4, 904) % 3) == turn
        outside = np.ones(NETWORK.n_parameters, dtype=bool)
        outside[layer.parameters] = False
        assert not values[own][:, outside].any()
        assert np.all(values[own][:, ~outside].any(axis=0))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_layer_steps_on_its_own_clock(family: str) -> None:
    """Probe k is step k div L of its layer: no step is left out, so windows are as long as the layer's own."""
    codes = codes_of(family, "layer")
    values = codes.values(0, 600)
    for turn, group in enumerate(codes.groups):
        own = codes.family.values(codes.spec, group, np.arange(200))
        assert_array_equal(values[turn::3, group.start : group.start + group.size], own)


def test_groups_cover_the_parameters_once() -> None:
    for groups in ("all", "layer"):
        found = [range(g.start, g.start + g.size) for g in codes_of("random", groups).groups]
        assert [i for part in found for i in part] == list(range(NETWORK.n_parameters))


# --- single families --------------------------------------------------------------------------------------------------


def test_sequential_is_one_parameter_after_the_other() -> None:
    n = NETWORK.n_parameters
    assert_array_equal(codes_of("sequential").values(2 * n, n), 8 * np.eye(n))


def test_rank1_is_an_outer_product_in_every_layer() -> None:
    for groups in ("all", "layer"):
        values = codes_of("rank1", groups, amplitude=3).values(0, 60)
        for turn, layer in enumerate(NETWORK.layers):
            own = values[turn::3] if groups == "layer" else values
            weights = own[:, layer.weights].reshape(len(own), layer.n_out, layer.n_in)
            matrix = np.concatenate([weights, own[:, layer.biases, None]], axis=2).astype(np.int64)
            assert_array_equal(matrix * matrix[:, :1, :1], matrix[:, :, :1] * matrix[:, :1])


@pytest.mark.parametrize("density", [2**-15, 0.1, 0.5, 1.0])
def test_sparse_perturbs_its_share_with_either_sign_equally(density: float) -> None:
    """Half a million fields, against five standard errors; false-alarm rate below 1e-6."""
    codes = Codes(CodeSpec("sparse", 3, 2, parameters=(density,)), WIDE)
    values = codes.values(0, 500)
    share = threshold(density) / 2**15
    assert share == pytest.approx(density, abs=2**-15)
    count = int((values != 0).sum())
    assert abs(count - values.size * share) <= 5 * sqrt(values.size * share * (1 - share))
    assert abs(int(np.sign(values).astype(np.int64).sum())) <= 5 * sqrt(values.size * share)


def test_sines_have_a_frequency_each() -> None:
    """The strongest line of parameter i's spectrum is number T/8 + 1 + i."""
    codes = codes_of("sinusoidal", amplitude=100)
    window = codes.window()
    spectrum = np.abs(np.fft.rfft(codes.values(0, window), axis=0))
    assert_array_equal(spectrum.argmax(axis=0), window // 8 + 1 + np.arange(NETWORK.n_parameters))


# --- what cannot be ---------------------------------------------------------------------------------------------------


def test_rank1_without_matrices_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="rank1 needs to know the device's weight matrices"):
        codes_of("rank1", topology=Topology(12))


def test_layers_in_turn_without_layers_are_a_config_error() -> None:
    with pytest.raises(ConfigError, match='use "all"'):
        codes_of("random", "layer", topology=Topology(12))


def test_an_unknown_family_is_a_config_error_that_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"no family 'wlash'; one of random, rank1, .*walsh"):
        codes_of("wlash")


@pytest.mark.parametrize("amplitude", [-1, 0, 2**15])
def test_an_amplitude_beyond_16_bits_is_a_config_error(amplitude: int) -> None:
    with pytest.raises(ConfigError, match=r"not within 1 \.\.\. 32767"):
        codes_of("random", amplitude=amplitude)


def test_every_family_goes_by_its_name_and_differs_from_the_others() -> None:
    assert all(family.name == name for name, family in FAMILIES.items())
    drawn = {name: codes_of(name).values(0, 64).tobytes() for name in FAMILIES}
    assert len(set(drawn.values())) == len(FAMILIES)
    spec = codes_of("random").spec
    assert replace(spec, family="walsh") != spec
