"""Curves of neurons and of cost units, as compiled kernels take them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mgdhw_sim.points import TABLE
from mgdhw_sim.reference import datapath, tables
from mgdhw_sim.spec import ChipSpec


def cost_curve(spec: ChipSpec) -> NDArray[np.int64]:
    """Of a cost unit that has one: the exponential, or the cost of an error."""
    if spec.cost == TABLE:
        return datapath.cost_units_table(spec).copy()
    if spec.cost == "xent":
        return tables.exp_table(spec.signal_bits, spec.signal_fraction_bits).copy()
    return np.zeros(1, dtype=np.int64)


def paired(spec: ChipSpec) -> bool:
    """Whether kernels of small numbers know its cost unit, and its curves are so flat that `pairs` holds them."""
    steepest = max(int(np.abs(np.diff(datapath.curve_of(spec, last=last))).max()) for last in (False, True))
    return spec.cost != TABLE and steepest < 1 << 15


def pairs(curve: NDArray[np.int64]) -> NDArray[np.int32]:
    """Each border's signal in the low 16 bits, the way to the next one's in the high ones."""
    return np.asarray((curve[:-1] & 0xFFFF) | (np.diff(curve) << 16)).astype(np.int32)
