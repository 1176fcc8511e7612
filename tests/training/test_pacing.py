"""How many probes are asked for at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mgdhw.experiment.load import parse_experiment
from mgdhw.experiment.schema import LARGEST_BLOCK
from mgdhw.training.pacing import FREE, PATIENCE, AdaptiveBlockSize, first_size
from mgdhw.training.prepare import learning_rule
from mgdhw_sim.device import SimDevice
from mgdhw_sim.uri import parse

CHIP = "sim:analog-8bit"

WANTED = 0.25


def settle(takes: Callable[[int], float], pace: AdaptiveBlockSize, requests: int = 60) -> list[int]:
    """Sizes of the last requests to a device that takes so long for each size."""
    sizes = []
    for _ in range(requests):
        sizes.append(pace.size)
        pace.learn(pace.size, takes(pace.size))
    return sizes[-10:]


@pytest.mark.parametrize("each", [1e-9, 1e-6, 1e-4, 1e-2])
@pytest.mark.parametrize("first", [1, 64, LARGEST_BLOCK])
def test_a_request_takes_about_as_long_as_wanted(each: float, first: int) -> None:
    for size in settle(lambda size: each * size, AdaptiveBlockSize(first, WANTED)):
        assert each * size <= 2 * WANTED
        assert each * size >= WANTED / 2 or size == LARGEST_BLOCK


def test_a_device_that_is_slow_beyond_measure_gets_one_probe_at_a_time() -> None:
    assert settle(lambda size: 100.0 * size, AdaptiveBlockSize(64, WANTED)) == [1] * 10


@pytest.mark.parametrize("delay", [0.13, 0.2, 0.6, 1.0, 3.0])
def test_where_a_request_has_a_delay_of_its_own_smaller_ones_are_no_remedy(delay: float) -> None:
    """At one probe a millisecond, hundreds of probes cost hardly more than one. Also where one is soon enough."""
    sizes = settle(lambda size: delay + 1e-3 * size, AdaptiveBlockSize(4, WANTED))
    assert min(sizes) >= 32
    assert max(delay + 1e-3 * size for size in sizes) < FREE * PATIENCE * WANTED


def test_a_request_that_was_cut_short_says_little() -> None:
    pace = AdaptiveBlockSize(64, WANTED)
    pace.learn(10, 0.001)
    assert pace.size == 64
    pace.learn(10, 10.0)
    assert pace.size == 32


def test_what_the_user_says_holds() -> None:
    pace = AdaptiveBlockSize(64, WANTED, 7)
    pace.learn(7, 100.0)
    pace.learn(7, 0.0)
    assert pace.size == 7


@pytest.mark.parametrize(
    ("batch", "parameters", "replicas", "size"),
    [(1, 1210, 1, 64), (64, 1210, 1, 64), (1 << 20, 1210, 1, 1), (1, 1 << 20, 1, 64), (32, 1210, 1024, 25)],
)
def test_the_first_request_is_no_great_work(batch: int, parameters: int, replicas: int, size: int) -> None:
    changes = (f"training.batch={batch}",)
    device = SimDevice(CHIP, parse(CHIP))
    rule, _ = learning_rule(parse_experiment("", source="test", overrides=changes), device.info, 1000)
    assert first_size(64, rule, parameters, replicas) == size
