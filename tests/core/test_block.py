"""Blocks: which batches and baselines they take, compared with a probe-by-probe account."""

from itertools import product

import pytest

from mgdhw.block import Baseline, Block, CodeSpec, HeldBaseline
from mgdhw.random.sample_order import SampleOrder

CASES = [
    Block(first, count, CodeSpec(), SampleOrder(0, 5, batch=2, tau_x=tau_x), baseline, held)
    for first, count, tau_x, baseline, held in product(
        (0, 1, 5, 12, 2**40),
        (1, 2, 7, 25),
        (1, 3, 10, 1000),
        Baseline,
        (None, HeldBaseline(7, 0), HeldBaseline(7, 4), HeldBaseline(7, 2**40 - 1)),
    )
]


def baseline_steps(block: Block) -> list[int]:
    """One probe after the other: a baseline holds while its batch does."""
    steps = []
    held = None if block.held is None else block.order.batch_of(block.held.step)
    for step in range(block.first_step, block.first_step + block.n_probes):
        batch = block.order.batch_of(step)
        if block.baseline is Baseline.EVERY or (block.baseline is Baseline.HELD and batch != held):
            steps.append(step)
            held = batch
    return steps


def test_baselines_are_taken_where_batch_or_parameters_change() -> None:
    for block in CASES:
        assert block.baseline_steps() == baseline_steps(block), block


def test_evaluations_count_probes_and_baselines() -> None:
    for block in CASES:
        per_probe = 2 if block.baseline is Baseline.ANTITHETIC else 1
        assert block.evaluations() == per_probe * block.n_probes + len(baseline_steps(block)), block


def test_batches_are_those_of_the_probes() -> None:
    for block in CASES:
        batches = {step // block.order.tau_x for step in range(block.first_step, block.first_step + block.n_probes)}
        assert range(block.first_batch(), block.first_batch() + block.n_batches()) == range(
            min(batches), max(batches) + 1
        )


@pytest.mark.parametrize("baseline", [Baseline.EVERY, Baseline.ANTITHETIC, Baseline.NONE])
def test_only_held_baselines_are_carried(baseline: Baseline) -> None:
    block = Block(3, 4, CodeSpec(), SampleOrder(0, 5, tau_x=10), baseline, HeldBaseline(1, 2))
    assert block.valid_held() is None


def test_a_carried_baseline_holds_for_its_own_batch() -> None:
    order = SampleOrder(0, 5, tau_x=10)
    held = HeldBaseline(123, 12)
    assert Block(15, 4, CodeSpec(), order, held=held).valid_held() is held
    assert Block(20, 4, CodeSpec(), order, held=held).valid_held() is None
    assert Block(9, 4, CodeSpec(), order, held=held).valid_held() is None
