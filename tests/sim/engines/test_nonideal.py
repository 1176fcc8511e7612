"""Nonideal chips in compiled loops give the bits of the reference: cells, costs and all, with many effects at once."""

from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mgdhw.block import Baseline
from mgdhw.codes import FAMILIES
from mgdhw.optimizers import OPTIMIZERS
from mgdhw_sim.engines import choose
from mgdhw_sim.engines.numba import nonideal_team
from mgdhw_sim.engines.numba.kernels import nonideal_dual_noise
from mgdhw_sim.engines.numba.kernels.nonideal_dual_noise import WIDE, DualWorkspace, dual_workspace
from mgdhw_sim.engines.numba.nonideal_args import constants_of, nonideal_int16_network
from mgdhw_sim.nonidealities import Nonidealities
from mgdhw_sim.reference.chip import Chip
from mgdhw_sim.spec import ChipSpec
from tests.helpers.states import assert_same_cells, assert_same_state
from tests.sim.draws import SIGNALS, cut, draw_block, draw_chip, draw_dataset, draw_effects, draw_theta
from tests.sim.engines.test_engines import draw_rule, first_state, learn, team

pytestmark = pytest.mark.long
"""Most of the time goes into compiling what other tests need not."""

__all__ = ["team"]

REFERENCE, COMPILED = choose("reference"), choose("numba")
BLOCKS, SEGMENTS, SMALL, TWICE, BRIEF, PIECES = 120, 60, 40, 16, 12, 6
"""Draws of each kind; more than 200 in all."""
SMALL_SIGNALS = ((12, 1.0), (16, 8.0))


def draw_nonideal(rng: Random) -> ChipSpec:
    return draw_effects(rng, draw_chip(rng, SIGNALS[0]))


@pytest.mark.parametrize("start", range(0, BLOCKS, 30))
def test_blocks_in_any_cuts(start: int) -> None:
    for number in range(start, start + 30):
        rng = Random(f"imperfect {number}")
        spec = draw_nonideal(rng)
        dataset = draw_dataset(rng, spec)
        block = draw_block(rng, spec, dataset.n_samples, list(FAMILIES)[number % len(FAMILIES)])
        chip = Chip(spec)
        chip.load(dataset)
        before = max(0, block.first_step - rng.choice((0, 3, 1000)))
        chip.write(np.array(draw_theta(rng, spec, block.codes.amplitude)), before)
        assert COMPILED.unsupported_reason(chip, block) is None
        held = None
        for place, piece in enumerate((block, *cut(rng, block))):
            piece = replace(piece, held=held if place > 1 else None)  # the pieces follow each other
            ours, expected = COMPILED.probe(chip, piece), REFERENCE.probe(chip, piece)
            assert_array_equal(ours.perturbed, expected.perturbed, err_msg=f"{number}: {spec}")
            assert_array_equal(ours.reference, expected.reference, err_msg=f"{number}: {spec}")
            assert (ours.evaluations, ours.held) == (expected.evaluations, expected.held)
            held = expected.held


def compare_segments(
    rng: Random,
    spec: ChipSpec,
    optimizer: str,
    family: str,
    batches: tuple[int, ...] = (),
    baseline: Baseline | None = None,
    period: int = 0,
    *,
    rails: bool = False,
) -> bool:
    """Run a segment in two cuts; whether the chip is one of small numbers.

    Args:
        rails: inputs and codes are as large as they get, those of a neuron all of one sign.
    """
    dataset, chip = draw_dataset(rng, spec), Chip(spec)
    if rails:
        dataset = replace(dataset, inputs=np.full_like(dataset.inputs, dataset.inputs.max()))
    chip.load(dataset)
    half = 1 << (spec.weight_bits - 1)
    edge = min(9, half // 2)
    chip.codes = np.array(
        [rng.randint(-half + edge, half - 1 - edge) for _ in range(chip.topology.n_parameters)], dtype=np.int16
    )
    if rails:
        signs = [rng.choice((-1, 1)) for _ in range(spec.layers[1])]
        layer = chip.topology.layers[0]
        chip.codes[: layer.n_in * layer.n_out] = np.repeat(signs, layer.n_in) * (half - 1 - edge)
    rule = draw_rule(rng, chip, dataset.n_samples, optimizer, family)
    if batches:
        rule = replace(rule, order=replace(rule.order, batch=rng.choice(batches)))
    if baseline is not None:
        rule = replace(rule, baseline=baseline, update_period=period, codes=replace(rule.codes, groups="all"))
    state = first_state(chip, rule)
    expected = learn(REFERENCE, chip, state, rule, [60])
    codes, held, now = chip.codes, chip.theta_actual(), chip.current_step
    part = rng.randint(1, 59)
    for cuts in ([60], [part, 60 - part]):
        ours = learn(COMPILED, chip, state, rule, cuts)
        assert_same_state(ours.state, expected.state)
        assert_same_cells(ours.state.cells, expected.state.cells)
        assert_array_equal(chip.codes, codes)
        assert_array_equal(chip.theta_actual(), held)
        assert chip.current_step == now
    assert learn(COMPILED, chip, state, rule, [60]).cost == expected.cost
    return nonideal_team.fits(chip, rule.order)


@pytest.mark.parametrize("start", range(0, SEGMENTS, 20))
def test_segments_in_any_cuts(start: int) -> None:
    for number in range(start, start + 20):
        rng = Random(f"imperfect segment {number}")
        optimizer, family = list(OPTIMIZERS)[number % len(OPTIMIZERS)], list(FAMILIES)[number // 6 % len(FAMILIES)]
        compare_segments(rng, draw_nonideal(rng), optimizer, family)


@pytest.mark.parametrize("batches", [(1, 2, 5), (8, 16, 33, 50)], ids=["few", "many"])
@pytest.mark.usefixtures("team")
def test_chips_of_small_numbers(batches: tuple[int, ...]) -> None:
    """Those that run on vectors, one sample after the other or side by side, alone or shared by a team."""
    small = 0
    for number in range(SMALL):
        rng = Random(f"small {number}")
        spec = replace(draw_chip(rng, SMALL_SIGNALS), weight_bits=rng.choice((6, 8, 10)), input_bits=rng.randint(1, 14))
        optimizer, family = rng.choice(list(OPTIMIZERS)), rng.choice(("random", "random", *FAMILIES))
        small += compare_segments(rng, draw_effects(rng, spec), optimizer, family, batches)
    assert small > SMALL // 2


@pytest.mark.parametrize("batches", [(1, 2, 5), (8, 16, 33)], ids=["few", "many"])
@pytest.mark.usefixtures("team")
def test_cells_written_by_a_pulse_each(batches: tuple[int, ...]) -> None:
    """Noise of so few bits, and updates after each probe, that most cells change by one code, as a chip learns."""
    for number in range(BRIEF):
        rng = Random(f"brief {number}")
        spec = replace(
            draw_chip(rng, SMALL_SIGNALS), layers=(rng.randint(20, 60), rng.randint(5, 40), rng.randint(1, 9)),
            weight_bits=rng.choice((6, 8, 10)), input_bits=rng.randint(1, 8),
        )  # fmt: skip
        lsb, nonidealities = spec.weight_lsb, draw_effects(rng, spec).nonidealities
        nonidealities = replace(
            nonidealities, w_max=0.7 * spec.weight_range, w_min=-0.6 * spec.weight_range, dw_min=rng.choice((0.0, lsb)),
            up_down=rng.uniform(-0.1, 0.1), dw_min_std=rng.uniform(0, 0.2), write_noise=rng.uniform(0, 0.2) * lsb,
        )  # fmt: skip
        spec = replace(spec, nonidealities=nonidealities)
        assert constants_of(spec).int16_noise
        compare_segments(rng, spec, rng.choice(list(OPTIMIZERS)), "random", batches, Baseline.HELD, 1)


@pytest.mark.usefixtures("team")
def test_more_inputs_than_32_bits_hold_products_of() -> None:
    """Sums of a strip of samples, and of the few that would leave most of a vector empty, that are made in pieces."""
    small = 0
    for number in range(PIECES):
        rng = Random(f"pieces {number}")
        spec = replace(
            draw_chip(rng, SMALL_SIGNALS), layers=(rng.randint(250, 1100), rng.randint(1, 20), 3), weight_bits=8,
            input_bits=8, input_bipolar=bool(number & 1),
        )  # fmt: skip
        small += compare_segments(rng, draw_effects(rng, spec), "sgd", "random", (16, 20, 33, 50, 51))
    assert small > PIECES // 2


@pytest.mark.usefixtures("team")
def test_sums_beyond_32_bits() -> None:
    """Of the largest weights and inputs, of one sign."""
    for number in range(2):
        rng = Random(f"rails {number}")
        nonidealities = Nonidealities(cell_gain_std=0.05, input_noise=0.005, read_noise=0.01, write_noise=0.01)
        spec = ChipSpec(layers=(3000, 9, 3), nonidealities=nonidealities)
        numbers = nonideal_int16_network(spec)
        assert numbers is not None
        assert numbers.bits[0] > 0
        assert compare_segments(rng, spec, "sgd", "random", (16, 51), Baseline.HELD, 3, rails=True)


def test_sums_whose_lowest_bits_count() -> None:
    """Weights that reach so far that rounding drops too few bits of a sum: many samples then run on other kernels."""
    rng = Random("lowest bits")
    spec = ChipSpec(
        layers=(3000, 5, 3), weight_bits=4, weight_range=64.0, input_bits=4, signal_bits=14, signal_range=1.0
    )  # fmt: skip
    spec = replace(spec, nonidealities=replace(draw_effects(rng, spec).nonidealities, input_noise=0.01))
    numbers = nonideal_int16_network(spec)
    assert numbers is not None
    assert numbers.bits.min() == -1
    assert not compare_segments(rng, spec, "sgd", "random", (9,))
    assert compare_segments(rng, spec, "sgd", "random", (2,))


@pytest.mark.parametrize("baseline", [Baseline.HELD, Baseline.EVERY, Baseline.ANTITHETIC])
def test_probes_that_measure_twice(baseline: Baseline, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small chips whose two measurements share vectors: one group of neurons a layer, or several; any of the costs."""
    made: list[DualWorkspace | None] = []

    def noted(*args: Any) -> DualWorkspace | None:
        made.append(dual_workspace(*args))
        return made[-1]

    monkeypatch.setattr(nonideal_dual_noise, "dual_workspace", noted)
    for number in range(TWICE):
        rng = Random(f"twice {baseline} {number}")
        layers = rng.choice(((49, 4, 4), (rng.randint(20, 100), rng.randint(1, 40), rng.randint(1, 20), 3)))
        spec = replace(
            draw_chip(rng, SMALL_SIGNALS), layers=layers, weight_bits=rng.choice((6, 8)), weight_range=4.0,
            input_bits=rng.randint(1, 8), lut_bits=rng.choice((5, 8)),
        )  # fmt: skip
        period = 1 if baseline is Baseline.HELD else rng.randint(1, 12)
        compare_segments(
            rng, draw_effects(rng, spec), rng.choice(list(OPTIMIZERS)), "random", (1, 2, 5), baseline, period
        )
    few = [each for each in made if each is not None]
    assert len(few) > len(made) // 2
    assert {bool(each.groups[:, WIDE].any()) for each in few} == {False, True}
    assert {bool(each.targets.size) for each in few} == {False, True}
