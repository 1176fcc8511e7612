"""How parameters move on real converters: a recorder at the hardware sees every step, and when it was made."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest
from numpy.testing import assert_array_equal

from mgdhw_drivers.protocol.messages import Chunk, Identify, LearnResult, Pong, Set, Stored
from mgdhw_drivers.protocol.numbers import Area, Code, Reason, State, Type
from mgdhw_drivers.protocol.segments import LearnRequest
from mgdhw_sim.spec import ChipSpec
from tests.hostile.world import AREAS, CODES, INPUTS, LEARN, PROBE, REQUESTED, TARGETS, THETA_CRC, P, load

from .core import Core
from .in_process import InProcess

SPEC = ChipSpec(layers=(5, 4, 3), weight_bits=10, activation="tanh")
SLEW, INTERVAL_US = 7, 600
SWING = 3  # 2 · 3 is within the slew
BASELINES = range(4)
LIMITS = [{"slew": SLEW}, {"slew": SLEW, "interval_us": INTERVAL_US}]


def board(core: Core, **limits: float) -> InProcess:
    """A board at a recorder, identified, with a dataset."""
    made = InProcess(core, SPEC, recorded=True, **limits)  # type: ignore[arg-type]
    identify(made)
    write(made, Area.INPUTS, INPUTS)
    write(made, Area.TARGETS, TARGETS)
    assert made.ask(Type.LOAD, load().pack()).trouble is None
    return made


def identify(board: InProcess, session: int = 7, dead_man_ms: int = 0) -> None:
    assert board.ask(Type.IDENTIFY, Identify(session, dead_man_ms, 4096, 1).pack()).trouble is None


def write(board: InProcess, area: Area, content: bytes) -> None:
    assert board.ask(Type.WRITE, Chunk(area, 0).pack() + content).trouble is None


def begin_set(board: InProcess, codes: list[int]) -> int:
    content = struct.pack(f"<{P}h", *codes)
    write(board, Area.REQUESTED, content)
    return board.send(Type.SET, Set(0, zlib.crc32(content)).pack())


def assert_kept(board: InProcess, slew: int = SLEW, interval_us: int = 0) -> None:
    """No parameter ever moved further at once, or sooner, than it may."""
    recorder = board.recorder
    assert 0 < recorder.largest <= slew
    assert recorder.soonest is not None
    assert recorder.soonest >= interval_us


def learn(board: InProcess, eta: float, amplitude: int = SWING, ticket: int = 6, n_probes: int = 24) -> int:
    """Begin a segment; its updates go as far as η says."""
    for area, content in AREAS.items():
        write(board, area, content)
    probe = replace(PROBE, amplitude=amplitude, n_probes=n_probes)
    return board.send(Type.LEARN, LearnRequest(probe, replace(LEARN, eta=eta, ticket=ticket)).pack())


def assert_safe(board: InProcess, reason: Reason) -> None:
    """All converters at 0, and it says so."""
    board.rest()
    assert not board.recorder.codes.any()
    pong = Pong.unpack(board.ask(Type.PING).payload)
    assert (pong.running, pong.state, pong.reason) == (0, State.SAFE, reason)


def to_its_codes(board: InProcess) -> None:
    assert board.until_answered(begin_set(board, CODES))[-1].trouble is None
    assert_array_equal(board.recorder.codes, CODES)


@pytest.mark.parametrize("limits", LIMITS)
def test_a_set_is_a_ramp_and_is_answered_on_arrival(core: Core, limits: dict[str, int]) -> None:
    made = board(core, **limits)
    sequence = begin_set(made, CODES)
    assert not made.answers()
    pong = Pong.unpack(made.ask(Type.PING).payload)
    assert (pong.running, pong.state) == (sequence, State.READY)
    answer = made.until_answered(sequence)[-1]
    assert Stored.unpack(answer.payload) == Stored(THETA_CRC, THETA_CRC)
    assert_array_equal(made.recorder.codes, CODES)
    assert_kept(made, interval_us=limits.get("interval_us", 0))
    ramps = {i: [move.code for move in made.recorder.moves if move.parameter == i] for i in range(P)}
    for i, points in ramps.items():  # every parameter at its own full speed
        assert all(abs(b - a) == SLEW for a, b in pairwise(points[:-1])), i


def test_without_limits_every_parameter_is_set_once(core: Core) -> None:
    made = board(core)
    before = len(made.recorder.moves)
    to_its_codes(made)
    assert len(made.recorder.moves) - before == sum(code != 0 for code in CODES)


@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize("baseline", BASELINES)
def test_perturbations_keep_the_limits_too(core: Core, baseline: int, limits: dict[str, int]) -> None:
    made = board(core, **limits)
    to_its_codes(made)
    probe = replace(PROBE, amplitude=SWING, baseline=baseline, n_probes=9)
    unlimited = board(core)
    to_its_codes(unlimited)
    for _ in range(2):
        values = [answer.payload for answer in made.until_answered(made.send(Type.PROBE, probe.pack()))]
        assert values == [
            answer.payload for answer in unlimited.until_answered(unlimited.send(Type.PROBE, probe.pack()))
        ]
        assert_array_equal(made.recorder.codes, CODES)
    assert_kept(made, interval_us=limits.get("interval_us", 0))


@pytest.mark.parametrize("kind", [Type.PROBE, Type.LEARN])
def test_a_perturbation_that_swings_too_far_is_refused(core: Core, kind: Type) -> None:
    made = board(core, slew=SLEW)
    to_its_codes(made)
    before = list(made.recorder.moves)
    if kind is Type.PROBE:
        sequence = made.send(kind, replace(PROBE, amplitude=SWING + 1).pack())
    else:
        sequence = learn(made, 0.0, SWING + 1)
    trouble = made.until_answered(sequence)[-1].trouble
    assert trouble is not None
    assert (trouble.code, trouble.value) == (Code.LIMIT, -3)
    assert made.recorder.moves == before


@pytest.mark.parametrize("limits", LIMITS)
def test_updates_that_go_further_are_ramps(core: Core, limits: dict[str, int]) -> None:
    made, unlimited = board(core, **limits), board(core)
    answers = [LearnResult.unpack(one.until_answered(learn(one, 0.02))[-1].payload) for one in (made, unlimited)]
    assert answers[0].update == 6
    assert unlimited.recorder.largest > 3 * SLEW  # it would have gone further at once
    assert_array_equal(made.recorder.codes, unlimited.recorder.codes)
    assert answers[0] == answers[1]
    assert_kept(made, interval_us=limits.get("interval_us", 0))


def safe(made: InProcess) -> Reason:
    assert made.ask(Type.SAFE).trouble is None
    assert not made.recorder.codes.any()  # when it is answered, it is there
    return Reason.ASKED


def dead_man(made: InProcess) -> Reason:
    made.now += 10_000_000
    return Reason.DEAD_MAN


def link_lost(made: InProcess) -> Reason:
    made.attached = False
    made.poll()
    made.attached = True
    return Reason.LINK_LOST


def fault(made: InProcess) -> Reason:
    made.fault(3)
    assert made.answers()[-1].type == Type.FAULT
    return Reason.FAULT


@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize("happens", [safe, dead_man, link_lost, fault], ids=lambda happens: happens.__name__)
@pytest.mark.parametrize("middle_of", ["nothing", "a ramp", "a block", "a segment", "an update"])
def test_the_way_to_the_safe_state_is_a_ramp(
    core: Core, limits: dict[str, int], happens: Callable[[InProcess], Reason], middle_of: str
) -> None:
    made = board(core, **limits)
    identify(made, dead_man_ms=2000)
    if middle_of == "a ramp":
        begin_set(made, CODES)
    elif middle_of in ("a segment", "an update"):
        learn(made, 0.02, n_probes=24)
    else:
        to_its_codes(made)
    if middle_of == "a block":
        made.send(Type.PROBE, replace(PROBE, amplitude=SWING, n_probes=1 << 20).pack())
    turns = {"nothing": 0, "a ramp": 3, "a block": 5, "a segment": 9, "an update": 40}[middle_of]
    for _ in range(turns):
        made.poll()
        made.now += INTERVAL_US
    assert made.recorder.codes.any()
    assert_safe(made, happens(made))
    assert_kept(made, interval_us=limits.get("interval_us", 0))


def test_who_asks_on_the_way_to_the_safe_state(core: Core) -> None:
    made = board(core, slew=SLEW, interval_us=INTERVAL_US)
    to_its_codes(made)
    asked = made.send(Type.SAFE)
    trouble = made.ask(Type.SET, Set(0, 1).pack()).trouble
    assert trouble is not None
    assert (trouble.code, trouble.value) == (Code.SAFE, Reason.ASKED)
    pong = Pong.unpack(made.ask(Type.PING).payload)
    assert (pong.running, pong.state, pong.reason) == (asked, State.SAFE, Reason.ASKED)
    taken = made.send(Type.IDENTIFY, Identify(7, 0, 4096, 1).pack())
    assert made.ask(Type.IDENTIFY, Identify(0, 0, 4096, 0).pack()).trouble is None  # who only asks does not wait
    assert Pong.unpack(made.ask(Type.PING).payload).running == taken
    assert made.recorder.codes.any()
    assert made.until_answered(asked)[-1].trouble is None
    assert not made.recorder.codes.any()
    assert Pong.unpack(made.ask(Type.PING).payload).state == State.READY  # IDENTIFY has had its turn


def test_stress_is_counted_over_reconnections(core: Core) -> None:
    """The swing of ±120 codes that IDENTIFY and SET in turns made of max_slew = 5 and max_stress = 20."""
    made = board(core, slew=5, stress=20)
    before = list(made.recorder.moves)
    for number in range(50):
        identify(made, session=number + 1)
        trouble = made.until_answered(begin_set(made, [120 * (-1) ** number] * P))[-1].trouble
        assert trouble is not None
        assert (trouble.code, trouble.value) == (Code.LIMIT, -1)
    assert made.recorder.moves == before
    identify(made)
    assert made.until_answered(begin_set(made, [9] * P))[-1].trouble is None
    assert made.ask(Type.SAFE).trouble is None  # counts: 18
    identify(made, session=99)
    assert made.until_answered(begin_set(made, [2] * P))[-1].trouble is None
    trouble = made.until_answered(begin_set(made, [1] * P))[-1].trouble
    assert trouble is not None
    assert trouble.value == -1
    assert made.ask(Type.SAFE).trouble is None  # is never refused
    assert_kept(made, slew=5)


def test_set_and_identify_in_turns_keep_the_slew(core: Core) -> None:
    made = board(core, slew=SLEW, interval_us=INTERVAL_US)
    for number in range(50):
        identify(made, session=number + 1)
        made.until_answered(begin_set(made, [60 * (-1) ** number] * P))
        identify(made, session=number + 1)
    assert_kept(made, interval_us=INTERVAL_US)


@pytest.mark.parametrize("seed", range(100))
def test_whatever_happens(core: Core, seed: int) -> None:
    """Requests and misfortunes in any order: the recorder has nothing to say, and the board ends up safe."""
    rng = Random(seed)
    slew, interval = rng.randint(1, 40), rng.choice((0, 100, 5000))
    made = board(core, slew=slew, interval_us=interval)
    amplitude = max(1, slew // 2)

    def move() -> None:
        begin_set(made, [rng.randint(-200, 200) for _ in range(P)])

    def probe() -> None:
        moved = replace(PROBE, amplitude=rng.choice((1, amplitude)), baseline=rng.randint(0, 3), n_probes=10**6)
        made.send(Type.PROBE, replace(moved, theta_crc=zlib.crc32(REQUESTED)).pack())

    def settle() -> None:
        made.until_answered(begin_set(made, CODES))

    def ask_for_safe() -> None:
        made.send(Type.SAFE)

    def take() -> None:
        made.send(Type.IDENTIFY, Identify(rng.randint(1, 3), rng.choice((0, 50)), 4096, 1).pack())

    events: list[Callable[[], object]] = [
        move,
        probe,
        settle,
        ask_for_safe,
        *[take] * 4,
        lambda: learn(made, rng.choice((0.0, 0.1)), rng.choice((1, amplitude)), rng.randint(1, 99), 10**6),
        lambda: link_lost(made),
        lambda: made.fault(1),
        lambda: made.ask(Type.PING),
        lambda: dead_man(made),
    ]
    settle()
    for _ in range(40):
        with suppress(AssertionError):  # WRITE and SET are refused where it is in its safe state
            rng.choice(events)()
        for _ in range(rng.choice((0, 1, 5, 60))):
            made.poll()
            made.now += rng.choice((0, interval))
        made.answers()
    safe(made)
    assert_kept(made, slew, interval)
