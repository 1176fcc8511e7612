"""What a board's input converters take travels with its description, in what the link has always carried."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import mgdhw
from mgdhw.device import DeviceInfo
from mgdhw_drivers.client.info import info_of
from mgdhw_drivers.protocol.description import Description
from mgdhw_drivers.server.describe import describe
from mgdhw_drivers.server.limits import NO_LIMITS
from mgdhw_sim.device import SimDevice
from mgdhw_sim.uri import parse
from tests.helpers.chips import CHIP


def served(info: DeviceInfo, *, details: str | None = None) -> DeviceInfo:
    """What a host knows of a board that serves a device."""
    said = describe(info, NO_LIMITS, floats=False, cells=0)
    if details is not None:
        said = replace(said, details=details, head=replace(said.head, details_size=len(details)))
    said = Description.unpack(said.pack())
    return info_of(said, (info.theta_min, info.theta_max, info.theta_lsb), {})


def chip(options: str = "") -> DeviceInfo:
    uri = CHIP + options
    return SimDevice(uri, parse(uri)).info


def without_converters(**changes: Any) -> DeviceInfo:
    """A device to which values are sent."""
    return replace(chip(), details={}, **changes)


@pytest.mark.parametrize("options", ["", "&input_bipolar=true", "&input_bits=16", "&input_bits=5&input_bipolar=true"])
def test_codes_say_what_their_converters_take(options: str) -> None:
    info = chip(options)
    assert served(info).input_range == info.input_range == (-1.0 if "bipolar" in options else 0.0, 1.0)
    assert served(info, details="").input_range == info.input_range  # as a board in C says it


def test_of_values_the_details_say_it() -> None:
    assert served(without_converters(input_range=(-2.5, 5.0))).input_range == (-2.5, 5.0)
    assert served(without_converters(input_range=None)).input_range is None


async def test_inputs_are_scaled_for_a_board_as_for_the_chip_that_it_is(bench: Any) -> None:
    """Clipped or scaled, over a real connection: the same notes, the same digest."""
    x = np.random.default_rng(2).uniform(-3, 3, (20, 2))
    given = {"training": {"probes": 60, "tau_theta": 20}}
    found: list[tuple[Any, ...]] = []
    async with bench.serve(CHIP) as address:
        for uri in (CHIP, address):
            for scale in ("none", "auto", "standard"):
                heard: list[Any] = []
                result = await mgdhw.train_async(
                    given | {"data": {"scale": scale}},
                    dataset=(x, (x[:, 0] > 0) * 1.0),
                    device=uri,
                    runs=None,
                    listeners=[heard.append],
                )
                found.append((result.digest, heard[0].notes))
    assert found[:3] == found[3:]
    assert len({digest for digest, _ in found}) == 3


@pytest.mark.parametrize(
    "said", [3, [1], [1, 2, 3], [2, 1], [0, "x"], [0, None], "ab", {}, [0, 1e999], [float("nan"), 1]]
)
def test_nonsense_is_no_statement(said: Any) -> None:
    assert served(without_converters(input_range=None), details=json.dumps({"input_range": said})).input_range is None
