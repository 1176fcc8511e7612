"""What a description claims: a field out of its range is named."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mgdhw.device import open_device
from mgdhw.errors import LinkCorrupt
from mgdhw_drivers.protocol.claims import MOST_PARAMETERS, check_description, limits_of
from mgdhw_drivers.protocol.description import Description, Head
from mgdhw_drivers.protocol.numbers import Area
from mgdhw_drivers.server.describe import describe
from mgdhw_drivers.server.limits import NO_LIMITS
from tests.hostile.cases import ABSURD

UNREAD = ("capabilities", "features", "n_sizes", "model_size", "identity_size", "details_size")
"""What only says what is there, or how long the rest is."""
ALLOWED = {("input_kind", 1), ("input_kind", 2)}
"""Another board's, but a board's."""
ELSEWHERE = {"parameter_kind": "area REQUESTED", "per_parameter": "(per_parameter|area LIMITS)"}
"""What else doesn't fit then."""


@pytest.fixture
async def description() -> Description:
    async with open_device("sim:analog-8bit?layers=2-3-1") as device:
        return describe(device.info, NO_LIMITS, floats=False, cells=0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (name, value)
        for name, values in ABSURD.items()
        for value in values
        if name not in UNREAD and (name, value) not in ALLOWED
    ],
)
def test_an_absurd_field_is_named(description: Description, name: str, value: Any) -> None:
    check_description(description)
    with pytest.raises(LinkCorrupt, match=f"{name}|{ELSEWHERE.get(name, name)}"):
        check_description(replace(description, head=replace(description.head, **{name: value})))


@pytest.mark.parametrize("area", [Area.REQUESTED, Area.HELD, Area.SAMPLES, Area.INPUTS, Area.THETA, Area.SLOT2])
def test_an_area_that_is_too_small_is_named(description: Description, area: Area) -> None:
    sizes = list(description.head.area_sizes)
    sizes[area] = 1
    with pytest.raises(LinkCorrupt, match=f"area {area.name} has 1 bytes"):
        check_description(replace(description, head=replace(description.head, area_sizes=tuple(sizes))))


def test_more_parameters_than_there_is_memory_for_are_refused_before_anything_is_made(description: Description) -> None:
    areas = tuple((1 << 32) - 1 for _ in Area)
    for count in (MOST_PARAMETERS + 1, (1 << 32) - 1):
        head = replace(description.head, n_parameters=count, area_sizes=areas)
        with pytest.raises(LinkCorrupt, match=re.escape(f"n_parameters of its description is {count:,}")):
            check_description(replace(description, head=head, sizes=()))


@pytest.mark.parametrize(
    ("low", "high", "lsb"),
    [(0.0, 0.0, 0.1), (1.0, -1.0, 0.1), (-1.0, 1.0, 0.0), (-1.0, 1.0, -0.1), (-1.0, np.nan, 0.1), (-np.inf, 1.0, 0.1)],
)
def test_limits_of_single_parameters_are_looked_at(
    description: Description, low: float, high: float, lsb: float
) -> None:
    limits = np.broadcast_to(np.array([[-1.0], [1.0], [0.01]]), (3, 13)).copy()
    low_of, high_of, lsb_of = limits_of(description, limits.tobytes())
    np.testing.assert_array_equal((low_of, high_of, lsb_of), limits)
    limits[:, 5] = low, high, lsb
    with pytest.raises(LinkCorrupt, match="parameter 5 has limits"):
        limits_of(description, limits.tobytes())


def test_every_field_of_the_head_is_looked_at_or_said_to_be_free() -> None:
    fields = set(Head.__match_args__) - {"area_sizes", "slew_interval"}
    assert fields == set(ABSURD)
