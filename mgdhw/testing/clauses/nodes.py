"""The clause about node perturbation: what a block that perturbs nodes is answered with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.block import Baseline, Block, CodeSpec, Costs, Target
from mgdhw.codes import FAMILIES, Codes
from mgdhw.errors import DeviceFault
from mgdhw.learning.nodes import check_node_costs, host_sums
from mgdhw.testing.check import NotApplicable, Opener
from mgdhw.testing.device_under_test import DeviceUnderTest, opened_dut
from mgdhw.testing.requirements import require, require_equal
from mgdhw.testing.stimuli import AMPLITUDE, SEED, block_for, parameters_for

CUTS = ((1, 9), (2, 5, 3), (9, 1))
"""Ways to split the block of ten probes: within batches, and at their ends."""

ROUNDING = 1e-4
"""Relative error of sums in single precision: the differences of costs are small beside the costs."""


async def node_blocks_give_sums(opener: Opener) -> None:
    """A block that perturbs nodes gives costs and what the sums need; parts of it give the sums of the whole."""
    async with opened_dut(opener) as dut:
        if not dut.info.perturbs_nodes:
            raise NotApplicable("the device cannot perturb its nodes")
        for family, kind in FAMILIES.items():
            if kind.needs_layers:
                continue
            for groups in ("all", "layer"):
                codes = CodeSpec(family, SEED, AMPLITUDE, groups, parameters_for(family), target=Target.NODES)
                for baseline in (Baseline.HELD, Baseline.EVERY, Baseline.ANTITHETIC):
                    await _check(dut, block_for(dut.info, codes=codes, baseline=baseline))


async def _check(dut: DeviceUnderTest, block: Block) -> None:
    what = f"a block that perturbs nodes, codes {block.codes.family}, groups {block.codes.groups}, {block.baseline}"
    costs = await dut.device.probe(block)
    whole = _sums(dut, block, costs, what)
    expected = block.evaluations()
    require(costs.evaluations == expected, f"{what}: {costs.evaluations} evaluations, expected {expected}")
    if not dut.is_repeatable:
        return
    for cuts in CUTS:
        step, held, total, evaluations = block.first_step, None, np.zeros_like(whole), 0
        for size in cuts:
            part = replace(block, first_step=step, n_probes=size, held=held)
            answer = await dut.device.probe(part)
            total = total + _sums(dut, part, answer, what)
            step, held, evaluations = step + size, answer.held, evaluations + answer.evaluations
        parts = f"{what}, split into {'+'.join(map(str, cuts))}"
        require(evaluations == expected, f"{parts}: {evaluations} evaluations, expected {expected}")
        if dut.is_deterministic:
            require_equal(total, whole, parts, "the sums of the parts", "of the whole")
        else:
            close = np.allclose(total, whole, rtol=0, atol=ROUNDING * float(np.abs(whole).max()))
            require(close, f"{parts}: the sums of the parts are not those of the whole")


def _sums(dut: DeviceUnderTest, block: Block, costs: Costs, what: str) -> NDArray[Any]:
    """(P,) the sums, made by whoever makes them; where both can, they have to be the same."""
    for name, values in (("costs", costs.perturbed), ("baselines", costs.reference)):
        require(values.shape == (block.n_probes,), f"{what}: {name} of shape {values.shape}")
    try:
        check_node_costs(block, costs, dut.info.topology, dut.device.uri)
    except DeviceFault as fault:
        require(False, f"{what}: {fault}")
    codes = Codes(block.codes, dut.info.topology)
    sums = costs.node_sums
    if costs.nodes is not None:
        require_equal(costs.nodes.perturbed.sum(axis=1), costs.perturbed, what, "sums over the samples", "the costs")
        by_host = host_sums(costs, codes, block.first_step, block.order)
        if sums is not None and dut.is_deterministic:
            require_equal(sums, by_host, what, "the device's sums", "those made of its costs")
        sums = by_host if sums is None else sums
    assert sums is not None, "checked above"
    require(bool(np.isfinite(sums).all()), f"{what}: the sums are NaN or infinite")
    # A bias takes in 1, so its sums follow from the costs alone.
    change = np.subtract(costs.perturbed, costs.reference, dtype=np.int64 if dut.is_deterministic else np.float64)
    values = codes.values(block.first_step, block.n_probes)
    scale = float(np.abs(sums).max()) or 1.0
    for layer in dut.info.topology.layers:
        own = values[:, layer.nodes].reshape(block.n_probes, layer.positions, layer.n_out).sum(axis=1, dtype=np.int64)
        expected = change @ own
        found = sums[layer.biases]
        good = np.allclose(found, expected, rtol=0, atol=0 if dut.is_deterministic else ROUNDING * scale)
        require(good, f"{what}: the sums of biases are not those of costs and codes")
    return sums
