"""Clauses about `probe`: K costs and baselines, no side effects, independent of how training is split into blocks."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from mgdhw.block import Baseline, Block, Costs, HeldBaseline
from mgdhw.testing.check import Opener
from mgdhw.testing.device_under_test import DeviceUnderTest, Probe, opened_dut
from mgdhw.testing.requirements import require, require_equal
from mgdhw.testing.stimuli import FIRST_STEP, PROBES, TAU_X, block_for

CUTS = ((1,) * PROBES, (2, 5, 3), (3, 7), (9, 1))
"""Ways to split the block of PROBES probes: within batches, at their ends, and into single probes."""

IMPOSSIBLE_BASELINE = 1 << 22
"""A baseline that no device measures: a device that ignores it is detected in spite of noise."""


async def every_probe_is_answered(opener: Opener) -> None:
    """K probes give K finite costs and K baselines, and evaluations are counted as by the block."""
    async with opened_dut(opener) as dut:
        for level, probe in dut.levels.items():
            for baseline in Baseline:
                for n_probes in (1, PROBES):
                    block = block_for(dut.info, baseline=baseline, n_probes=n_probes)
                    _demand_sound(block, await probe(block), f"{level}, {n_probes} probes, baseline {baseline}")


async def probe_has_no_side_effects(opener: Opener) -> None:
    """A block can be repeated: θ and the costs stay the same."""
    async with opened_dut(opener) as dut:
        for level, probe in dut.levels.items():
            for baseline in Baseline:
                block = block_for(dut.info, baseline=baseline)
                await probe(block)
                await dut.require_theta(f"{level}: after a block, baseline {baseline}", probed=True)
                if not dut.is_repeatable:
                    continue
                first, second, third = await probe(block), await probe(block), await probe(block)
                what = f"{level}: a repeated block, baseline {baseline}"
                require_equal(second, first, what, "the second result", "the first")
                require_equal(third, first, what, "the third result", "the first")


async def steps_come_in_any_order(opener: Opener) -> None:
    """Costs depend on the step, not on the order of calls: a later block may be run before an earlier one."""
    async with opened_dut(opener) as dut:
        dut.needs_repeatability()
        for level, probe in dut.levels.items():
            early, late = block_for(dut.info), block_for(dut.info, first_step=FIRST_STEP + 1000)
            in_order = (await probe(early), await probe(late))
            backwards = await probe(late), await probe(early)
            require_equal(backwards[0], in_order[1], f"{level}: the later block", "run first", "run second")
            require_equal(backwards[1], in_order[0], f"{level}: the earlier block", "run second", "run first")


async def held_baseline_is_carried(opener: Opener) -> None:
    """A baseline passed to a block is used, neither measured nor counted, until the batch changes."""
    async with opened_dut(opener) as dut:
        for level, probe in dut.levels.items():
            measured = await probe(block_for(dut.info, n_probes=1))
            carried = HeldBaseline(type(measured.reference[0].item())(IMPOSSIBLE_BASELINE), FIRST_STEP)
            block = block_for(dut.info, first_step=FIRST_STEP + 1, n_probes=PROBES - 1, held=carried)
            costs = await probe(block)
            what = f"{level}: a block with a given baseline"
            _demand_sound(block, costs, what)
            own = TAU_X - block.first_step % TAU_X
            require(bool((costs.reference[:own] == carried.value).all()), f"{what} measures another one, or changes it")
            require(bool((costs.reference[own:] != carried.value).all()), f"{what} still uses it for another batch")
            stale = block_for(dut.info, first_step=FIRST_STEP + TAU_X, n_probes=2, held=carried)
            costs = await probe(stale)
            what = f"{level}: a block with the baseline of another batch"
            _demand_sound(stale, costs, what)
            require(bool((costs.reference != carried.value).all()), f"{what} uses it")


async def cuts_change_nothing(opener: Opener) -> None:
    """However probes are split into blocks, costs, baselines and evaluations are the same."""
    async with opened_dut(opener) as dut:
        dut.needs_determinism()
        for level, probe in dut.levels.items():
            for baseline in Baseline:
                whole = await probe(block_for(dut.info, baseline=baseline))
                for cuts in CUTS:
                    what = f"{level}, baseline {baseline}, split into {'+'.join(map(str, cuts))}"
                    blocks = await _in_blocks(dut, probe, baseline, cuts)
                    require_equal(blocks, whole, what, "the parts", "the whole")


async def _in_blocks(dut: DeviceUnderTest, probe: Probe, baseline: Baseline, cuts: tuple[int, ...]) -> Costs:
    """The costs of consecutive blocks, concatenated."""
    edges = np.cumsum((FIRST_STEP, *cuts))
    blocks: list[Costs] = []
    for first, end in pairwise(int(edge) for edge in edges):
        held = blocks[-1].held if blocks else None
        block = block_for(dut.info, baseline=baseline, first_step=first, n_probes=end - first, held=held)
        blocks.append(await probe(block))
    return Costs(
        np.concatenate([block.perturbed for block in blocks]),
        np.concatenate([block.reference for block in blocks]),
        sum(block.evaluations for block in blocks),
        blocks[-1].held,
    )


def _demand_sound(block: Block, costs: Costs, what: str) -> None:
    """Raise ConformanceError unless costs are consistent with their block."""
    for name, values in (("costs", costs.perturbed), ("baselines", costs.reference)):
        require(values.shape == (block.n_probes,), f"{what}: {name} of shape {values.shape}")
        require(bool(np.isfinite(values).all()), f"{what}: {name} are NaN or infinite")
    expected = block.evaluations()
    require(costs.evaluations == expected, f"{what}: {costs.evaluations} evaluations, expected {expected}")
    if block.baseline is Baseline.NONE:
        require(not costs.reference.any(), f"{what}: baselines are not zero")
    if block.baseline is not Baseline.HELD:
        require(costs.held is None, f"{what}: returns a baseline to carry over, though it is not held")
        return
    steps = block.baseline_steps()
    carried = block.valid_held()
    step = steps[-1] if steps or carried is None else carried.step
    require(costs.held is not None, f"{what}: returns no baseline to carry over")
    assert costs.held is not None, "required above"
    require(costs.held.step == step, f"{what}: the returned baseline is of step {costs.held.step}, expected {step}")
    value = costs.reference[-1]
    require(
        bool(costs.held.value == value), f"{what}: the returned baseline is {costs.held.value}, the last is {value}"
    )
