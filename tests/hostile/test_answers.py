"""Hostile answers: a typed error or the right digest, in bounded time and memory. All of them with the long tests."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import pytest

from tests.hostile.answers import DIGEST, MEGABYTES, Ending, megabytes, play_all
from tests.hostile.cases import CASES

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes and pseudo-terminals")

SIDE_BY_SIDE = 8
QUICK = (
    "LEARN: evaluations = 143000000",
    "LEARN: scalars[0] = nan",
    "LEARN: cost = inf",
    "LEARN: twice",
    "PROBE: twice as many values",
    "PROBE: values beyond those asked for, then the right ones",
    "PROBE: values are 65535 (H)",
    "INFER: values beyond those asked for",
    "READ: offset = 1",
    "SET: theta_crc = 1",
    "IDENTIFY: max_payload = 0",
    "description: n_parameters = 4294967295",
    "description: theta_lsb = 0.0",
    "description: details nested too deeply",
    "line, from PROBE: faults",
    "line, from LEARN: values without an end",
)


def bad(endings: Iterable[Ending]) -> list[str]:
    """Those that do not hold."""
    return [f"{ending.name}: {ending.how} {ending.said}" for ending in endings if not ending.holds]


async def test_some_hostile_answers_end_as_they_have_to() -> None:
    endings = await play_all([CASES[name] for name in QUICK], SIDE_BY_SIDE)
    assert bad(endings) == []
    assert {ending.name for ending in endings if ending.how == DIGEST} == {"LEARN: twice"}


@pytest.mark.long
@pytest.mark.parametrize("kind", sorted({name.partition(":")[0].partition(",")[0] for name in CASES}))
async def test_hostile_answers(kind: str) -> None:
    cases = [case for name, case in CASES.items() if name.startswith((f"{kind}:", f"{kind},"))]
    before = megabytes()
    endings = await play_all(cases, SIDE_BY_SIDE)
    assert bad(endings) == []
    assert megabytes() - before < MEGABYTES


def test_there_are_many() -> None:
    assert len(CASES) >= 700
