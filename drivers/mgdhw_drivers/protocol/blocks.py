"""Blocks and their answers as messages, both ways."""

from __future__ import annotations

import struct
from dataclasses import fields, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.block import Baseline, Block, CodeSpec, Costs, HeldBaseline
from mgdhw.codes import FAMILIES as CODE_FAMILIES
from mgdhw.codes import family_of
from mgdhw.random.sample_order import SampleOrder
from mgdhw_drivers.protocol.messages import HELD_VALID, Probe
from mgdhw_drivers.protocol.numbers import BASELINES, FAMILIES, FAMILY_NUMBERS, GROUPS

_BASELINES = tuple(Baseline(name) for name in BASELINES)


def number_to_bytes(value: int | float, *, floats: bool) -> bytes:
    """A cost as 8 bytes: f64 where costs are floats, else i64."""
    return struct.pack("<d", value) if floats else struct.pack("<q", int(value))


def number_from_bytes(raw: bytes, *, floats: bool) -> int | float:
    """The cost from its 8 bytes."""
    value: int | float = struct.unpack("<d" if floats else "<q", raw)[0]
    return value


def probe_of(block: Block, theta_crc: int, dataset_crc: int, *, floats: bool) -> Probe:
    """A block as a message."""
    held = block.held
    return Probe(
        first_step=block.first_step,
        code_seed=block.codes.seed,
        order_seed=block.order.seed,
        code_parameter=parameter_of(block.codes),
        held_value=number_to_bytes(0 if held is None else held.value, floats=floats),
        held_step=0 if held is None else held.step,
        n_probes=block.n_probes,
        order_n=block.order.n,
        batch=block.order.batch,
        tau_x=block.order.tau_x,
        theta_crc=theta_crc,
        dataset_crc=dataset_crc,
        amplitude=block.codes.amplitude,
        family=FAMILY_NUMBERS[block.codes.family],
        groups=GROUPS.index(block.codes.groups),
        baseline=_BASELINES.index(block.baseline),
        flags=0 if held is None else HELD_VALID,
    )


def block_of(probe: Probe, *, floats: bool) -> Block:
    """The block that a message asks for, whose fields are within their ranges (`checks.check_probe`)."""
    held = None
    if probe.flags & HELD_VALID:
        held = HeldBaseline(number_from_bytes(probe.held_value, floats=floats), probe.held_step)
    return Block(
        first_step=probe.first_step,
        n_probes=probe.n_probes,
        codes=_codes(probe.family, probe.code_seed, probe.amplitude, probe.groups, probe.code_parameter),
        order=_order(probe.order_seed, probe.order_n, probe.batch, probe.tau_x),
        baseline=_BASELINES[probe.baseline],
        held=held,
    )


def parameter_of(codes: CodeSpec) -> float:
    """The parameter of a family of codes as PROBE carries it; 0 if the family has none."""
    family = family_of(codes)
    return float(next((getattr(family, field.name) for field in fields(family)), 0.0))


@lru_cache(maxsize=16)
def _codes(family: int, seed: int, amplitude: int, groups: int, parameter: float) -> CodeSpec:
    """One object for all blocks of a run, as a host has it: devices look up by it what they have made ready."""
    name = FAMILIES[family]
    return CodeSpec(name, seed, amplitude, GROUPS[groups], (parameter,) if fields(CODE_FAMILIES[name]) else ())


@lru_cache(maxsize=16)
def _order(seed: int, n: int, batch: int, tau_x: int) -> SampleOrder:
    return SampleOrder(seed, n, batch, tau_x)


def _measured(block: Block) -> NDArray[np.bool_]:
    """(K,) whether C₀ is measured for a probe."""
    due = np.zeros(block.n_probes, dtype=np.bool_)
    steps = np.asarray(block.baseline_steps(), dtype=np.int64)
    due[steps - block.first_step] = True
    return due


def _is_simple(block: Block) -> bool:
    """Whether all of a block's probes see one batch, so that a baseline is measured before the first or not at all."""
    return block.baseline is Baseline.HELD and block.n_batches() == 1


def values_of(costs: Costs, block: Block) -> NDArray[Any]:
    """The evaluations of a block in the order in which they are made: baseline, C(θ + θ̃), C(θ - θ̃) of each probe."""
    if block.baseline is Baseline.NONE:
        return costs.perturbed
    if block.baseline is Baseline.ANTITHETIC:
        return np.stack([costs.perturbed, costs.reference], axis=1).ravel()
    if _is_simple(block):
        if block.valid_held() is not None:
            return costs.perturbed
        return np.concatenate([costs.reference[:1], costs.perturbed])
    due = _measured(block)
    at = np.arange(block.n_probes) + np.cumsum(due)
    values = np.empty(block.n_probes + int(due.sum()), dtype=costs.perturbed.dtype)
    values[at] = costs.perturbed
    values[at[due] - 1] = costs.reference[due]
    return values


def costs_of(values: NDArray[Any], block: Block) -> Costs:
    """The answer to a block from its evaluations, all of them."""
    count = values.size
    if block.baseline is Baseline.NONE:
        return Costs(values, np.zeros_like(values), count)
    if block.baseline is Baseline.ANTITHETIC:
        return Costs(values[0::2], values[1::2], count)
    carried = block.valid_held()
    if _is_simple(block):
        held, probed = carried, values
        if held is None:
            held, probed = HeldBaseline(values[0].item(), block.first_step), values[1:]
        reference = np.empty(block.n_probes, dtype=values.dtype)
        reference.fill(held.value)
        return Costs(probed, reference, count, held)
    due = _measured(block)
    at = np.arange(block.n_probes) + np.cumsum(due)
    known = values[at[due] - 1]
    steps = np.flatnonzero(due) + block.first_step
    if carried is not None:
        known = np.concatenate([np.asarray([carried.value], dtype=values.dtype), known])
        steps = np.concatenate([[carried.step], steps])
    reference = known[np.cumsum(due) - (0 if carried is not None else 1)]
    last = None
    if block.baseline is Baseline.HELD:
        last = HeldBaseline(known[-1].item(), int(steps[-1]))
    return Costs(values[at], reference, count, last)


def rest_of(block: Block, values: NDArray[Any]) -> tuple[int, Block | None]:
    """What is left of a block of which the first evaluations are known.

    Returns:
        How many of the values are used (those of whole probes), and the block that asks for the rest, None if there
        is none.
    """
    if values.size == block.evaluations():
        return values.size, None
    if block.baseline is Baseline.NONE:
        ends = np.arange(1, block.n_probes + 1)
    elif block.baseline is Baseline.ANTITHETIC:
        ends = 2 * np.arange(1, block.n_probes + 1)
    else:
        ends = np.arange(1, block.n_probes + 1) + np.cumsum(_measured(block))
    done = int(np.searchsorted(ends, values.size, side="right"))
    if done == 0:
        return 0, block
    if done == block.n_probes:
        return values.size, None
    used = int(ends[done - 1])
    held = costs_of(values[:used], replace(block, n_probes=done)).held
    return used, replace(block, first_step=block.first_step + done, n_probes=block.n_probes - done, held=held)
