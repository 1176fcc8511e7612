"""Threads that share the work of one probe, and wait for each other between its parts.

They are ours: a call into compiled code for each, from threads of this process. Waiting spins for a few microseconds,
since parts are short, and then gives way to whoever else wants the processor.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import numpy as np
from numba import njit, types

from mgdhw.compiled.options import JIT
from mgdhw.compiled.simd import add_atomically, read_atomically

SPINS = 2000
SLOTS = 8

give_way = types.ExternalFunction("SwitchToThread" if sys.platform == "win32" else "sched_yield", types.int32())


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
    """Columns of the tile that are this part's."""
    first: int
    end: int
    """Parameters that are this part's."""


def teams(parts: int, batch: int, n_parameters: int) -> list[Team]:
    """The places of a team for a batch of samples."""
    arrived, sums = np.zeros(1, dtype=np.int64), np.zeros(parts * SLOTS, dtype=np.int64)
    vectors, blocks = -(-batch // 16), -(-n_parameters // 32)
    return [
        Team(
            part,
            parts,
            arrived,
            sums,
            16 * (vectors - vectors * (parts - part) // parts),
            16 * (vectors - vectors * (parts - part - 1) // parts),
            32 * (blocks * part // parts),
            min(n_parameters, 32 * (blocks * (part + 1) // parts)),
        )
        for part in range(parts)
    ]


@njit(**JIT)
def meet(team):
    """Wait until every part is here; then all see what any wrote before."""
    if team.parts == 1:
        return
    number = add_atomically(team.arrived, 0, 1)
    everybody = (number // team.parts + 1) * team.parts
    spins = 0
    while read_atomically(team.arrived, 0) < everybody:
        spins += 1
        if spins >= SPINS:
            give_way()


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
