"""Threads that share work: what one of them raises is raised, and nobody waits for ever."""

import threading

import numpy as np
import pytest
from numba import njit

from mgdhw.topology import Topology
from mgdhw_sim.engines.numba.kernels.thread_team import Team, barrier, release, sum_up, teams
from mgdhw_sim.engines.numba.pinned_threads import run_pinned


@njit(nogil=True, _nrt=False)
def meetings(team: Team, count: int) -> int:
    total = 0
    for number in range(count):
        total += sum_up(team, number & 1, team.thread + number)
    barrier(team)
    return total


def places() -> list[Team]:
    return teams(2, 32, Topology.dense((64, 16, 10)))


def test_all_parts_meet_and_sum_up() -> None:
    own = places()
    total = run_pinned(lambda thread: int(meetings(own[thread], 1000)), 2, lambda: release(own[0]))
    assert total == sum(2 * number + 1 for number in range(1000))


@pytest.mark.parametrize("failing", [0, 1])
def test_what_one_part_raises_is_raised_and_nobody_is_left_waiting(failing: int) -> None:
    own = places()
    meetings(places()[0]._replace(n_threads=1), 1)  # compiled

    def work(thread: int) -> int:
        if thread == failing:
            raise ValueError("part failed")
        return int(meetings(own[thread], 5))

    with pytest.raises(ValueError, match="part failed"):
        run_pinned(work, 2, lambda: release(own[0]))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("mgdhw thread")]


def test_parameters_are_parted_without_gaps() -> None:
    for layers in ((784, 128, 10), (64, 16, 10), (3, 5, 7, 2), (784, 1024, 256, 10)):
        topology = Topology.dense(layers)
        own = teams(2, 100, topology)
        covered = np.concatenate([np.arange(one.first, one.end) for one in own])
        assert np.array_equal(covered, np.arange(topology.n_parameters))
        assert all(one.first % 32 == 0 for one in own)
