"""Threads that share work: what one of them raises is raised, and nobody waits for ever."""

import threading

import numpy as np
import pytest
from numba import njit

from mgdhw.topology import Topology
from mgdhw_sim.engines.numba.crew import together
from mgdhw_sim.engines.numba.team import Team, meet, release, sum_up, teams


@njit(nogil=True, _nrt=False)
def meetings(team: Team, count: int) -> int:
    total = 0
    for number in range(count):
        total += sum_up(team, number & 1, team.part + number)
    meet(team)
    return total


def places() -> list[Team]:
    return teams(2, 32, Topology.dense((64, 16, 10)))


def test_all_parts_meet_and_sum_up() -> None:
    own = places()
    total = together(lambda part: int(meetings(own[part], 1000)), 2, lambda: release(own[0]))
    assert total == sum(2 * number + 1 for number in range(1000))


@pytest.mark.parametrize("failing", [0, 1])
def test_what_one_part_raises_is_raised_and_nobody_is_left_waiting(failing: int) -> None:
    own = places()
    meetings(places()[0]._replace(parts=1), 1)  # compiled

    def work(part: int) -> int:
        if part == failing:
            raise ValueError("part failed")
        return int(meetings(own[part], 5))

    with pytest.raises(ValueError, match="part failed"):
        together(work, 2, lambda: release(own[0]))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("mgdhw part")]


def test_parameters_are_parted_without_gaps() -> None:
    for layers in ((784, 128, 10), (64, 16, 10), (3, 5, 7, 2), (784, 1024, 256, 10)):
        topology = Topology.dense(layers)
        own = teams(2, 100, topology)
        covered = np.concatenate([np.arange(one.first, one.end) for one in own])
        assert np.array_equal(covered, np.arange(topology.n_parameters))
        assert all(one.first % 32 == 0 for one in own)
