"""The firmware's end of the link, as docs/link.md defines it: a process on TCP and on a pseudo-terminal."""

import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mgdhw.block import Baseline, Block, CodeSpec, Costs, HeldBaseline
from mgdhw.codes import FAMILIES
from mgdhw.datasets import Dataset
from mgdhw.learning.filters import FilterState
from mgdhw.learning.gradient import Window
from mgdhw.learning.rule import LearningRule
from mgdhw.learning.segment import Segment, SegmentResult
from mgdhw.learning.state import TrainState
from mgdhw.optimizers import OPTIMIZERS
from mgdhw.random.sample_order import SampleOrder
from mgdhw_drivers.protocol.blocks import probe_of
from mgdhw_drivers.protocol.connection import Answer
from mgdhw_drivers.protocol.description import Description
from mgdhw_drivers.protocol.frames import Frame, encode
from mgdhw_drivers.protocol.messages import Infer, LearnResult, Measure, Statistics
from mgdhw_drivers.protocol.numbers import Area, Code, MismatchedItem, Reason, State, Type
from mgdhw_drivers.protocol.segments import areas_after, ask_of, checksum, rates_of, result_of, state_areas
from mgdhw_sim.device import SimDevice
from mgdhw_sim.engines.reference import Reference
from mgdhw_sim.reference.chip import Chip
from mgdhw_sim.spec import ChipSpec
from tests.helpers.states import assert_same_state

from .compare import draw_rule
from .talk import NoAnswer, Talk, board, line

SPEC = ChipSpec(layers=(5, 4, 3), weight_bits=10, activation="tanh")
OPTIONS = ("layers=5-4-3", "weight_bits=10", "activation=tanh")
LINES = ("--tcp 0", "--pty")


def dataset() -> Dataset:
    rng = np.random.default_rng(3)
    return Dataset("drawn", rng.random((7, 5)), 1.0, np.eye(3)[rng.integers(0, 3, 7)], 7)


def chip_with_data() -> Chip:
    chip = Chip(SPEC)
    chip.load(dataset())
    chip.codes = np.array([Random(5).randint(-300, 300) for _ in range(SPEC.topology.n_parameters)], dtype=np.int16)
    return chip


@contextmanager
def ready(program: Path, where: str, *options: str) -> Iterator[tuple[Talk, Chip]]:
    """A board that holds what a chip holds."""
    chip = chip_with_data()
    inputs, targets = chip.memory
    with board(program, *where.split(), *OPTIONS, *options) as (_, address), line(address) as talk:
        talk.identify()
        talk.load(inputs.tobytes(), targets.astype("<i2").tobytes(), 7, 0)
        assert talk.set(chip.codes).trouble is None
        yield talk, chip


def ask_block(talk: Talk, block: Block) -> Costs:
    payload = probe_of(block, talk.theta_crc, talk.dataset_crc, floats=False).pack()
    values = talk.values(Type.PROBE, payload)
    perturbed, reference, held = [], [], block.valid_held()
    due = set(block.baseline_steps())
    for step in range(block.first_step, block.first_step + block.n_probes):
        if step in due:
            held = HeldBaseline(values.pop(0), step)
        perturbed.append(values.pop(0))
        if block.baseline is Baseline.ANTITHETIC:
            reference.append(values.pop(0))
        else:
            reference.append(0 if held is None else int(held.value))
    assert not values
    return Costs(np.array(perturbed), np.array(reference), block.evaluations())


@pytest.mark.parametrize("where", LINES)
def test_it_says_what_it_is(sanitized: Path, where: str) -> None:
    info = SimDevice("sim:x", SPEC).info
    with (
        board(sanitized, *where.split(), *OPTIONS, "max_slew=7", "slew_interval=2.55") as (_, address),
        line(address) as talk,
    ):
        known = talk.identify(take=False)
        assert (known.state, known.reason) == (State.SAFE, Reason.STARTED)
        content = talk.read(Area.DESCRIPTION, known.description_size, chunk=200)
        assert zlib.crc32(content) == known.description_crc
        description = Description.unpack(content)
        head = description.head
        assert description.sizes == SPEC.layers
        assert (head.theta_min, head.theta_max, head.theta_lsb) == (info.theta_min, info.theta_max, info.theta_lsb)
        assert (head.cost_lsb, head.n_parameters) == (info.cost_lsb, info.n_parameters)
        assert (head.max_slew, head.slew_interval) == (7.0, 26)
        assert "5-4-3" in description.identity


@pytest.mark.parametrize("where", LINES)
def test_blocks_measurements_and_outputs(sanitized: Path, where: str) -> None:
    with ready(sanitized, where, "max_payload=256") as (talk, chip):
        assert_array_equal(np.frombuffer(talk.read(Area.HELD, 2 * chip.codes.size, 200), "<i2"), chip.codes)
        chosen = np.array([3, 0, 6, 6, 1] * 40)
        content = chosen.astype("<u4").tobytes()
        talk.write(Area.SAMPLES, content, chunk=200)
        crcs = (zlib.crc32(content), talk.theta_crc, talk.dataset_crc)
        outputs = talk.values(Type.INFER, Infer(5, chosen.size, *crcs).pack())
        assert_array_equal(np.array(outputs).reshape(-1, 3), chip.infer(chosen, 5))
        cost = talk.values(Type.MEASURE, Measure(9, 0, chosen.size, *crcs).pack())
        assert cost == [int(chip.cost(chip.codes, chosen))]
        rng = Random(1)
        for family in FAMILIES:
            for baseline in Baseline:
                codes = CodeSpec(
                    family, rng.getrandbits(64), 5, rng.choice(("all", "layer")), (0.3,) if family == "sparse" else ()
                )
                order = SampleOrder(rng.getrandbits(64), 7, rng.choice((1, 2, 70)), rng.randint(1, 5))
                block = Block(rng.choice((0, 2**33)), 100, codes, order, baseline, HeldBaseline(9, rng.randint(0, 3)))
                expected, answer = chip.probe(block), ask_block(talk, block)
                assert_array_equal(answer.perturbed, expected.perturbed)
                assert_array_equal(answer.reference, expected.reference)


def learn(talk: Talk, segment: Segment, ticket: int) -> SegmentResult:
    """A segment, with all that it depends on written first."""
    areas = state_areas(segment.state, segment.rule, floats=False)
    for area, content in areas.items():
        talk.write(area, content)
    rates = np.array(rates_of(segment), dtype="<f8").tobytes()
    if rates:
        talk.write(Area.ETA, rates)
    ask = ask_of(
        segment,
        ticket=ticket,
        dataset_crc=talk.dataset_crc,
        state_crc=checksum(areas.values()),
        rates=rates,
        guard_crc=0,
        floats=False,
    )
    answer = talk.ask(Type.LEARN, ask.pack())
    assert answer.trouble is None, answer
    assert talk.ask(Type.LEARN, ask.pack()).payload == answer.payload  # repeated, not done again
    learnt = LearnResult.unpack(answer.payload)
    p = segment.state.theta.size
    after = {area: talk.read(area, 8 * p) for area in areas_after(segment, learnt)}
    assert learnt.state_crc == checksum(after.values())
    assert (learnt.ticket, learnt.theta_crc) == (ticket, zlib.crc32(talk.read(Area.HELD, 2 * p)))
    return result_of(segment, learnt, after, floats=False)


@pytest.mark.parametrize("where", LINES)
def test_segments(sanitized: Path, where: str) -> None:
    rng, reference = Random(4), Reference()
    with ready(sanitized, where) as (talk, chip):
        for ticket, optimizer in enumerate(list(OPTIMIZERS) * 2, start=1):
            rule = draw_rule(rng, SPEC, 7, optimizer)
            state = new_state(chip, rule, rng)
            for size in (17, 1, 30):
                segment = Segment(state, rule, size)
                expected, answer = reference.learn(chip, segment), learn(talk, segment, 100 * ticket + size)
                assert_same_state(answer.state, expected.state)
                assert answer.cost == expected.cost
                assert (answer.last is None) == (expected.last is None)
                held = np.frombuffer(talk.read(Area.HELD, 2 * chip.codes.size), "<i2")
                assert_array_equal(held, chip.codes)
                state = expected.state


def new_state(chip: Chip, rule: LearningRule, rng: Random) -> TrainState:
    p = chip.topology.n_parameters
    theta = np.clip([rng.uniform(-1, 1) for _ in range(p)], rule.low, rule.high)
    return TrainState(
        0, 0, theta, rule.optimizer.init(p), Window.empty(p), FilterState.empty(p), None, 0, bytes(32)
    )  # fmt: skip


def trouble(answer: Answer) -> tuple[int, int]:
    assert answer.trouble is not None, answer
    return answer.trouble.code, answer.trouble.value


def test_what_it_does_not_hold_it_does_not_use(sanitized: Path) -> None:
    block = Block(0, 3, CodeSpec(), SampleOrder(1, 7))
    with ready(sanitized, "--tcp 0") as (talk, _chip):
        theta, data = talk.theta_crc, talk.dataset_crc
        for theta_crc, dataset_crc, thing in ((1, data, MismatchedItem.PARAMETERS), (theta, 1, MismatchedItem.DATASET)):
            answer = talk.ask(Type.PROBE, probe_of(block, theta_crc, dataset_crc, floats=False).pack())
            assert trouble(answer) == (Code.MISMATCH, thing)
        talk.write(Area.SAMPLES, bytes(8))
        assert trouble(talk.ask(Type.INFER, Infer(0, 2, 5, theta, data).pack())) == (
            Code.MISMATCH,
            MismatchedItem.SAMPLES,
        )
        talk.write(Area.TARGETS, b"\1")
        answer = talk.ask(Type.PROBE, probe_of(block, theta, data, floats=False).pack())
        assert trouble(answer) == (Code.MISMATCH, MismatchedItem.DATASET)


def test_limits(sanitized: Path) -> None:
    with ready(sanitized, "--tcp 0", "max_slew=100", "max_stress=400") as (talk, chip):
        so_far = int(np.abs(chip.codes.astype(int)).max())  # on the way from where it started
        beyond = chip.codes.copy()
        beyond[4] += 150
        assert talk.set(beyond).trouble is None  # in two steps
        assert talk.set(chip.codes).trouble is None
        assert so_far + 2 * 150 <= 400 < so_far + 3 * 150
        assert trouble(talk.set(beyond)) == (Code.LIMIT, -1)
        assert_array_equal(np.frombuffer(talk.read(Area.HELD, 2 * chip.codes.size), "<i2"), chip.codes)
        assert talk.set(chip.codes).trouble is None
        for amplitude, allowed in ((50, True), (51, False)):
            block = Block(0, 3, CodeSpec(amplitude=amplitude), SampleOrder(1, 7))
            payload = probe_of(block, talk.theta_crc, talk.dataset_crc, floats=False).pack()
            if allowed:
                assert talk.values(Type.PROBE, payload)
            else:
                assert trouble(talk.ask(Type.PROBE, payload)) == (Code.LIMIT, -3)
    with ready(sanitized, "--tcp 0") as (talk, chip):
        codes = np.zeros_like(chip.codes)
        codes[2] = 512
        assert trouble(talk.set(codes)) == (Code.LIMIT, 2)
        assert_array_equal(np.frombuffer(talk.read(Area.HELD, 2 * codes.size), "<i2"), chip.codes)
        codes[2], codes[6] = 0, 500
        assert talk.set(codes).trouble is None
        block = Block(0, 3, CodeSpec(amplitude=12), SampleOrder(1, 7))
        answer = talk.ask(Type.PROBE, probe_of(block, talk.theta_crc, talk.dataset_crc, floats=False).pack())
        assert trouble(answer) == (Code.LIMIT, 6)


def test_the_safe_state(sanitized: Path) -> None:
    with ready(sanitized, "--tcp 0") as (talk, chip):
        assert talk.ask(Type.SAFE).payload == b""
        pong = talk.ping()
        assert (pong.state, pong.reason) == (State.SAFE, Reason.ASKED)
        assert trouble(talk.ask(Type.SET, bytes(16))) == (Code.SAFE, Reason.ASKED)
        known = talk.identify()
        assert (known.state, known.theta_crc, known.dataset_crc) == (State.SAFE, 0, talk.dataset_crc)
        assert_array_equal(np.frombuffer(talk.read(Area.HELD, 2 * chip.codes.size), "<i2"), 0)


def test_the_dead_man(sanitized: Path) -> None:
    with ready(sanitized, "--pty") as (talk, _):
        talk.identify(dead_man_ms=50)
        deadline = time.monotonic() + 20
        statistics = Statistics.unpack(talk.ask(Type.STATISTICS).payload)
        while not statistics.dead_man_trips and time.monotonic() < deadline:
            time.sleep(0.06)  # silence, which is what trips it
            statistics = Statistics.unpack(talk.ask(Type.STATISTICS).payload)
        assert statistics.dead_man_trips == 1
        known = talk.identify()
        assert (known.state, known.reason) == (State.SAFE, Reason.DEAD_MAN)


@pytest.mark.parametrize("where", ["--tcp 0", "--unix {}/board"])
def test_the_dead_man_ends_a_connection_too(sanitized: Path, where: str, tmp_path: Path) -> None:
    with board(sanitized, *where.format(tmp_path).split(), *OPTIONS) as (_, address):
        with line(address) as talk:
            talk.identify(dead_man_ms=50)
            with pytest.raises((NoAnswer, ConnectionError)):
                talk.receive()
        with line(address) as talk:
            known = talk.identify()
            assert (known.state, known.reason) == (State.SAFE, Reason.DEAD_MAN)


def test_a_lost_line(sanitized: Path) -> None:
    with board(sanitized, "--tcp", "0", *OPTIONS) as (_, address):
        with line(address) as talk:
            talk.identify()
        with line(address) as talk:
            known = talk.identify()
            assert (known.state, known.reason) == (State.SAFE, Reason.LINK_LOST)


def test_a_ping_while_something_runs_and_what_ends_it(sanitized: Path) -> None:
    block = Block(0, 2**31 - 1, CodeSpec(), SampleOrder(1, 7, batch=2))
    with ready(sanitized, "--tcp 0") as (talk, _):
        payload = probe_of(block, talk.theta_crc, talk.dataset_crc, floats=False).pack()
        sequence = talk.send(Type.PROBE, payload)
        talk.send(Type.PING)
        while (answer := talk.next()).type != 0x82:
            assert answer.type == 0x8B
        running, done, state, _ = struct.unpack("<IIBBxx", answer.payload)
        assert (running, state) == (sequence, State.READY)
        talk.raw(encode(Frame(Type.PROBE, sequence, payload)))  # the line says it twice
        talk.send(Type.PING)
        while (answer := talk.next()).type != 0x82:
            assert answer.type == 0x8B
        again = struct.unpack("<IIBBxx", answer.payload)
        assert again[0] == sequence
        assert again[1] >= done
        asked = talk.send(Type.STATISTICS)
        while (answer := talk.next()).sequence != asked:
            assert answer.type == 0x8B
        assert talk.ping().running == 0


def test_nonsense_is_counted_and_survived(sanitized: Path) -> None:
    rng = Random(7)
    with ready(sanitized, "--tcp 0", "max_payload=300") as (talk, chip):
        good = encode(Frame(Type.PING, 77))
        wrong = bytearray(good)
        wrong[5] ^= 0x40
        talk.raw(bytes(wrong) + b"\0\0" + b"\x05abc\0" + b"\xff" * 1000 + b"\0" + b"\x02\1\0")
        statistics = Statistics.unpack(talk.ask(Type.STATISTICS).payload)
        assert (statistics.bad_crc, statistics.bad_frames) == (1, 3)
        for _ in range(300):
            talk.raw(rng.randbytes(rng.randint(1, 400)))
        talk.raw(b"\0")
        assert trouble(talk.ask(0x55)) == (Code.UNKNOWN, 0x55)  # type: ignore[arg-type]
        for kind in (Type.READ, Type.WRITE, Type.LOAD, Type.SET, Type.PROBE, Type.LEARN, Type.PING):
            assert trouble(talk.ask(kind, b"\1\2\3")) == (Code.BAD, 0)
        assert trouble(talk.ask(Type.SNAPSHOT))[0] == Code.UNSUPPORTED
        for payload in (struct.pack("<B3xI", 1, 2 * chip.codes.size) + b"x", struct.pack("<B3xI", 200, 0) + b"x"):
            assert trouble(talk.ask(Type.WRITE, payload)) == (Code.BAD, 0)
        assert trouble(talk.ask(Type.READ, struct.pack("<B3xII", 4, 0, 4))) == (Code.BAD, 0)
        sequence, _ = talk.connection.send(Type.PING)
        talk.raw(encode(Frame(Type.PING, sequence, b"", 9)))
        assert trouble(talk.next()) == (Code.VERSION, 1)
        assert talk.ping().state == State.READY


def test_a_block_can_be_continued(sanitized: Path) -> None:
    block = Block(5, 40, CodeSpec(amplitude=3), SampleOrder(8, 7, 2, 6))
    with ready(sanitized, "--tcp 0") as (talk, chip):
        whole = chip.probe(block)
        first = chip.probe(replace(block, n_probes=13))
        rest = ask_block(talk, replace(block, first_step=18, n_probes=27, held=first.held))
        assert_array_equal(rest.perturbed, whole.perturbed[13:])
        assert_array_equal(rest.reference, whole.reference[13:])
