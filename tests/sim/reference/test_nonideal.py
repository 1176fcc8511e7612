"""Nonideal chips against `referee_nonideal.py`, which was written from docs/chip.md alone: every bit has to agree."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields, replace
from random import Random
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mgdhw.block import Block, Part
from mgdhw.datasets import Dataset
from mgdhw.random import gaussian, gaussian_tables
from mgdhw.random.philox import Stream
from mgdhw_sim.nonidealities import OF_PULSES, RANGES, Nonidealities
from mgdhw_sim.reference import cells, nonideal, variation
from mgdhw_sim.reference.chip import Chip
from mgdhw_sim.spec import PULSED_BITS, ChipSpec
from tests.sim.draws import (
    SIGNALS,
    cut,
    draw_block,
    draw_chip,
    draw_dataset,
    draw_effects,
    draw_moved,
    draw_theta,
    run_pieces,
)
from tests.sim.reference import referee_nonideal, referee_variation
from tests.sim.reference.test_chip import Work, assert_same

DRAWS = 42  # for each choice of signal widths
LARGEST = 80  # parameters


def draw_small(rng: Random, signals: Sequence[tuple[int, float]]) -> ChipSpec:
    """A nonideal chip with few parameters: the referee takes them one by one, and pulses, too."""
    spec = draw_chip(rng, signals)
    if spec.topology.n_parameters > LARGEST:
        spec = replace(spec, layers=(rng.randint(9, 18), rng.randint(1, 3), rng.randint(1, 3)))
    return draw_effects(rng, spec)


def judge_of(spec: ChipSpec, dataset: Dataset) -> referee_nonideal.NonidealChip:
    judge = referee_nonideal.NonidealChip(spec)
    judge.load(dataset.values(np.arange(dataset.n_samples)).tolist(), dataset.targets.tolist())
    return judge


def assert_referee_has_cells_of(chip: Chip, judge: referee_nonideal.NonidealChip) -> None:
    """What was asked for, what is held, how worn it is, and the weights that it makes."""
    assert chip.cells is not None
    assert_array_equal(chip.cells.requested, [cell.asked for cell in judge.cells])
    assert_array_equal(chip.cells.value, [cell.v for cell in judge.cells])
    assert_array_equal(chip.cells.written_tick, [cell.tick for cell in judge.cells])
    assert_array_equal(chip.cells.wear, [cell.writes for cell in judge.cells])
    assert (chip.current_step, chip.cells.written) == (judge.now, judge.written)
    unit = 2.0 ** -(chip.spec.weight_fraction_bits + 14)
    assert_array_equal(chip.theta_actual(), np.array(judge.held()) * unit)
    tick = judge.tick(judge.now)
    fine = cells.weights(chip.spec, chip.cells, tick)
    assert_array_equal(fine, [judge.weight(n, 0, tick) for n in range(fine.size)])


def draw_writes(rng: Random, spec: ChipSpec, block: Block) -> list[tuple[int, list[float]]]:
    """Steps and θ: one for all parameters, then some of them moved, before the block and in the midst of it."""
    theta = draw_theta(rng, spec, block.codes.amplitude)
    first, end = block.first_step, block.first_step + block.n_probes
    steps = [*sorted(rng.randint(max(0, first - 200), first) for _ in range(3)), rng.randint(first, end)]
    writes = []
    for step in steps:
        theta = draw_moved(rng, spec, theta, block.codes.amplitude)
        writes.append((step, theta))
    return writes


def compare(
    number: int,
    signals: Sequence[tuple[int, float]],
    draw: Callable[[Random, Sequence[tuple[int, float]]], ChipSpec] = draw_small,
) -> None:
    """One draw: a chip is written a few times, and runs a block, whole and in pieces, before and after the last."""
    rng = Random(number)
    spec = draw(rng, signals)
    dataset = draw_dataset(rng, spec)
    block = replace(drawn := draw_block(rng, spec, dataset.n_samples), n_probes=min(drawn.n_probes, 9))
    chip, judge = Chip(spec), judge_of(spec, dataset)
    try:
        chip.load(dataset)
        *before, last = draw_writes(rng, spec, block)
        for writes in (before, [last]):
            for step, theta in writes:
                chip.write(np.array(theta), step)
                assert_array_equal(chip.codes, judge.write(theta, step))
                assert_referee_has_cells_of(chip, judge)
            some = [rng.randrange(dataset.n_samples) for _ in range(3)]
            assert_array_equal(chip.infer(np.array(some), chip.current_step), judge.infer(some, chip.current_step))
            answer = judge.probe(Work(block))
            assert_same(chip.probe(block), answer)
            assert_same(run_pieces(chip, cut(rng, block)), answer)
            part, step = rng.choice([Part.BASELINE, Part.PLUS, Part.MINUS]), block.first_step
            alone = judge.measure([0] * len(judge.cells), some, step, int(part), None)
            assert chip.measure(np.array(some), step, part) == alone.cost
            everything, later = np.arange(dataset.n_samples), rng.randrange(1 << 40)
            assert_array_equal(chip.infer(everything, later), judge.infer(everything.tolist(), later))
    except AssertionError as error:
        raise AssertionError(f"draw {number}: {spec}, {block}: {error}") from None


def compare_all(numbers: Iterable[int], signals: Sequence[tuple[int, float]]) -> None:
    for number in numbers:
        compare(number, signals)


@pytest.mark.long
@pytest.mark.parametrize("signals", SIGNALS)
def test_random_nonideal_chips_agree_with_the_referee(signals: Sequence[tuple[int, float]]) -> None:
    first = SIGNALS.index(tuple(signals)) * DRAWS
    compare_all(range(first, first + DRAWS), signals)


def draw_extreme(rng: Random, signals: Sequence[tuple[int, float]]) -> ChipSpec:
    """Most strengths at one of their ends, so that everything that can clip or saturate does."""
    spec = draw_small(rng, signals)
    lsb = spec.weight_lsb
    strengths: dict[str, float] = {
        f.name: f.default if rng.random() < 0.3 else rng.choice(RANGES[f.name]) for f in fields(Nonidealities)
    }
    strengths |= {"drift_every": rng.choice((1, 2**40)), "temperature_every": rng.choice((1, 2**40))}
    strengths |= {"stuck": rng.choice((0, 0.5)), "dead": rng.choice((0, 0.5))}
    if spec.weight_bits <= PULSED_BITS and rng.random() < 0.5:
        strengths |= {
            "w_max": rng.choice((lsb, 64.0)),
            "w_min": -rng.choice((lsb, 64.0)),
            "dw_min": rng.choice((0, lsb)),
        }
    else:
        strengths |= dict.fromkeys(("w_max", "w_min", *OF_PULSES), 0.0)
    return replace(spec, nonidealities=Nonidealities(**strengths))  # type: ignore[arg-type]


@pytest.mark.long
def test_chips_at_the_ends_of_every_range_agree_with_the_referee() -> None:
    for number in range(40):
        compare(number, SIGNALS[number % len(SIGNALS)], draw_extreme)


# --- what is a little wrong -------------------------------------------------------------------------------------------


def truncate(value: Any, bits: int) -> Any:
    return value >> bits


def of_layer_0(*args: Any, layer: int = 0, **kwargs: Any) -> Any:
    return gaussian.gaussians(*args, **kwargs)


@pytest.fixture
def no_memos() -> Iterator[None]:
    """Mismatch is drawn anew, so that what is broken on purpose has its effect, and no after-effect."""

    def forget() -> None:
        for memo in (
            variation.cells_of,
            variation.pulses_of,
            variation.drift_of,
            variation.endurance_of,
            variation.neurons_of,
        ):
            memo.cache_clear()

    forget()
    yield
    forget()


@pytest.mark.parametrize(
    ("module", "name", "broken"),
    [
        (cells, "shift_round", truncate),
        (nonideal, "shift_round", truncate),
        (variation, "shift_round", truncate),
        (cells, "tick", lambda spec, step: 0),
        (cells, "isqrt", lambda value: round(value**0.5)),
        (cells, "LARGEST_AGE", (8 << 20) - 1),
        (cells, "logarithm", lambda count: cells.interpolate(cells.log_table(20), 0 * count, 20)),
        (nonideal, "temperature", lambda spec, step: 0),
        (nonideal, "gaussians", of_layer_0),
        (variation, "gaussians", of_layer_0),
        (gaussian, "tail_words", lambda seed, stream, steps, indices, **which: indices.astype(np.uint32)),
    ],
)
@pytest.mark.usefixtures("no_memos")
def test_a_nonideal_chip_that_is_a_little_wrong_is_noticed(
    monkeypatch: pytest.MonkeyPatch, module: object, name: str, broken: Callable[..., Any] | int
) -> None:
    monkeypatch.setattr(module, name, broken)
    with pytest.raises(AssertionError, match=r"^draw \d+"):
        compare_all(range(40), SIGNALS[0])


def test_draws_reach_every_effect() -> None:
    given: Counter[str] = Counter()
    for number in range(DRAWS):
        given.update(draw_small(Random(number), SIGNALS[0]).nonidealities.given().keys())
    assert set(given) == {f.name for f in fields(Nonidealities)}
    assert min(given.values()) > DRAWS // 10


# --- noise ------------------------------------------------------------------------------------------------------------


def test_tables_of_noise_agree_with_the_referee() -> None:
    slabs, steps, far = referee_variation.noise_tables()
    assert_array_equal(gaussian_tables.BORDERS, slabs)
    assert_array_equal(gaussian_tables.RARE, steps)
    assert_array_equal(gaussian_tables.FAR, far)


def test_draws_of_all_fields_agree_with_the_referee() -> None:
    near = np.arange(1 << 15, dtype=np.uint16)
    near = near[~gaussian.is_far(near)]
    assert_array_equal(gaussian.magnitudes(near), [referee_variation.draw_of(int(f), 0) for f in near])
    words = [0, 1, 2, 3, *(2**k + d for k in range(2, 32) for d in (-1, 0, 2**k // 3, 2**k - 1)), 2**32 - 1]
    expected = [referee_variation.draw_of(0x7FF0, word) for word in words]
    assert_array_equal(gaussian.far_magnitudes(np.array(words, dtype=np.uint32)), expected)


@pytest.mark.parametrize(("seed", "step"), [(0, 0), (2**64 - 1, 2**40 + 5), (2**33 + 7, 2**32 - 1)])
def test_draws_of_any_key_agree_with_the_referee(seed: int, step: int) -> None:
    for stream, layer, part in ((Stream.READ, 3, 2), (Stream.MISMATCH, 13, 0), (Stream.ADC, 0, 3)):
        ours = gaussian.gaussians(seed, stream, [step], 4000, layer=layer, substream=part)[0]
        expected = [referee_variation.gaussian(seed, stream, step, layer, part, n) for n in range(4000)]
        assert_array_equal(ours, expected)
