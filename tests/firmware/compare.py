"""The C core against the Python reference, bit for bit, on random chips, blocks and segments.

Run it alone for many more draws than the tests make, from the repository's root:

    make -C drivers/mgdhw_drivers/firmware libcore.so
    python -m tests.firmware.compare --blocks 10000 --segments 1000
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
from numpy.testing import assert_array_equal

from mgdhw.block import Baseline, Block, Part
from mgdhw.codes import FAMILIES
from mgdhw.learning.filters import FilterState
from mgdhw.learning.gradient import Window
from mgdhw.learning.rule import LearningRule, ParameterGrid
from mgdhw.learning.schedule import SCHEDULES, ScheduleSpec
from mgdhw.learning.segment import Segment, SegmentResult
from mgdhw.learning.state import TrainState
from mgdhw.optimizers import OPTIMIZERS, Adam
from mgdhw.random.sample_order import SampleOrder
from mgdhw_sim.engines.reference import Reference
from mgdhw_sim.reference import cells
from mgdhw_sim.reference.chip import Chip
from mgdhw_sim.spec import ChipSpec
from tests.helpers.states import assert_same_cells, assert_same_state
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

from .core import FIRMWARE, Core, CoreChip

REFERENCE = Reference()
PROGRESS = 500


def both(core: Core, rng: Random, number: int) -> tuple[Chip, CoreChip, int]:
    """The same chip twice, with the same data, and its number of samples. Every other one is nonideal."""
    spec = draw_chip(rng, SIGNALS[number // 50 % len(SIGNALS)])  # fifty share the tables that are slow to make
    if number % 2:
        spec = draw_effects(rng, spec)
    dataset = draw_dataset(rng, spec)
    chip, ours = Chip(spec), CoreChip(core, spec)
    chip.load(dataset)
    ours.load(dataset)
    return chip, ours, dataset.n_samples


def draw_writes(rng: Random, spec: ChipSpec, block: Block) -> list[tuple[int, list[float]]]:
    """Steps and θ: one for all parameters, then, on a nonideal chip, some of them moved, before and in the block."""
    theta = draw_theta(rng, spec, block.codes.amplitude)
    first = block.first_step
    writes = [(rng.randint(max(0, first - 200), first), theta)]
    for step in () if spec.ideal else (first, rng.randint(first, first + block.n_probes)):
        theta = draw_moved(rng, spec, theta, block.codes.amplitude)
        writes.append((step, theta))
    return writes


def assert_core_has_cells_of(chip: Chip, ours: CoreChip) -> None:
    """What is asked for, held, worn, and the weights that it makes."""
    assert_same_cells(chip.cell_state(), ours.cell_state())
    if chip.cells is not None:
        tick = cells.tick(chip.spec, chip.current_step)
        held, weights = ours.cells()
        assert_array_equal(held, cells.aged(chip.spec, chip.cells, tick))
        assert_array_equal(weights, cells.weights(chip.spec, chip.cells, tick))


def compare_blocks(core: Core, number: int) -> None:
    """One draw: converters, writes, outputs, a measurement, and a block, whole and in pieces."""
    rng = Random(number)
    chip, ours, samples = both(core, rng, number)
    block = draw_block(rng, chip.spec, samples)
    for step, theta in draw_writes(rng, chip.spec, block):
        chip.write(np.array(theta), step)
        assert_array_equal(ours.parameter_codes(theta), chip.codes)
        ours.write(chip.codes, step)
    assert_core_has_cells_of(chip, ours)
    everything = np.arange(samples)
    assert_array_equal(ours.infer(everything, step := rng.randrange(1 << 40)), chip.infer(everything, step))
    part = rng.choice((Part.BASELINE, Part.PLUS, Part.MINUS))
    assert ours.measure(everything, block.first_step, part) == chip.measure(everything, block.first_step, part)
    pieces = cut(rng, block)
    for expected, answer in (
        (chip.probe(block), ours.probe(block)),
        (run_pieces(chip, pieces), run_pieces(ours, pieces)),  # type: ignore[arg-type]
    ):
        assert_array_equal(answer.perturbed, expected.perturbed)
        assert_array_equal(answer.reference, expected.reference)
        assert (answer.evaluations, answer.held) == (expected.evaluations, expected.held)
    assert_array_equal(ours.infer(everything, step := rng.randrange(1 << 40)), chip.infer(everything, step))


def draw_rule(rng: Random, spec: ChipSpec, samples: int, optimizer: str) -> LearningRule:
    """Any recipe for a chip."""
    continuous, p = rng.random() < 0.2, spec.topology.n_parameters
    block = draw_block(rng, spec, samples)
    codes = replace(block.codes, amplitude=rng.choice((1, 3, 9)))
    room = (codes.amplitude + 0.5) * spec.weight_lsb
    chosen = OPTIMIZERS[optimizer]()
    if isinstance(chosen, Adam):
        chosen = replace(chosen, bias_correction=rng.random() < 0.7)
    return LearningRule(
        codes=codes,
        order=SampleOrder(block.order.seed, samples, rng.choice((1, 2, 5, 70)), block.order.tau_x),
        baseline=Baseline.NONE if continuous else rng.choice((Baseline.HELD, Baseline.EVERY, Baseline.ANTITHETIC)),
        continuous=continuous,
        update_period=rng.randint(1, 12),
        tau_theta=rng.randint(1, 20),
        tau_hp=rng.uniform(0.5, 20.0),
        normalise=rng.choice(("energy", "energy", "oripov")),
        optimizer=chosen,
        eta=rng.choice((0.001, 0.1, 3.0)),
        schedule=ScheduleSpec(rng.choice(list(SCHEDULES))),
        updates=rng.choice((0, 40)),
        stochastic=rng.random() < 0.3,
        grid=ParameterGrid(-spec.weight_range, spec.weight_range - spec.weight_lsb, spec.weight_lsb),
        low=np.asarray(room - spec.weight_range),
        high=np.asarray(spec.weight_range - spec.weight_lsb - room),
        cost_lsb=spec.cost_lsb,
        seed=rng.getrandbits(64),
        filter_weight=np.array([rng.uniform(0.1, 9.0) for _ in range(p)])
        if continuous and rng.random() < 0.5
        else None,
    )


def compare_segments(core: Core, number: int) -> None:
    """One draw: a segment of training, whole and in two, against the reference engine."""
    rng = Random(f"segment {number}")
    chip, ours, samples = both(core, rng, number)
    rule = draw_rule(rng, chip.spec, samples, list(OPTIMIZERS)[number % len(OPTIMIZERS)])
    p, step = chip.topology.n_parameters, rng.choice((0, 0, 12 * 2**30))
    theta = np.clip(draw_theta(rng, chip.spec, rule.codes.amplitude), rule.low, rule.high)
    state = TrainState(
        step=step,
        update=rng.choice((0, 7)),
        theta=theta,
        optimizer=rule.optimizer.init(p),
        window=Window.empty(p),
        filters=FilterState.empty(p),
        held=None,
        evaluations=0,
        digest_state=bytes(32),
    )
    probes = rng.randint(2, 40)
    first = rng.randint(1, probes - 1)

    def in_two(learn: Callable[[Segment], SegmentResult]) -> SegmentResult:
        return learn(Segment(learn(Segment(state, rule, first)).state, rule, probes - first))

    expected = REFERENCE.learn(chip, Segment(state, rule, probes))
    stored = chip.codes.copy()
    for result in (ours.learn(Segment(state, rule, probes)), in_two(ours.learn)):
        assert_same_state(result.state, expected.state)
        assert_array_equal(ours.codes, stored)
    whole = ours.learn(Segment(state, rule, probes))
    assert whole.cost == expected.cost
    assert (whole.last is None) == (expected.last is None)
    if whole.last is not None and expected.last is not None:
        assert whole.last.eta == expected.last.eta


def compare(core: Core, blocks: range, segments: range) -> None:
    """All draws of the two kinds. A failure names its draw."""
    for what, numbers, one in (("block", blocks, compare_blocks), ("segment", segments, compare_segments)):
        for number in numbers:
            try:
                one(core, number)
            except Exception as error:
                raise AssertionError(f"{what} {number}: {error!r}") from error
            if (number + 1) % PROGRESS == 0:
                sys.stdout.write(f"{what}s {numbers.start} ... {number}: every bit the same\n")
                sys.stdout.flush()


def main() -> None:
    """Compare as many draws as asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", type=Path, default=FIRMWARE / "build" / "libcore.so")
    parser.add_argument("--blocks", type=int, default=300)
    parser.add_argument("--segments", type=int, default=150)
    parser.add_argument("--first", type=int, default=0, help="number of the first draw")
    options = parser.parse_args()
    compare(
        Core(options.library),
        range(options.first, options.first + options.blocks),
        range(options.first, options.first + options.segments),
    )
    families = ", ".join(FAMILIES)
    sys.stdout.write(f"{options.blocks} blocks ({families}) and {options.segments} segments: every bit the same\n")


if __name__ == "__main__":
    main()
