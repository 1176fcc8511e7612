"""Every engine gives the bits of the reference: random chips, blocks, rules and cuts, compared with equality."""

from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mgdhw.block import Baseline, Block, CodeSpec
from mgdhw.codes import FAMILIES
from mgdhw.datasets import Dataset
from mgdhw.errors import ConfigError
from mgdhw.learning.filters import FilterState
from mgdhw.learning.gradient import Window
from mgdhw.learning.rule import LearningRule, ParameterGrid
from mgdhw.learning.schedule import SCHEDULES, ScheduleSpec
from mgdhw.learning.segment import Segment, SegmentResult
from mgdhw.learning.state import TrainState
from mgdhw.optimizers import OPTIMIZERS
from mgdhw.random.sample_order import SampleOrder
from mgdhw_sim.engines import ENGINES, Engine, choose
from mgdhw_sim.reference.chip import Chip
from mgdhw_sim.spec import ENGINE_NAMES
from mgdhw_sim.uri import parse
from tests.helpers.states import assert_same_state
from tests.sim.draws import SIGNALS, draw_chip, draw_dataset, draw_parameters

REFERENCE = choose("reference")
BATCHES = (1, 2, 5, 8, 16, 17, 33, 50)
"""Few samples, one or more vectors of them, and more than vectors hold."""
OTHERS = [name for name in ENGINES if name != "reference"]


def draw_codes(rng: Random, chip: Chip, family: str) -> CodeSpec:
    seed, amplitude, groups = rng.getrandbits(64), rng.randint(1, 9), rng.choice(("all", "layer"))
    return CodeSpec(family, seed, amplitude, groups, draw_parameters(rng, family))


def draw_loaded(rng: Random) -> tuple[Chip, int]:
    """A chip with data and parameters away from its rails, and its number of samples."""
    spec = draw_chip(rng, rng.choice(SIGNALS[:1]))
    chip, dataset = Chip(spec), draw_dataset(rng, spec)
    chip.load(dataset)
    half = 1 << (spec.weight_bits - 1)
    chip.codes = np.array(
        [rng.randint(-half + 9, half - 10) for _ in range(chip.topology.n_parameters)], dtype=np.int16
    )
    return chip, dataset.n_samples


def draw_rule(rng: Random, chip: Chip, n: int, optimizer: str, family: str, **changes: Any) -> LearningRule:
    spec, codes = chip.spec, draw_codes(rng, chip, family)
    room = codes.amplitude * spec.weight_lsb
    rule = LearningRule(
        codes=codes,
        order=SampleOrder(rng.getrandbits(64), n, rng.choice(BATCHES), rng.randint(1, 9)),
        baseline=rng.choice((Baseline.HELD, Baseline.EVERY, Baseline.ANTITHETIC)),
        continuous=False,
        update_period=rng.randint(1, 12),
        tau_theta=10,
        tau_hp=10.0,
        normalise="energy",
        optimizer=OPTIMIZERS[optimizer](),
        eta=rng.choice((0.001, 0.1, 3.0)),
        schedule=ScheduleSpec(rng.choice(list(SCHEDULES))),
        updates=40,
        stochastic=False,
        grid=ParameterGrid(-spec.weight_range, spec.weight_range - spec.weight_lsb, spec.weight_lsb),
        low=np.asarray(room - spec.weight_range),
        high=np.asarray(spec.weight_range - spec.weight_lsb - room),
        cost_lsb=spec.cost_lsb,
        seed=5,
    )
    return replace(rule, **changes)


def first_state(chip: Chip, rule: LearningRule) -> TrainState:
    p = chip.topology.n_parameters
    theta = np.clip(chip.codes * chip.spec.weight_lsb * 0.3, rule.low, rule.high)
    return TrainState(
        0, 0, theta, rule.optimizer.init(p), Window.empty(p), FilterState.empty(p), None, 0, b"\0" * 32
    )  # fmt: skip


def learn(engine: Engine, chip: Chip, state: TrainState, rule: LearningRule, cuts: list[int]) -> SegmentResult:
    for size in cuts:
        result = engine.learn(chip, Segment(state, rule, size))
        state = result.state
    return result


@pytest.fixture(params=[True, pytest.param(False, marks=pytest.mark.long)], ids=["team", "alone"])
def team(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether even the smallest work is shared by threads."""
    from mgdhw_sim.engines.numba import kernel_args

    monkeypatch.setattr(kernel_args, "TEAM_PRODUCTS", 0 if request.param else 1 << 62)
    monkeypatch.setattr(kernel_args, "processors", lambda: 2)
    return bool(request.param)


@pytest.mark.usefixtures("team")
@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("family", FAMILIES)
def test_blocks(name: str, family: str) -> None:
    engine = choose(name)
    for number in range(40):
        rng = Random(f"{family} {number}")
        chip, n = draw_loaded(rng)
        order = SampleOrder(rng.getrandbits(64), n, rng.choice(BATCHES), rng.randint(1, 9))
        first = rng.choice((0, 3, 2**32 - 5, 2**40 + 77))
        codes, baseline = draw_codes(rng, chip, family), rng.choice(list(Baseline))
        held = None
        for size in (rng.randint(1, 20), 1, rng.randint(1, 20)):
            block = Block(first, size, codes, order, baseline, held)
            assert engine.unsupported_reason(chip, block) is None
            ours, expected = engine.probe(chip, block), REFERENCE.probe(chip, block)
            assert_array_equal(ours.perturbed, expected.perturbed)
            assert_array_equal(ours.reference, expected.reference)
            assert (ours.evaluations, ours.held) == (expected.evaluations, expected.held)
            held, first = expected.held, first + size


@pytest.mark.usefixtures("team")
@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize(
    "optimizer",
    [name if name in ("sgd", "adam") else pytest.param(name, marks=pytest.mark.long) for name in OPTIMIZERS],
)
def test_segments_in_any_cuts(name: str, optimizer: str) -> None:
    engine = choose(name)
    for number in range(30):
        rng = Random(f"{optimizer} {number}")
        chip, n = draw_loaded(rng)
        rule = draw_rule(rng, chip, n, optimizer, rng.choice(list(FAMILIES)))
        state = first_state(chip, rule)
        cut = rng.randint(1, 99)
        expected = learn(REFERENCE, chip, state, rule, [100])
        codes = chip.codes
        for cuts in ([100], [cut, 100 - cut]):
            ours = learn(engine, chip, state, rule, cuts)
            assert_same_state(ours.state, expected.state)
            assert_array_equal(chip.codes, codes)
        assert learn(engine, chip, state, rule, [100]).cost == expected.cost


@pytest.mark.parametrize("by_bytes", [True, False])
def test_outputs(by_bytes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from mgdhw_sim.engines.numba import engine, kernel_args

    monkeypatch.setattr(engine, "INFER_PRODUCTS", 0)
    monkeypatch.setattr(kernel_args, "HAS_BYTE_PRODUCTS", by_bytes and kernel_args.HAS_BYTE_PRODUCTS)
    for number in range(60):
        rng = Random(f"outputs {number}")
        chip, n = draw_loaded(rng)
        if number % 2:
            chip = Chip(parse("sim:analog-8bit?layers=70-33-9-10&activation=tanh"))
            inputs = np.random.default_rng(number).integers(0, 256, (300, 70), dtype=np.uint8)
            chip.load(Dataset("random", inputs, 1 / 255, np.eye(10)[np.arange(300) % 10], 300))
            n = 300
            chip.codes = np.array([rng.randint(-128, 127) for _ in range(chip.topology.n_parameters)], dtype=np.int16)
        samples = np.array([rng.randrange(n) for _ in range(rng.choice((1, 7, 16, 127, 128, 129, 300)))])
        assert_array_equal(choose("numba").infer(chip, samples, 7), chip.infer(samples, 7))


@pytest.mark.parametrize("plain", [False, True])
def test_work_in_small_pieces(plain: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call into compiled code works on so much at most, however large blocks, segments and batches are."""
    from mgdhw_sim.engines.numba import engine, kernel_args, marshalling

    monkeypatch.setattr(marshalling, "SAMPLES", 100)
    monkeypatch.setattr(kernel_args, "ROWS", 7)
    if plain:
        monkeypatch.setattr(engine, "LARGEST_TILE", 0)
    engine = choose("numba")
    for number in range(16):
        rng = Random(f"pieces {number}")
        chip, n = draw_loaded(rng)
        rule = draw_rule(rng, chip, n, "adam", "random")
        order = replace(rule.order, batch=rng.choice((16, 50, 130)))
        block = Block(rng.choice((0, 5)), 30, rule.codes, order, rng.choice(list(Baseline)))
        ours, expected = engine.probe(chip, block), REFERENCE.probe(chip, block)
        assert_array_equal(ours.perturbed, expected.perturbed)
        assert_array_equal(ours.reference, expected.reference)
        assert (ours.evaluations, ours.held) == (expected.evaluations, expected.held)
        rule = replace(rule, order=order)
        state = first_state(chip, rule)
        result = learn(REFERENCE, chip, state, rule, [30])
        assert_same_state(learn(engine, chip, state, rule, [30]).state, result.state)


STEPPED: dict[str, dict[str, Any]] = {
    "continuous": {"continuous": True, "baseline": Baseline.NONE},
    "continuous with baselines": {"continuous": True},
    "oripov": {"normalise": "oripov"},
    "stochastic rounding": {"stochastic": True},
    "continuous, stochastic rounding": {"continuous": True, "baseline": Baseline.NONE, "stochastic": True},
}
"""Recipes whose updates are not the usual ones."""


@pytest.mark.usefixtures("team")
@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("changes", STEPPED.values(), ids=STEPPED)
def test_other_updates_in_any_cuts(name: str, changes: dict[str, Any]) -> None:
    engine = choose(name)
    for number in range(24):
        rng = Random(f"{changes} {number}")
        chip, n = draw_loaded(rng)
        family = list(FAMILIES)[number % len(FAMILIES)]
        rule = draw_rule(rng, chip, n, rng.choice(list(OPTIMIZERS)), family, **changes)
        rule = replace(rule, update_period=rng.choice((1, 1, 3, 12)), tau_hp=rng.choice((0.5, 10.0)))
        if rule.continuous and number // len(FAMILIES) % 2:
            weight = np.array([rng.uniform(0.1, 9.0) for _ in range(chip.topology.n_parameters)])
            rule = replace(rule, filter_weight=weight)
        state = first_state(chip, rule)
        assert engine.unsupported_reason(chip, Segment(state, rule, 60)) is None
        cut = rng.randint(1, 59)
        expected = learn(REFERENCE, chip, state, rule, [60])
        codes = chip.codes
        for cuts in ([60], [cut, 60 - cut]):
            ours = learn(engine, chip, state, rule, cuts)
            assert_same_state(ours.state, expected.state)
            assert_array_equal(chip.codes, codes)
            assert (ours.last is None) == (expected.last is None)
        assert learn(engine, chip, state, rule, [60]).cost == expected.cost


def test_engines_are_no_part_of_a_chips_identity() -> None:
    identities = {parse(f"sim:analog-8bit?engine={name}").identity() for name in ENGINE_NAMES}
    assert len(identities) == 1
    assert set(ENGINE_NAMES) == {"auto", *ENGINES}


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(ConfigError, match="engine=fast: expected one of auto, numba, reference"):
        parse("sim:analog-8bit?engine=fast")


@pytest.mark.usefixtures("team")
@pytest.mark.parametrize("by_bytes", [True, False])
@pytest.mark.parametrize("family", ["random", "rank1", "sparse"])
def test_chips_of_eight_bits(family: str, by_bytes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual chip, whose first layer is multiplied in bytes where the processor can, or in pairs of 16 bits."""
    from mgdhw_sim.engines.numba import kernel_args

    monkeypatch.setattr(kernel_args, "HAS_BYTE_PRODUCTS", by_bytes and kernel_args.HAS_BYTE_PRODUCTS)
    for number in range(12):
        rng = Random(f"eight {family} {number}")
        hidden = (rng.choice((1, 5, 8, 19, 40)), *[rng.randint(1, 20)] * rng.randint(0, 1))
        layers = (rng.randint(1, 90), *hidden[: None if number % 4 else 0], rng.choice((3, 3, 10)))
        sizes = "-".join(map(str, layers))
        spec = parse(f"sim:analog-8bit?layers={sizes}&cost={rng.choice(('mse', 'xent'))}")
        chip, dataset = Chip(spec), draw_dataset(rng, spec)
        chip.load(dataset)
        chip.codes = np.array([rng.randint(-90, 90) for _ in range(chip.topology.n_parameters)], dtype=np.int16)
        rule = draw_rule(rng, chip, dataset.n_samples, "momentum", family)
        rule = replace(rule, order=replace(rule.order, batch=rng.choice((8, 16, 33, 50))))
        state = first_state(chip, rule)
        expected = learn(REFERENCE, chip, state, rule, [70])
        cut = rng.randint(1, 69)
        assert_same_state(learn(choose("numba"), chip, state, rule, [cut, 70 - cut]).state, expected.state)
