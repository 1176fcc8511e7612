"""Parts of the datapath by themselves: exact products, memory in pieces, costs against the mathematics."""

from math import exp, log

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mgdhw.arrays import IntArray
from mgdhw.block import Baseline, Block, CodeSpec
from mgdhw.datasets import Dataset
from mgdhw.random.philox import Stream, words
from mgdhw.random.sample_order import SampleOrder
from mgdhw_sim.reference import chip as chip_module
from mgdhw_sim.reference import datapath
from mgdhw_sim.reference.chip import Chip
from mgdhw_sim.reference.datapath import exact_product
from mgdhw_sim.spec import ChipSpec


def integers(seed: int, bound: int, *shape: int) -> IntArray:
    """Integers within ±bound."""
    drawn = words(seed, Stream.DATA, [0], int(np.prod(shape)))[0].astype(np.int64)
    return np.asarray((drawn % (2 * bound + 1)) - bound).reshape(shape)


# --- exact products ---------------------------------------------------------------------------------------------------


def kind_of(bound: int) -> str:
    return "float32" if bound < 2**24 else "float64" if bound < 2**53 else "int64"


@pytest.mark.parametrize("size", [2**4, 2**10, 2**22, 2**30])
def test_all_kinds_of_arithmetic_give_the_same_product(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    x, w = integers(1, size, 3, 5, 40), integers(2, 100, 3, 7, 40)
    row_sum = int(np.abs(w).sum(axis=-1).max())
    expected = [
        [[sum(a * b for a, b in zip(xb, wj, strict=True)) for wj in wk] for xb in xk]
        for xk, wk in zip(x.tolist(), w.tolist(), strict=True)
    ]
    for float32, float64 in ((24, 53), (0, 53), (0, 0)):
        monkeypatch.setattr(datapath, "EXACT_FLOAT32_BITS", float32)
        monkeypatch.setattr(datapath, "EXACT_FLOAT64_BITS", float64)
        assert_array_equal(exact_product(x, w, size * row_sum), expected)


@pytest.mark.parametrize(("name", "bits"), [("EXACT_FLOAT32_BITS", 24), ("EXACT_FLOAT64_BITS", 53)])
def test_a_product_is_exact_up_to_its_bound_and_would_not_be_beyond(
    monkeypatch: pytest.MonkeyPatch, name: str, bits: int
) -> None:
    """Inputs of 1 times weights that add up to 2**b - 1, the largest allowed, and to 2**b + 1."""
    assert getattr(datapath, name) == bits
    ones = np.ones((1, 3), dtype=np.int64)
    within = np.array([[2 ** (bits - 1), 2 ** (bits - 1) - 2, 1]])
    beyond = np.array([[2 ** (bits - 1), 2 ** (bits - 1), 1]])
    assert kind_of(int(within.sum())) != kind_of(int(beyond.sum()))
    for weights in (within, -within, beyond, -beyond):
        assert exact_product(ones, weights, int(np.abs(weights).sum())).tolist() == [[weights.sum()]]
    monkeypatch.setattr(datapath, name, 62)
    assert exact_product(ones, within, int(within.sum())).tolist() == [[within.sum()]]
    assert exact_product(ones, beyond, int(beyond.sum())).tolist() != [[beyond.sum()]]


def test_chips_of_all_widths_stay_within_their_bounds() -> None:
    """The bound that a chip gives is one: no input or signal is beyond it, at both rails."""
    for spec in (ChipSpec(), ChipSpec(input_bipolar=True), ChipSpec(input_bits=1), ChipSpec(input_bits=16)):
        low, high = datapath.input_codes(spec, np.array([-9.0, 9.0]))
        assert max(abs(low), abs(high)) <= 1 << spec.input_fraction_bits
        rails = datapath.saturate(np.array([-(2**40), 2**40]), spec.signal_bits)
        assert np.abs(rails).max() == 1 << (spec.signal_bits - 1)


# --- memory in pieces -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("baseline", Baseline)
def test_work_in_small_pieces_gives_the_same_answers(monkeypatch: pytest.MonkeyPatch, baseline: Baseline) -> None:
    spec = ChipSpec(layers=(5, 4, 3))
    data = Dataset("some", integers(3, 100, 20, 5) / 100, 1.0, np.eye(3)[np.arange(20) % 3], 20)
    block = Block(5, 50, CodeSpec("random", 1, 4), SampleOrder(2, 20, batch=3, tau_x=4), baseline)
    answers = []
    for size in (chip_module.WORK_VALUES, 60, 1):
        monkeypatch.setattr(chip_module, "WORK_VALUES", size)
        chip = Chip(spec)
        chip.load(data)
        chip.codes = integers(4, 100, 39)
        costs = chip.probe(block)
        answers.append((costs.perturbed, costs.reference, chip.infer(np.arange(20), 0)))
        assert costs.evaluations == block.evaluations()
    for answer in answers[1:]:
        for ours, whole in zip(answer, answers[0], strict=True):
            assert_array_equal(ours, whole)


def test_no_samples_have_no_outputs() -> None:
    chip = Chip(ChipSpec(layers=(5, 4, 3)))
    assert chip.infer(np.arange(0), 0).shape == (0, 3)


# --- costs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signal_bits", [16, 24])
def test_costs_are_what_they_are_called(signal_bits: int) -> None:
    """Within two cost codes of mean squared error and cross-entropy in floating point."""
    spec = ChipSpec(layers=(1, 4), signal_bits=signal_bits, cost_bits=12, cost_range=64.0, output_activation="identity")
    signals = integers(5, 1 << (signal_bits - 2), 200, 4)
    targets = np.eye(4, dtype=np.int64)[np.arange(200) % 4] * 4096
    y = signals * 2.0**-spec.signal_fraction_bits
    squared = np.square(y - targets / 4096).mean(axis=-1)
    entropy = [log(sum(exp(v) for v in row)) - row[i % 4] for i, row in enumerate(y.tolist())]
    for cost, expected in (("mse", squared), ("xent", np.array(entropy))):
        kind = ChipSpec(
            layers=(1, 4),
            signal_bits=signal_bits,
            cost=cost,
            cost_bits=12,
            cost_range=64.0,
            output_activation="identity",
        )
        found = datapath.cost_codes(kind, signals, targets) * kind.cost_lsb
        assert np.abs(found - expected).max() < 2 * kind.cost_lsb
