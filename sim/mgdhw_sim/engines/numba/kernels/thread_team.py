"""Threads that share the work of one probe, and wait for each other at barriers.

They are threads of this process, each with a call into compiled code. Waiting spins, since the waits are short;
a partner that is later than that has lost its processor to another program, and is slept for. Sleeping keeps both in
step: threads that sleep at the same time come back at the same time. (Yielding does not: Linux takes it for giving up
a whole turn, and two threads that give up their turns to neighbours hardly ever run together.)
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import numpy as np
from numba import njit, types

from mgdhw.compiled.kernels.atomics import add_atomically, read_atomically
from mgdhw.compiled.options import JIT
from mgdhw.topology import Topology

SPINS = 100_000
"""That take about a tenth of a millisecond: longer than threads differ, and a small part of a scheduler's turn."""
NAP = 1 if sys.platform == "win32" else 20
"""What a sleep asks for, in milliseconds or microseconds; systems make more of it."""
SLOTS = 8
RELEASED = 1 << 62
"""So many arrivals mean that no thread waits any more: one has failed, and what the others do is discarded."""
FIRST_LAYER = 0.7
"""Share of all parameters from which on the first layer decides how they are parted."""

integer: Any = types.int32  # called with the types of arguments, it is a signature
sleep: Any = types.ExternalFunction("Sleep" if sys.platform == "win32" else "usleep", integer(types.uint32))


class Team(NamedTuple):
    """One thread's place in it."""

    thread: int
    n_threads: int
    arrived: Any
    """(1,) how often any thread has arrived at a barrier."""
    sums: Any
    """(n_threads * SLOTS,) each thread's contributions to a probe."""
    low: int
    high: int
    """Columns of the tile whose last layer and costs are this thread's."""
    first: int
    end: int
    """Parameters that this thread perturbs and updates; first is a multiple of 32."""


def teams(n_threads: int, batch: int, topology: Topology) -> list[Team]:
    """The places of a team for a batch of samples."""
    arrived, sums = np.zeros(1, dtype=np.int64), np.zeros(n_threads * SLOTS, dtype=np.int64)
    vectors, n = -(-batch // 16), topology.n_parameters
    layer = topology.layers[0]
    if n_threads > 1 and layer.n_in * layer.n_out > FIRST_LAYER * n:  # with the rows of the first layer
        borders = [share_of(thread, n_threads, layer.n_out) * layer.n_in // 32 * 32 for thread in range(n_threads)]
    else:
        borders = [n * thread // n_threads // 32 * 32 for thread in range(n_threads)]
    borders.append(n)
    return [
        Team(
            thread,
            n_threads,
            arrived,
            sums,
            16 * (vectors * thread // n_threads),
            16 * (vectors * (thread + 1) // n_threads),
            borders[thread],
            borders[thread + 1],
        )
        for thread in range(n_threads)
    ]


def release(team: Team) -> None:
    """Let every thread of a team go on without waiting for others."""
    team.arrived[0] = RELEASED


def share_of(thread: int, n_threads: int, n_out: int) -> int:
    """First row of a thread's share of a layer, a multiple of eight; that of the thread after the last is n_out."""
    return n_out if thread == n_threads else n_out // 8 * thread // n_threads * 8


first_row = njit(**JIT)(share_of)


@njit(**JIT)
def rows_of(team, n_out):
    """First row of this thread's share of a layer, and the one after its last."""
    return first_row(team.thread, team.n_threads, n_out), first_row(team.thread + 1, team.n_threads, n_out)


@njit(**JIT)
def barrier(team):
    """Wait until every thread is here; then all see what any wrote before."""
    if team.n_threads == 1:
        return
    number = add_atomically(team.arrived, 0, 1)
    everybody = (number // team.n_threads + 1) * team.n_threads
    spins = 0
    while True:
        arrived = read_atomically(team.arrived, 0)
        if arrived >= everybody or arrived >= RELEASED:
            return
        spins += 1
        if spins >= SPINS:
            sleep(NAP)


@njit(**JIT)
def sum_up(team, slot, mine):
    """The sum over all threads of what each contributes; `slot` differs from one sum to the next."""
    if team.n_threads == 1:
        return mine
    team.sums[team.thread * SLOTS + slot] = mine
    barrier(team)
    summed = np.int64(0)
    for thread in range(team.n_threads):
        summed += team.sums[thread * SLOTS + slot]
    return summed
