"""Threads that share the work of one probe, and wait for each other between its parts.

They are ours: a call into compiled code for each, from threads of this process. Waiting spins, since parts are short;
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
"""That take about a tenth of a millisecond: longer than parts differ, and a small part of a scheduler's turn."""
NAP = 1 if sys.platform == "win32" else 20
"""What a sleep asks for, in milliseconds or microseconds; systems make more of it."""
SLOTS = 8
RELEASED = 1 << 62
"""So many arrivals mean that nobody waits any more: a part has failed, and what the others do is thrown away."""
FIRST_LAYER = 0.7
"""Share of all parameters from which on the first layer decides how they are parted."""

integer: Any = types.int32  # called with the types of arguments, it is a signature
sleep: Any = types.ExternalFunction("Sleep" if sys.platform == "win32" else "usleep", integer(types.uint32))


class Team(NamedTuple):
    """One thread's place in it."""

    part: int
    parts: int
    arrived: Any
    """(1,) how often anybody has arrived at a meeting."""
    sums: Any
    """(parts * SLOTS,) each part's contributions to a probe."""
    low: int
    high: int
    """Columns of the tile whose last layer and costs are this part's."""
    first: int
    end: int
    """Parameters that this part moves and updates; first is a multiple of 32."""


def teams(parts: int, batch: int, topology: Topology) -> list[Team]:
    """The places of a team for a batch of samples."""
    arrived, sums = np.zeros(1, dtype=np.int64), np.zeros(parts * SLOTS, dtype=np.int64)
    vectors, n = -(-batch // 16), topology.n_parameters
    layer = topology.layers[0]
    if parts > 1 and layer.n_in * layer.n_out > FIRST_LAYER * n:  # with the rows of the first layer
        borders = [share_of(part, parts, layer.n_out) * layer.n_in // 32 * 32 for part in range(parts)]
    else:
        borders = [n * part // parts // 32 * 32 for part in range(parts)]
    borders.append(n)
    return [
        Team(
            part,
            parts,
            arrived,
            sums,
            16 * (vectors * part // parts),
            16 * (vectors * (part + 1) // parts),
            borders[part],
            borders[part + 1],
        )
        for part in range(parts)
    ]


def release(team: Team) -> None:
    """Let everybody in a team go on without waiting for others."""
    team.arrived[0] = RELEASED


def share_of(part: int, parts: int, n_out: int) -> int:
    """First row of a part's share of a layer, a multiple of eight; that of the part after the last is n_out."""
    return n_out if part == parts else n_out // 8 * part // parts * 8


first_row = njit(**JIT)(share_of)


@njit(**JIT)
def rows_of(team, n_out):
    """First row of this part's share of a layer, and the one after its last."""
    return first_row(team.part, team.parts, n_out), first_row(team.part + 1, team.parts, n_out)


@njit(**JIT)
def meet(team):
    """Wait until every part is here; then all see what any wrote before."""
    if team.parts == 1:
        return
    number = add_atomically(team.arrived, 0, 1)
    everybody = (number // team.parts + 1) * team.parts
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
    """The sum over all parts of what each contributes; `slot` differs from one sum to the next."""
    if team.parts == 1:
        return mine
    team.sums[team.part * SLOTS + slot] = mine
    meet(team)
    summed = np.int64(0)
    for part in range(team.parts):
        summed += team.sums[part * SLOTS + slot]
    return summed
