"""The chip against `referee.py`, which was written from docs/chip.md alone: every bit has to agree."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from random import Random

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mgdhw.arrays import IntArray
from mgdhw.block import Baseline, Block, CodeSpec, Costs, HeldBaseline
from mgdhw.codes import FAMILIES, Codes, generator
from mgdhw.datasets import Dataset
from mgdhw.device import Device
from mgdhw.random import philox, sample_order
from mgdhw.random.sample_order import SampleOrder
from mgdhw.topology import Topology
from mgdhw_sim.device import SimDevice, open_uri
from mgdhw_sim.presets import PRESETS
from mgdhw_sim.reference import datapath
from mgdhw_sim.reference.chip import Chip
from mgdhw_sim.spec import ChipSpec
from mgdhw_sim.uri import parse
from tests.sim.draws import SIGNALS, STEPS, cut, draw_block, draw_chip, draw_dataset, draw_theta, run_pieces
from tests.sim.reference import referee, referee_codes

DRAWS = 60  # for each choice of signal widths


class Work:
    """A block under the page's names."""

    def __init__(self, block: Block) -> None:
        self.codes = block.codes
        self.first, self.count = block.first_step, block.n_probes
        self.batch, self.tau_x, self.order_seed = block.order.batch, block.order.tau_x, block.order.seed
        self.baseline = str(block.baseline)


def judge_of(spec: ChipSpec, dataset: Dataset) -> referee.Chip:
    judge = referee.Chip(spec)
    judge.load(dataset.values(np.arange(dataset.n_samples)).tolist(), dataset.targets.tolist())
    return judge


def both(spec: ChipSpec, dataset: Dataset, theta: Sequence[float]) -> tuple[Chip, referee.Chip]:
    """A chip and its referee, with the same data and parameters."""
    chip, judge = Chip(spec), judge_of(spec, dataset)
    chip.load(dataset)
    chip.codes = datapath.parameter_codes(spec, np.array(theta))
    assert_array_equal(chip.codes, judge.write(theta))
    return chip, judge


def assert_same(costs: Costs, answer: referee.Answer) -> None:
    assert_array_equal(costs.perturbed, answer.perturbed)
    assert_array_equal(costs.reference, answer.other or [0] * len(answer.perturbed))
    assert costs.evaluations == answer.evaluations


def compare(number: int, signals: Sequence[tuple[int, float]]) -> None:
    """One draw: a chip, its parameters, its data, and a block, whole and in pieces."""
    rng = Random(number)
    spec = draw_chip(rng, signals)
    dataset = draw_dataset(rng, spec)
    block = draw_block(rng, spec, dataset.n_samples)
    try:
        chip, judge = both(spec, dataset, draw_theta(rng, spec, block.codes.amplitude))
        everything = np.arange(dataset.n_samples)
        assert_array_equal(chip.infer(everything, 0), judge.infer(everything.tolist(), 0))
        answer = judge.probe(Work(block))
        assert_same(chip.probe(block), answer)
        assert_same(run_pieces(chip, cut(rng, block)), answer)
    except AssertionError as error:
        raise AssertionError(f"draw {number}: {spec}, {block}: {error}") from None


def compare_all(numbers: Iterable[int], signals: Sequence[tuple[int, float]]) -> None:
    for number in numbers:
        compare(number, signals)


def forget_memos() -> None:
    generator._chunk.cache_clear()
    sample_order._chunk.cache_clear()


@pytest.fixture
def no_memos() -> Iterator[None]:
    """Codes and orders are made anew, so that a generator broken on purpose has its effect, and no after-effect."""
    forget_memos()
    yield
    forget_memos()


# --- random chips -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signals", SIGNALS)
def test_random_chips_and_blocks_agree_with_the_referee(signals: Sequence[tuple[int, float]]) -> None:
    first = SIGNALS.index(tuple(signals)) * DRAWS
    compare_all(range(first, first + DRAWS), signals)


def truncate(value: IntArray, bits: int) -> IntArray:
    return value >> bits if bits > 0 else value << -bits


def half_to_even(value: IntArray, bits: int) -> IntArray:
    return np.rint(value / 2.0**bits).astype(np.int64) if bits > 0 else value << -bits


def wrap(value: IntArray, bits: int) -> IntArray:
    return (value + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1))


def staircase(table: IntArray, position: IntArray, segment_bits: int) -> IntArray:
    return np.asarray(table[position >> segment_bits])


@pytest.mark.parametrize(
    ("module", "name", "broken"),
    [
        (datapath, "shift_round", truncate),
        (datapath, "shift_round", half_to_even),
        (datapath, "saturate", wrap),
        (datapath, "interpolate", staircase),
        (datapath, "TARGET_FRACTION_BITS", 13),
        (philox, "philox4x32", partial(philox.philox4x32, rounds=9)),
        (sample_order, "ORDER_ROUNDS", 7),
    ],
)
@pytest.mark.usefixtures("no_memos")
def test_a_chip_that_is_a_little_wrong_is_noticed(
    monkeypatch: pytest.MonkeyPatch, module: object, name: str, broken: Callable[..., IntArray] | int
) -> None:
    monkeypatch.setattr(module, name, broken)
    with pytest.raises(AssertionError, match=r"^draw \d+"):
        compare_all(range(40), SIGNALS[0])


# --- chosen chips -----------------------------------------------------------------------------------------------------


def some_data(spec: ChipSpec, count: int = 6) -> Dataset:
    rng = Random(spec.layers[0])
    inputs = np.array([[rng.random() for _ in range(spec.layers[0])] for _ in range(count)])
    return Dataset("some", inputs, 1.0, np.eye(spec.layers[-1])[np.arange(count) % spec.layers[-1]], count)


IDEAL = [name for name in PRESETS if parse(f"sim:{name}").ideal]
"""Nonideal ones have a referee of their own."""


@pytest.mark.parametrize("uri", [f"sim:{preset}{cost}" for preset in IDEAL for cost in ("", "?cost=xent")])
@pytest.mark.parametrize("codes", ["chip", pytest.param("host", marks=pytest.mark.long)])
async def test_presets_agree_with_the_referee_as_devices(uri: str, codes: str) -> None:
    device = open_uri(f"{uri}{'&' if '?' in uri else '?'}codes={codes}")
    assert isinstance(device, SimDevice)
    rng = Random(uri)
    dataset, judge = some_data(device.spec), judge_of(device.spec, some_data(device.spec))
    theta = [rng.uniform(-1, 1) for _ in range(device.info.n_parameters)]
    block = Block(2**32 - 2, 4, CodeSpec("walsh", 5, 3), SampleOrder(9, 6, batch=1, tau_x=2))
    async with device:
        await device.load(dataset)
        stored = await device.write(np.array(theta))
        assert_array_equal(stored / device.info.theta_lsb, judge.write(theta))
        assert_array_equal(await device.read(), stored)
        lsb = 2.0 ** -datapath.output_converter(device.spec).fraction_bits
        assert_array_equal(await device.infer(np.array([3, 0])), np.array(judge.infer([3, 0], 0)) * lsb)
        assert_same(await device.probe(block), judge.probe(Work(block)))


@pytest.mark.parametrize("baseline", Baseline)
@pytest.mark.parametrize("groups", ["all", "layer"])
@pytest.mark.parametrize("family", FAMILIES)
async def test_every_kind_of_block_agrees_with_the_referee(family: str, groups: str, baseline: Baseline) -> None:
    device: Device = open_uri("sim:analog-8bit?layers=4-3-2")
    assert isinstance(device, SimDevice)
    dataset, judge = some_data(device.spec), judge_of(device.spec, some_data(device.spec))
    theta = np.linspace(-2.0, 2.0, device.info.n_parameters)
    codes = CodeSpec(family, 2**64 - 1, 9, groups, (0.3,) if family == "sparse" else ())
    block = Block(29, 70, codes, SampleOrder(3, 6, batch=2, tau_x=3), baseline)
    async with device:
        await device.load(dataset)
        await device.write(theta)
        judge.write(theta.tolist())
        assert_same(await device.probe(block), judge.probe(Work(block)))
        assert_same(await device.probe_with_host_codes(block), judge.probe(Work(block)))


@pytest.mark.parametrize("taken_at", [*range(16, 20), 11, 20, 23])
def test_a_baseline_carried_into_a_block_holds_for_its_own_batch_only(taken_at: int) -> None:
    spec = ChipSpec(layers=(4, 3, 2))
    chip, judge = both(spec, some_data(spec), np.linspace(-2.0, 2.0, 23).tolist())
    block = Block(18, 9, CodeSpec(), SampleOrder(3, 6, batch=2, tau_x=4), held=HeldBaseline(4321, taken_at))
    answer = judge.probe(Work(block), carried=(taken_at // 4, 4321))
    costs = chip.probe(block)
    assert_same(costs, answer)
    assert costs.held is not None
    assert (costs.held.step // 4, costs.held.value) == answer.held
    assert (costs.reference[0] == 4321) == (16 <= taken_at < 20)


# --- single units, where blocks don't reach ---------------------------------------------------------------------------


@pytest.mark.parametrize("cost", ["mse", "xent"])
@pytest.mark.parametrize("bits", [12, 16, 24])
def test_cost_unit_agrees_with_the_referee_for_many_outputs(cost: str, bits: int) -> None:
    """40,000 equal signals carry the sum of exponentials past 31 bits, where the mantissa loses its lowest."""
    count = 40_000 if cost == "xent" else 16_000
    spec = ChipSpec(layers=(1, count), signal_bits=bits, cost=cost, cost_bits=12, cost_range=64.0)
    rng = Random(bits)
    targets = np.zeros(count, dtype=np.int64)
    targets[77] = 4096
    for spread in (0, 3, 1 << (bits - 4)):
        signals = np.array([rng.randint(-spread, spread) for _ in targets])
        expected = referee.cost_code(spec, signals.tolist(), targets.tolist())
        assert_array_equal(datapath.cost_codes(spec, signals[None], targets[None]), [expected])
        assert 0 < expected < 4095 or cost == "mse"


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 16, 17, 70, 1797, 60_000])
def test_order_agrees_with_the_referee(n: int) -> None:
    for first, seed in ((0, 0), (3 * n - 2, 2**64 - 1), (2**40 * n + 5, 2**33 + 1)):
        ours = SampleOrder(seed, n, batch=1).samples(first, 25)[:, 0]
        assert_array_equal(ours, [referee_codes.sample_at(first + q, n, seed) for q in range(25)])


@pytest.mark.parametrize("seed", [0, 1, 2**32, 2**63 + 12345, 2**64 - 1])
def test_random_numbers_agree_with_the_referee(seed: int) -> None:
    steps = np.array([*STEPS, 2**64 - 1], dtype=np.uint64)
    expected = [[referee_codes.word(seed, 5, int(step), i) for i in range(30)] for step in steps]
    assert_array_equal(philox.words(seed, philox.Stream.SPLIT, steps, 30), expected)
    expected = [[referee_codes.bit(seed, 1, int(step), 128 + i) for i in range(200)] for step in steps]
    assert_array_equal(philox.bits(seed, philox.Stream.CODES, steps, 200, first_block=1), expected)


@pytest.mark.parametrize("groups", ["all", "layer"])
@pytest.mark.parametrize("family", FAMILIES)
def test_codes_of_a_larger_network_agree_with_the_referee(family: str, groups: str) -> None:
    """Layers that begin in the middle of a block of 128 random bits, and steps beyond 32 bits."""
    sizes = (9, 31, 17, 3)
    for amplitude, first_step in ((1, 0), (7, 2**32 - 3), (2**15 - 1, 2**41 + 777)):
        spec = CodeSpec(family, 2**40 + amplitude, amplitude, groups, (0.25,) if family == "sparse" else ())
        expected = [referee_codes.perturbation(spec, sizes, first_step + k) for k in range(6)]
        assert_array_equal(Codes(spec, Topology.dense(sizes)).values(first_step, 6), expected)


def test_draws_reach_both_sides_of_every_choice() -> None:
    """So that no draw is wasted: costs that move, baselines that are held, codes of every family."""
    moved, families, batches = 0, set(), set()
    for number in range(DRAWS):
        rng = Random(number)
        spec = draw_chip(rng, SIGNALS[0])
        dataset = draw_dataset(rng, spec)
        block = replace(draw_block(rng, spec, dataset.n_samples), baseline=Baseline.EVERY)
        chip, _ = both(spec, dataset, draw_theta(rng, spec, block.codes.amplitude))
        costs = chip.probe(block)
        moved += bool(np.any(costs.perturbed != costs.reference))
        families.add(block.codes.family)
        batches.add(block.n_batches() > 1)
    assert moved > DRAWS // 3
    assert families == set(FAMILIES)
    assert batches == {False, True}
