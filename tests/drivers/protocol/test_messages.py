"""Messages: sizes as documented, round trips, and blocks and segments both ways."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mgdhw.block import Baseline, Block, CodeSpec, Costs, HeldBaseline
from mgdhw.errors import LinkCorrupt
from mgdhw.random.sample_order import SampleOrder
from mgdhw_drivers.protocol import blocks, cells, messages, numbers, values
from mgdhw_drivers.protocol.description import Description, Head
from tests.helpers.paths import DOCS

SIZES = {"IDENTIFY": 12, "STATISTICS": 40, "MEASURE": 32, "PROBE": 80, "LEARN": 240, "LEARNT": 120}

block_strategy = st.builds(
    Block,
    st.integers(0, 1 << 40),
    st.integers(1, 60),
    st.builds(
        CodeSpec,
        st.just("sparse"),
        st.integers(0, 2**64 - 1),
        st.integers(1, 32767),
        st.sampled_from(numbers.GROUPS),
        st.tuples(st.floats(2**-15, 1)),
    )
    | st.builds(
        CodeSpec,
        st.sampled_from(sorted(set(numbers.FAMILY_NUMBERS) - {"sparse"})),
        st.integers(0, 2**64 - 1),
        st.integers(1, 32767),
        st.sampled_from(numbers.GROUPS),
    ),
    st.builds(SampleOrder, st.integers(0, 2**64 - 1), st.integers(1, 2**31), st.integers(1, 100), st.integers(1, 9)),
    st.sampled_from(Baseline),
    st.none() | st.builds(HeldBaseline, st.integers(-(2**60), 2**60), st.integers(0, 1 << 40)),
)


def test_layouts_have_the_documented_sizes() -> None:
    assert messages.Identify.form.size == SIZES["IDENTIFY"]
    assert messages.Identity.form.size == 40
    assert messages.Statistics.form.size == SIZES["STATISTICS"]
    assert messages.Measure.form.size == SIZES["MEASURE"]
    assert messages.Probe.form.size == SIZES["PROBE"]
    assert messages.Probe.form.size + messages.Learn.form.size == SIZES["LEARN"]
    assert messages.LearnResult.form.size == SIZES["LEARNT"]
    assert Head.form.size == 168
    document = (DOCS / "link.md").read_text()
    for kind in numbers.Type:
        assert re.search(rf"0x{kind:02X}.{{0,12}}{kind.name}", document), kind


@settings(deadline=None)
@given(block_strategy)
def test_a_block_comes_back_as_it_was(block: Block) -> None:
    probe = messages.Probe.unpack(blocks.probe_of(block, 1, 2, floats=False).pack())
    assert blocks.block_of(probe, floats=False) == block


@settings(deadline=None)
@given(block_strategy, st.integers(0, 2**32))
def test_costs_come_back_whole_and_in_parts(block: Block, seed: int) -> None:
    draw = np.random.default_rng(seed)
    truth = draw.integers(0, 1 << 17, block.evaluations())
    costs = blocks.costs_of(truth, block)
    np.testing.assert_array_equal(blocks.values_of(costs, block), truth)
    # Whatever part of the answer is lost, the rest that is asked for completes it.
    known, rest = [], block
    while True:
        answer = blocks.values_of(_rest_of(costs, block, rest), rest)
        got = answer[: draw.integers(1, answer.size, endpoint=True)]
        used, following = blocks.rest_of(rest, got)
        known.append(got[:used])
        if following is None:
            break
        rest = following
    again = blocks.costs_of(np.concatenate(known), block)
    np.testing.assert_array_equal(again.perturbed, costs.perturbed)
    np.testing.assert_array_equal(again.reference, costs.reference)
    assert (again.held, again.evaluations) == (costs.held, costs.evaluations)


def _rest_of(costs: Costs, block: Block, rest: Block) -> Costs:
    skip = rest.first_step - block.first_step
    return Costs(costs.perturbed[skip:], costs.reference[skip:], rest.evaluations(), costs.held)


@settings(deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=400), st.integers(256, 400))
def test_values_come_back_in_the_narrowest_numbers(numbers: list[int], max_payload: int) -> None:
    sent = np.array(numbers, dtype=np.int64)
    payloads = values.pack(0, sent, max_payload, last=True)
    parts = [values.unpack(payload) for payload in payloads]
    assert [first for first, _, _ in parts] == [sum(p.size for _, p, _ in parts[:i]) for i in range(len(parts))]
    assert [last for _, _, last in parts] == [False] * (len(parts) - 1) + [True]
    np.testing.assert_array_equal(np.concatenate([part for _, part, _ in parts]), sent)


@pytest.mark.parametrize(("high", "size"), [(65_535, 2), (65_536, 4), (2**32, 8)])
def test_costs_take_as_many_bytes_as_they_need(high: int, size: int) -> None:
    (payload,) = values.pack(0, np.array([0, high]), 1000, last=True)
    assert len(payload) == 8 + 2 * size


@settings(deadline=None)
@given(st.binary(max_size=120))
def test_random_bytes_as_messages_are_corrupt_or_messages(content: bytes) -> None:
    for parse in (values.unpack, Description.unpack, cells.unpack, messages.Learn.unpack, messages.Identity.unpack):
        try:
            parse(content)
        except LinkCorrupt:
            continue


def test_cells_come_back_as_they_were() -> None:
    memory = {"age": np.arange(6, dtype=np.int16).reshape(2, 3), "θ": np.array([0.5, -1.0]), "n": np.array(7)}
    back = cells.unpack(cells.pack(memory))
    assert list(back) == list(memory)
    for name, array in memory.items():
        np.testing.assert_array_equal(back[name], array)
        assert back[name].dtype == array.dtype
