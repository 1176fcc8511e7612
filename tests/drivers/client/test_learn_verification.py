"""What a host computes of the answer to LEARN: right for every segment, and each wrong quantity is named."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mgdhw.block import Baseline, CodeSpec
from mgdhw.datasets import load
from mgdhw.errors import DeviceFault
from mgdhw.learning.filters import FilterState
from mgdhw.learning.gradient import Window
from mgdhw.learning.rule import LearningRule, ParameterGrid
from mgdhw.learning.schedule import ScheduleSpec
from mgdhw.learning.segment import Segment, SegmentResult
from mgdhw.learning.state import TrainState
from mgdhw.optimizers import OPTIMIZERS
from mgdhw.random.sample_order import SampleOrder
from mgdhw_drivers.client.costs import CostChecker
from mgdhw_drivers.client.learn_verification import Verification, evaluations_of, updates_of
from mgdhw_drivers.protocol.messages import LearnResult
from mgdhw_drivers.protocol.numbers import LearnResultFlag
from mgdhw_drivers.protocol.segments import learnt_of
from mgdhw_drivers.server.describe import describe
from mgdhw_drivers.server.limits import NO_LIMITS
from mgdhw_sim.device import open_uri
from mgdhw_sim.engines.reference import Reference
from mgdhw_sim.reference.chip import Chip
from mgdhw_sim.uri import parse
from tests.helpers.chips import CHIP

P = 13


def rule_of(draw: random.Random, **fixed: Any) -> LearningRule:
    """Some learning rule."""
    chosen: dict[str, Any] = {
        "codes": CodeSpec(draw.choice(["random", "sequential", "walsh", "sparse"]), draw.randrange(99), 2),
        "order": SampleOrder(draw.randrange(99), 4, draw.choice([1, 2]), draw.randrange(1, 9)),
        "baseline": draw.choice([Baseline.HELD, Baseline.HELD, Baseline.EVERY, Baseline.ANTITHETIC]),
        "continuous": False,
        "update_period": draw.randrange(1, 12),
        "tau_theta": 5,
        "tau_hp": 5.0,
        "normalise": "energy",
        "optimizer": OPTIMIZERS[draw.choice(sorted(OPTIMIZERS))](),
        "eta": 0.01,
        "schedule": ScheduleSpec("cosine"),
        "updates": 100,
        "stochastic": False,
        "grid": ParameterGrid(-4.0, 3.96875, 0.03125),
        "low": np.full(P, -3.5),
        "high": np.full(P, 3.5),
        "cost_lsb": 2.0**-12,
        "seed": 0,
    }
    return LearningRule(**{**chosen, **fixed})


def beginning(rule: LearningRule) -> TrainState:
    """Before the first probe."""
    theta = np.linspace(-0.5, 0.5, P)
    return TrainState(0, 0, theta, rule.optimizer.init(P), Window.empty(P), FilterState(np.zeros(P)), None, 0, b"", {})


@pytest.fixture
def chip() -> Chip:
    made = Chip(parse(CHIP))
    made.load(load("xor"))
    return made


@pytest.fixture
async def expected() -> CostChecker:
    async with open_uri(CHIP) as device:
        head = describe(device.info, NO_LIMITS, floats=False, cells=0).head
        return CostChecker(head, device.info.details, "board")


def answer(segment: Segment, result: SegmentResult) -> LearnResult:
    """What a board would say of it."""
    state = replace(result.state, evaluations=result.state.evaluations - segment.state.evaluations)
    said = replace(result, state=state)
    return learnt_of(said, ticket=1, state_crc=0, theta_crc=0, held_crc=0, floats=False)


@pytest.mark.parametrize("seed", range(12))
def test_every_right_answer_is_taken(seed: int, chip: Chip, expected: CostChecker) -> None:
    draw = random.Random(seed)
    fixed = {"continuous": True, "baseline": Baseline.NONE} if seed % 4 == 3 else {}
    rule = rule_of(draw, **fixed)
    state = beginning(rule)
    for _ in range(12):  # segments that begin and end anywhere, with a baseline carried or not
        segment = Segment(state, rule, draw.randrange(1, 25))
        result = Reference().learn(chip, segment)
        assert evaluations_of(segment) == result.state.evaluations - state.evaluations
        assert updates_of(segment) == result.state.update - state.update
        verification = Verification(segment, answer(segment, result), expected, "board")
        verification.check_counts()
        verification.check_state(result)
        state = result.state


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"step": 7}, r"step: it says 7, expected 23"),
        ({"update": 3}, r"updates: it says 3, expected 2"),
        ({"evaluations": 143_000_000}, r"evaluations: it says 143000000, expected 29"),
        ({"cost": float("nan")}, r"cost: it says nan, expected a finite number"),
        ({"cost": 1e9}, r"cost over 1 samples was 1e\+09; expected 0 \.\.\. 4,095"),
        ({"cost": -1.0}, r"was -1; expected 0"),
        ({"eta": 0.02}, r"eta: it says 0\.02, expected 0\.0"),
        ({"gradient_norm": float("nan")}, r"gradient_norm: it says nan"),
        ({"scalars": (0.5, 1.0)}, r"the numbers of the optimizer: it says \(0\.5, 1\.0\), expected \(0\.81"),
        ({"flags": LearnResultFlag.HELD}, r"whether there was an update: it says False, expected True"),
        ({"flags": LearnResultFlag.UPDATED}, r"whether a baseline is held: it says False, expected True"),
        (
            {"flags": LearnResultFlag.UPDATED | LearnResultFlag.HELD | LearnResultFlag.WINDOW_EMPTY},
            r"whether the window is empty",
        ),
    ],
    ids=str,
)
def test_a_wrong_quantity_is_named(chip: Chip, expected: CostChecker, wrong: dict[str, Any], says: str) -> None:
    rule = rule_of(
        random.Random(0),
        codes=CodeSpec("random", 1, 2),
        order=SampleOrder(1, 4, 1, 7),
        baseline=Baseline.HELD,
        update_period=10,
        optimizer=OPTIMIZERS["adam"](),
    )
    segment = Segment(beginning(rule), rule, 23)
    result = Reference().learn(chip, segment)
    learnt = answer(segment, result)
    Verification(segment, learnt, expected, "board").check_counts()
    with pytest.raises(DeviceFault, match=says):
        Verification(segment, replace(learnt, **wrong), expected, "board").check_counts()


def test_a_state_that_cannot_be_is_named(chip: Chip, expected: CostChecker) -> None:
    rule = rule_of(random.Random(0), baseline=Baseline.HELD, update_period=10, order=SampleOrder(1, 4, 1, 7))
    segment = Segment(beginning(rule), rule, 15)
    result = Reference().learn(chip, segment)
    verification = Verification(segment, answer(segment, result), expected, "board")
    theta = result.state.theta.copy()
    theta[3] = np.nan
    with pytest.raises(DeviceFault, match=r"parameter 3 of theta: it says nan, expected -3\.5 \.\.\. 3\.5"):
        verification.check_state(replace(result, state=replace(result.state, theta=theta)))
    assert result.state.held is not None
    held = replace(result.state.held, step=11)
    with pytest.raises(DeviceFault, match=r"the step of the held baseline: it says 11, expected 14"):
        verification.check_state(replace(result, state=replace(result.state, held=held)))
    short = Segment(segment.state, rule, 5)
    done = Reference().learn(chip, short)
    with pytest.raises(DeviceFault, match="theta: it says other parameters"):
        Verification(short, answer(short, done), expected, "board").check_state(
            replace(done, state=replace(done.state, theta=theta))
        )
