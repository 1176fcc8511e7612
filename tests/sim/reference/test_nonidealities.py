"""Each effect on signals and costs does what its definition says; and every effect, at zero, does nothing at all."""

import re
from collections.abc import Callable
from dataclasses import fields, replace
from random import Random
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mgdhw.arrays import FloatArray
from mgdhw.block import Baseline, Block, CodeSpec, Costs, Part
from mgdhw.datasets import Dataset
from mgdhw.errors import ConfigError
from mgdhw.random.sample_order import SampleOrder
from mgdhw_sim.nonidealities import IDEAL, OF_PULSES, RANGES, Nonidealities
from mgdhw_sim.presets import PRESETS
from mgdhw_sim.reference.cells import Cells
from mgdhw_sim.reference.chip import Chip
from mgdhw_sim.spec import ChipSpec
from mgdhw_sim.uri import parse
from tests.sim.draws import SIGNALS, draw_block, draw_dataset, draw_theta
from tests.sim.reference import referee, test_cells
from tests.sim.reference.gauss import assert_gaussian
from tests.sim.reference.referee_arithmetic import rshift
from tests.sim.reference.test_nonideal import draw_small

NEURONS = 4000
SAMPLES = 4000
BOUNDS = {"w_max": 2.0, "w_min": -2.0}
STD = 0.05
NEURON = ("midpoint_std", "steepness_std", "amplitude_std", "offset_std")


def reader(n_out: int, samples: int = 2, seed: int = 1, **nonidealities: Any) -> Chip:
    """Neurons that hand on their one input, which is 1/2, unchanged: h = 1/2 where nothing is wrong."""
    spec = ChipSpec(
        layers=(1, n_out),
        activation="identity",
        output_activation="identity",
        weight_bits=16,
        input_bits=16,
        signal_bits=24,
        output_bits=16,
        cost_bits=20,
        seed=seed,
        nonidealities=Nonidealities(**nonidealities),
    )
    chip = Chip(spec)
    chip.load(Dataset("halves", np.full((samples, 1), 0.5), 1.0, np.zeros((samples, n_out)), samples))
    chip.write(np.repeat([1.0, 0.0], n_out), 0)
    return chip


def seen(chip: Chip, *samples: int) -> FloatArray:
    """(B, n_out) outputs in signal units."""
    return chip.infer(np.array(samples), chip.current_step) * 2.0**-12


# --- noise


def test_input_noise() -> None:
    chip = reader(1, SAMPLES, input_noise=STD)
    first = seen(chip, *range(SAMPLES))[:, 0]
    assert_gaussian(first, STD, 0.5)
    chip.write(np.array([0.5, 0.0]), 0)
    assert np.abs(seen(chip, *range(SAMPLES))[:, 0] * 2 - first).max() < 2**-10  # it comes before the weights


def test_read_noise() -> None:
    chip = reader(NEURONS, read_noise=STD)
    one, other = seen(chip, 0, 1)
    assert_gaussian(one, STD, 0.5)
    assert_gaussian(one - other, STD * np.sqrt(2))
    chip.write(np.zeros(2 * NEURONS), 1)
    assert_gaussian(seen(chip, 0)[0], STD)  # it is there without a signal


def test_adc_noise() -> None:
    chip = reader(NEURONS, adc_noise=STD)
    one, other = seen(chip, 0, 1)
    assert_gaussian(one, STD, 0.5)
    assert_gaussian(one - other, STD * np.sqrt(2))
    assert chip.measure(np.array([0]), 3, Part.PLUS) == reader(NEURONS).measure(np.array([0]), 3, Part.PLUS)


def costs_of(chip: Chip, probes: int) -> Costs:
    order = SampleOrder(0, 1, batch=1, tau_x=1)
    return chip.probe(Block(5, probes, CodeSpec("sequential"), order, Baseline.EVERY))


def test_cost_noise() -> None:
    costs, clean = (costs_of(reader(1, 1, cost_noise=noise), 3000) for noise in (0.01, 0.0))
    sigma = 0.01 * 2**20
    assert_gaussian(costs.reference - clean.reference, sigma)
    assert_gaussian(costs.perturbed - clean.perturbed, sigma)
    assert_gaussian(costs.perturbed - costs.reference - (clean.perturbed - clean.reference), sigma * np.sqrt(2))


def test_noise_goes_by_step_part_and_row() -> None:
    chip = reader(1, 2, cost_noise=0.01)
    every = [
        chip.measure(np.array(samples), step, part)
        for step in (0, 1, 2**32)
        for part in (Part.BASELINE, Part.PLUS, Part.MINUS)
        for samples in ([0], [0, 0], [0, 0, 0])
    ]
    assert len(set(every)) == len(every)
    assert chip.measure(np.array([0]), 1, Part.PLUS) == chip.measure(
        np.array([1]), 1, Part.PLUS
    )  # by place, not sample


# --- neurons


def test_midpoint_std() -> None:
    one, other = seen(reader(NEURONS, midpoint_std=STD), 0, 1)
    assert_gaussian(one, STD, 0.5)
    assert_array_equal(one, other)


def test_offset_std() -> None:
    chip = reader(NEURONS, offset_std=STD)
    assert_gaussian(seen(chip, 0)[0], STD, 0.5)
    chip.write(np.zeros(2 * NEURONS), 1)
    assert_gaussian(seen(chip, 0)[0], STD)


@pytest.mark.parametrize("name", ["steepness_std", "amplitude_std"])
def test_gains_of_neurons(name: str) -> None:
    chip = reader(NEURONS, **{name: 0.1})
    assert_gaussian(seen(chip, 0)[0], 0.05, 0.5)
    chip.write(np.zeros(2 * NEURONS), 1)
    assert set(seen(chip, 0)[0]) == {0.0}


def test_steepness_comes_before_the_curve_and_amplitude_after_it() -> None:
    for name, saturated in (("steepness_std", True), ("amplitude_std", False)):
        chip = reader(1, **{name: STD})
        chip = Chip(replace(chip.spec, layers=(1, 50), output_activation="logistic", signal_range=64.0))
        chip.load(Dataset("halves", np.full((1, 1), 0.5), 1.0, np.zeros((1, 50)), 1))
        chip.write(np.full(100, 3.9), 0)
        assert (len(set((chip.infer(np.array([0]), 0)[0] >> 12).tolist())) == 1) == saturated


def test_neuron_std() -> None:
    """It is the spread of whatever has none of its own."""
    together = seen(reader(50, neuron_std=STD), 0)
    assert_array_equal(together, seen(reader(50, **dict.fromkeys(NEURON, STD)), 0))
    assert_array_equal(
        seen(reader(50, neuron_std=STD, offset_std=0.2), 0),
        seen(reader(50, **{**dict.fromkeys(NEURON, STD), "offset_std": 0.2}), 0),
    )


# --- converters


def test_adc_inl() -> None:
    clean, bowed = reader(200), reader(200, adc_inl=60.0)
    theta = np.concatenate([np.linspace(-3.9, 3.9, 200), np.linspace(-3.9, 3.9, 200)])
    for chip in (clean, bowed):
        chip.write(theta, 1)
    code = clean.infer(np.array([0]), 0)[0]
    expected = 60 * (1 - ((2 * code + 1) / 2.0**16 - 1 / 2**16) ** 2)
    assert np.abs(bowed.infer(np.array([0]), 0)[0] - code - expected).max() < 0.6
    assert bowed.measure(np.array([0]), 1, Part.PLUS) == clean.measure(np.array([0]), 1, Part.PLUS)


# --- temperature


@pytest.mark.parametrize(("name", "scale"), [("temperature_midpoint", -1.0), ("temperature_steepness", 0.5)])
def test_temperature(name: str, scale: float) -> None:
    """Steps of 10 K, each for 7 probes, and none before the first."""
    chip = reader(1, temperature_std=10.0, temperature_every=7, **{name: 0.01})
    found = []
    for step in range(7 * 300):
        if step % 7 in (0, 6):
            chip.current_step = step
            found.append(float(seen(chip, 0)[0, 0]))
    first, last = np.array(found).reshape(300, 2).T
    assert_array_equal(first, last)
    assert first[0] == 0.5
    assert_gaussian(first[1:], abs(scale) * 0.1, 0.5)


def test_all_neurons_are_equally_warm() -> None:
    chip = reader(50, temperature_std=10.0, temperature_midpoint=0.01)
    chip.current_step = 3
    assert len(set(seen(chip, 0)[0])) == 1


# --- settling


def test_settling() -> None:
    """A share of the way from where the evaluation before was going; nothing of it after a write."""
    share, target = 1 / 4, [1.0]
    spec = ChipSpec(layers=(1, 1), output_activation="identity", output_bits=16, cost_range=64.0, cost_bits=16)
    chip = Chip(
        replace(spec, nonidealities=Nonidealities(settling=share, stuck=1.0), seed=3)
    )  # stuck: no code moves a weight
    chip.load(Dataset("two", np.array([[0.0], [0.9]]), 1.0, np.array([target, target]), 2))
    chip.write(np.zeros(2), 4)
    h = chip.infer(np.array([0, 1]), 0)[:, 0]  # 16 bits of output are those of the signal
    order = SampleOrder(5, 2, batch=1, tau_x=1)
    costs = chip.probe(Block(4, 12, CodeSpec(), order, Baseline.NONE)).perturbed
    going = [int(h[order.samples(step, 1)[0, 0]]) for step in range(4, 16)]
    before = [going[0], *going]
    settled = [now + rshift(2**13 * (then - now), 15) for now, then in zip(going, before, strict=False)]
    assert len(set(settled)) == 4
    assert_array_equal(costs, [referee.cost_code(chip.spec, [value], [4096]) for value in settled])
    again = chip.probe(Block(9, 7, CodeSpec(), order, Baseline.NONE)).perturbed
    assert_array_equal(again, costs[5:])


SHOWN: dict[str, Callable[..., None]] = {
    "input_noise": test_input_noise,
    "read_noise": test_read_noise,
    "adc_noise": test_adc_noise,
    "cost_noise": test_cost_noise,
    "midpoint_std": test_midpoint_std,
    "offset_std": test_offset_std,
    "steepness_std": test_gains_of_neurons,
    "amplitude_std": test_gains_of_neurons,
    "neuron_std": test_neuron_std,
    "adc_inl": test_adc_inl,
    **dict.fromkeys(
        ("temperature_std", "temperature_every", "temperature_midpoint", "temperature_steepness"), test_temperature
    ),
    "settling": test_settling,
}


def test_every_effect_is_shown() -> None:
    assert set(SHOWN) | set(test_cells.SHOWN) == {f.name for f in fields(Nonidealities)}


# --- none of it


def answers(chip: Chip, number: int, *, nonideal: bool) -> list[Any]:
    """What a chip makes of a draw's data, parameters and block."""
    rng = Random(number)
    dataset = draw_dataset(rng, chip.spec)
    block = draw_block(rng, chip.spec, dataset.n_samples)
    if nonideal:  # through the machinery of nonideal chips, whatever there is of effects
        chip.cells = Cells.fresh(chip.topology.n_parameters)
    chip.load(dataset)
    for step in (max(0, block.first_step - 9), block.first_step):
        chip.write(np.array(draw_theta(rng, chip.spec, block.codes.amplitude)), step)
    costs = chip.probe(block)
    some = np.arange(dataset.n_samples)
    measured = chip.measure(some, block.first_step, Part.PLUS)
    held = chip.theta_actual()
    infer = chip.infer(some, chip.current_step)
    return [costs.perturbed, costs.reference, costs.evaluations, costs.held, measured, infer, held]


def assert_same(one: list[Any], other: list[Any]) -> None:
    for a, b in zip(one, other, strict=True):
        assert_array_equal(a, b)


@pytest.mark.parametrize("number", range(40))
def test_a_nonideal_chip_with_nothing_wrong_is_the_ideal_one(number: int) -> None:
    spec = replace(draw_small(Random(number), SIGNALS[0]), nonidealities=IDEAL)
    one, other = (answers(Chip(spec), number, nonideal=nonideal) for nonideal in (False, True))
    assert_array_equal(one[-1], other[-1])  # θ on the converter's grid
    assert_same(one, other)


NEXT_TO_NOTHING: dict[str, float] = {
    **{f.name: 1e-12 for f in fields(Nonidealities)},
    "retention": 2.0**40,  # so long
    "endurance": 1e15,
}
"""Strengths that are none in whole numbers, but are not zero."""
OFF: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(NEURON, ("neuron_std",)),  # which stands in for one of them that is zero
    "drift_every": ("retention", "drift_nu"),
    "temperature_every": ("temperature_std",),
    # A tick or a step of the temperature, however small, is the end of what settles.
    **dict.fromkeys(("drift_nu", "temperature_std"), ("settling",)),
    "retention": ("settling", "drift_nu"),
}
"""What has to be off for an effect to do nothing."""


@pytest.mark.parametrize("name", sorted({f.name for f in fields(Nonidealities)} - {"w_max", "w_min", "dw_min"}))
def test_next_to_nothing_of_an_effect_is_nothing_with_all_others_on(name: str) -> None:
    """w_max, w_min and dw_min have no small strength: their zeros mean another kind of cell, and one code."""
    compared = 0
    for number in range(200):
        spec = draw_small(Random(number), SIGNALS[0])
        if len(spec.nonidealities.given()) < 25 or (name in OF_PULSES and not spec.nonidealities.pulsed):
            continue
        off = dict.fromkeys(OFF.get(name, ()), 0.0)
        small = 12345 if name.endswith("every") else NEXT_TO_NOTHING[name]
        little: dict[str, Any] = {**off, name: small}
        none: dict[str, Any] = {**off, name: getattr(IDEAL, name)}
        chips = [Chip(replace(spec, nonidealities=replace(spec.nonidealities, **change))) for change in (little, none)]
        assert_same(*(answers(chip, number, nonideal=True)[:-1] for chip in chips))
        compared += 1
        if compared == 4:
            return
    raise AssertionError("too few draws have all others on")


# --- what it may be


@pytest.mark.parametrize("name", [f.name for f in fields(Nonidealities)])
def test_a_strength_outside_its_range_is_named_with_its_range(name: str) -> None:
    low, high = RANGES[name]
    others = BOUNDS if name in OF_PULSES or name in BOUNDS else {}
    for bad in (low - 0.001, high * 1.001 + 0.001, float("nan")):
        with pytest.raises(ConfigError, match=rf"^{name}=.*: expected {low:g} \.\.\. {high:g}".replace("+", r"\+")):
            Nonidealities(**{**others, name: bad})
    for good in (low, high):
        if name not in BOUNDS:
            assert getattr(Nonidealities(**{**others, name: good}), name) == good


@pytest.mark.parametrize(
    ("given", "what"),
    [
        ({"stuck": 0.6, "dead": 0.5}, "stuck=0.6 and dead=0.5 are more than all cells"),
        ({"w_max": 1.0}, "w_max=1, w_min=0: soft bounds need"),
        ({"w_min": -1.0}, "w_max=0, w_min=-1: soft bounds need"),
        *(({name: 0.1}, f"{name}=0.1 is of cells that move by pulses") for name in OF_PULSES),
    ],
)
def test_strengths_that_do_not_go_together_are_named(given: dict[str, float], what: str) -> None:
    with pytest.raises(ConfigError, match=f"^{what}"):
        Nonidealities(**given)


def test_pulses_need_few_bits_and_a_step_of_about_a_code() -> None:
    with pytest.raises(ConfigError, match="weight_bits=12: cells that move by pulses have 10 at most"):
        ChipSpec(weight_bits=12, nonidealities=Nonidealities(**BOUNDS))
    for bad in (0.0001, 0.1):
        with pytest.raises(ConfigError, match=rf"dw_min={bad:g} does not .* \(0\.0039062\d* \.\.\. 0\.03125\)"):
            ChipSpec(nonidealities=Nonidealities(**BOUNDS, dw_min=bad))


@pytest.mark.parametrize("preset", ["rram", "pcm"])
@pytest.mark.parametrize("bits", range(4, 11))
def test_what_is_advised_where_a_pulse_does_not_fit_is_a_chip(preset: str, bits: int) -> None:
    """Who narrows a preset's parameters has not given the pulse, and is told what to give."""
    uri = f"sim:{preset}?weight_bits={bits}"
    try:
        assert parse(uri).weight_bits == bits
        return
    except ConfigError as error:
        said = str(error)
    assert said.startswith(
        f"{uri}: dw_min={PRESETS[preset].nonidealities.dw_min} does not go with weight_bits={bits}: a code"
    )
    given, low, high, first, last = re.findall(r"[\d.]+", said.partition("; give dw_min=")[2].replace(" ... ", " "))
    assert low < high
    assert parse(f"{uri}&dw_min={given}").weight_bits == bits
    for other in (first, last):
        assert parse(f"sim:{preset}?weight_bits={other}").weight_bits == int(other)


@pytest.mark.parametrize("name", [f.name for f in fields(Nonidealities)])
def test_an_address_gives_a_strength(name: str) -> None:
    low, high = RANGES[name]
    value: float = {"dw_min": 0.02, "w_min": -2.0}.get(name, 2 if name.endswith("every") else low / 2 + high / 4)
    given = {**(BOUNDS if name in OF_PULSES or name in BOUNDS else {}), name: value}
    address = "sim:analog-8bit?" + "&".join(f"{key}={text}" for key, text in given.items())
    spec = parse(address)
    assert getattr(spec.nonidealities, name) == value
    assert spec.nonidealities.given().keys() == given.keys()
    assert spec.identity() != ChipSpec().identity()
    with pytest.raises(ConfigError, match=rf"^sim:analog-8bit\?{name}=much: {name}='much': expected a "):
        parse(f"sim:analog-8bit?{name}=much")
