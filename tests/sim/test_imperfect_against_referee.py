"""Imperfect chips against `referee_imperfect.py`, which was written from docs/chip.md alone: every bit has to agree."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from random import Random
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mgdhw import noise, noise_tables
from mgdhw.block import Baseline, Block, Part
from mgdhw.datasets import Dataset
from mgdhw.philox import Stream
from mgdhw_sim import cells, imperfect, mismatch
from mgdhw_sim.chip import Chip
from mgdhw_sim.effects import Effects
from mgdhw_sim.spec import ChipSpec

from . import referee_imperfect
from .draws import SIGNALS, cut, draw_block, draw_chip, draw_dataset, draw_effects, draw_theta, run_pieces
from .test_chip_against_referee import Work, assert_same

DRAWS = 50  # for each choice of signal widths
LARGEST = 80  # parameters


def draw_small(rng: Random, signals: Sequence[tuple[int, float]]) -> ChipSpec:
    """An imperfect chip with few parameters: the referee takes them one by one, and pulses, too."""
    spec = draw_chip(rng, signals)
    if spec.topology.n_parameters > LARGEST:
        spec = replace(spec, layers=(rng.randint(9, 18), rng.randint(1, 3), rng.randint(1, 3)))
    return draw_effects(rng, spec)


def judge_of(spec: ChipSpec, dataset: Dataset) -> referee_imperfect.ImperfectChip:
    judge = referee_imperfect.ImperfectChip(spec)
    judge.load(dataset.values(np.arange(dataset.n_samples)).tolist(), dataset.targets.tolist())
    return judge


def assert_same_cells(chip: Chip, judge: referee_imperfect.ImperfectChip) -> None:
    """What was asked for, what is held, how worn it is, and the weights that it makes."""
    assert chip.cells is not None
    assert_array_equal(chip.cells.requested, [cell.asked for cell in judge.cells])
    assert_array_equal(chip.cells.value, [cell.v for cell in judge.cells])
    assert_array_equal(chip.cells.born, [cell.tick for cell in judge.cells])
    assert_array_equal(chip.cells.wear, [cell.writes for cell in judge.cells])
    assert (chip.now, chip.cells.written) == (judge.now, judge.written)
    unit = 2.0 ** -(chip.spec.weight_fraction_bits + 14)
    assert_array_equal(chip.held(), np.array(judge.held()) * unit)
    tick = judge.tick(judge.now)
    fine = cells.weights(chip.spec, chip.cells, tick)
    assert_array_equal(fine, [judge.weight(n, 0, tick) for n in range(fine.size)])


def draw_writes(rng: Random, spec: ChipSpec, block: Block) -> list[tuple[int, list[float]]]:
    """Steps and θ: one for all parameters, then some of them moved, before the block and in the midst of it."""
    theta = draw_theta(rng, spec, block.codes.amplitude)
    first, end = block.first_step, block.first_step + block.n_probes
    steps = sorted(rng.randint(max(0, first - 200), first) for _ in range(3)) + [rng.randint(first, end)]
    writes = []
    for step in steps:
        other = draw_theta(rng, spec, block.codes.amplitude)
        if spec.effects.pulsed:  # near by, so that there are not so many pulses
            other = [0.9 * a + 0.1 * b for a, b in zip(theta, other, strict=True)]
        theta = [b if rng.random() < 0.5 else a for a, b in zip(theta, other, strict=True)]
        writes.append((step, theta))
    return writes


def compare(number: int, signals: Sequence[tuple[int, float]]) -> None:
    """One draw: a chip is written a few times, and runs a block, whole and in pieces, before and after the last."""
    rng = Random(number)
    spec = draw_small(rng, signals)
    dataset = draw_dataset(rng, spec)
    block = draw_block(rng, spec, dataset.n_samples)
    chip, judge = Chip(spec), judge_of(spec, dataset)
    try:
        chip.load(dataset)
        *before, last = draw_writes(rng, spec, block)
        for writes in (before, [last]):
            for step, theta in writes:
                chip.write(np.array(theta), step)
                assert_array_equal(chip.codes, judge.write(theta, step))
                assert_same_cells(chip, judge)
            some = [rng.randrange(dataset.n_samples) for _ in range(3)]
            assert_array_equal(chip.infer(np.array(some)), judge.infer(some))
            answer = judge.probe(Work(block))
            assert_same(chip.probe(block), answer)
            assert_same(run_pieces(chip, cut(rng, block)), answer)
            part, step = rng.choice([Part.BASELINE, Part.PLUS, Part.MINUS]), block.first_step
            alone = judge.measure([0] * len(judge.cells), some, step, int(part), None)
            assert chip.measure(np.array(some), step, part) == alone.cost
            everything = np.arange(dataset.n_samples)
            assert_array_equal(chip.infer(everything), judge.infer(everything.tolist()))
    except AssertionError as error:
        raise AssertionError(f"draw {number}: {spec}, {block}: {error}") from None


@pytest.mark.parametrize("signals", SIGNALS)
def test_random_imperfect_chips_agree_with_the_referee(signals: Sequence[tuple[int, float]]) -> None:
    first = SIGNALS.index(tuple(signals)) * DRAWS
    for number in range(first, first + DRAWS):
        compare(number, signals)
