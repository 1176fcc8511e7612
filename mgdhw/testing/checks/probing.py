"""What `probe` promises: K costs and baselines, no side effects, and nothing that depends on the cuts."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from mgdhw.block import Baseline, Block, Costs, HeldBaseline
from mgdhw.testing.bench import Bench, Probe, on_bench
from mgdhw.testing.check import Opener
from mgdhw.testing.demands import demand, demand_same
from mgdhw.testing.fitted import FIRST_STEP, PROBES, TAU_X, block_for

CUTS = ((1,) * PROBES, (2, 5, 3), (3, 7), (9, 1))
"""Ways to cut the block of PROBES probes: within batches, at their ends, and into single probes."""

UNHEARD_OF = 1 << 22
"""A baseline that no device measures, so that one which does not use it is found out, noise or not."""


async def every_probe_is_answered(opener: Opener) -> None:
    """K probes have K costs and K baselines, all numbers; evaluations are counted as the block counts them."""
    async with on_bench(opener) as bench:
        for level, probe in bench.levels.items():
            for baseline in Baseline:
                for n_probes in (1, PROBES):
                    block = block_for(bench.info, baseline=baseline, n_probes=n_probes)
                    _demand_sound(block, await probe(block), f"{level}, {n_probes} probes, baseline {baseline}")


async def probe_has_no_side_effects(opener: Opener) -> None:
    """A block can be repeated: θ stays, and so do the costs."""
    async with on_bench(opener) as bench:
        for level, probe in bench.levels.items():
            for baseline in Baseline:
                block = block_for(bench.info, baseline=baseline)
                await probe(block)
                await bench.demand_theta(f"{level}: after a block, baseline {baseline}", probed=True)
                if not bench.is_deterministic:
                    continue
                first, second, third = await probe(block), await probe(block), await probe(block)
                what = f"{level}: a repeated block, baseline {baseline}"
                demand_same(second, first, what, "the second answer", "the first")
                demand_same(third, first, what, "the third answer", "the first")


async def steps_come_in_any_order(opener: Opener) -> None:
    """Costs are functions of the step, not of the call: a later block may come before an earlier one."""
    async with on_bench(opener) as bench:
        bench.needs_determinism()
        for level, probe in bench.levels.items():
            early, late = block_for(bench.info), block_for(bench.info, first_step=FIRST_STEP + 1000)
            in_order = (await probe(early), await probe(late))
            backwards = await probe(late), await probe(early)
            demand_same(backwards[0], in_order[1], f"{level}: the later block", "asked first", "asked second")
            demand_same(backwards[1], in_order[0], f"{level}: the earlier block", "asked second", "asked first")


async def held_baseline_is_carried(opener: Opener) -> None:
    """A carried baseline is used, not measured and not counted, for as long as its batch lasts; then a new one is."""
    async with on_bench(opener) as bench:
        for level, probe in bench.levels.items():
            measured = await probe(block_for(bench.info, n_probes=1))
            carried = HeldBaseline(type(measured.reference[0].item())(UNHEARD_OF), FIRST_STEP)
            block = block_for(bench.info, first_step=FIRST_STEP + 1, n_probes=PROBES - 1, held=carried)
            costs = await probe(block)
            what = f"{level}: a block that carries a baseline"
            _demand_sound(block, costs, what)
            own = TAU_X - block.first_step % TAU_X
            demand(bool((costs.reference[:own] == carried.value).all()), f"{what} measures another, or changes it")
            demand(bool((costs.reference[own:] != carried.value).all()), f"{what} still uses it for another batch")
            stale = block_for(bench.info, first_step=FIRST_STEP + TAU_X, n_probes=2, held=carried)
            costs = await probe(stale)
            what = f"{level}: a block that carries the baseline of another batch"
            _demand_sound(stale, costs, what)
            demand(bool((costs.reference != carried.value).all()), f"{what} uses it")


async def cuts_change_nothing(opener: Opener) -> None:
    """However a stretch is cut into blocks, its costs, baselines and evaluations are the same."""
    async with on_bench(opener) as bench:
        bench.needs_determinism()
        for level, probe in bench.levels.items():
            for baseline in Baseline:
                whole = await probe(block_for(bench.info, baseline=baseline))
                for cuts in CUTS:
                    what = f"{level}, baseline {baseline}, cut into {'+'.join(map(str, cuts))}"
                    parts = await _in_parts(bench, probe, baseline, cuts)
                    demand_same(parts, whole, what, "the parts", "the whole")


async def _in_parts(bench: Bench, probe: Probe, baseline: Baseline, cuts: tuple[int, ...]) -> Costs:
    """The answers to consecutive blocks, put together."""
    edges = np.cumsum((FIRST_STEP, *cuts))
    parts: list[Costs] = []
    for first, end in pairwise(int(edge) for edge in edges):
        held = parts[-1].held if parts else None
        block = block_for(bench.info, baseline=baseline, first_step=first, n_probes=end - first, held=held)
        parts.append(await probe(block))
    return Costs(
        np.concatenate([part.perturbed for part in parts]),
        np.concatenate([part.reference for part in parts]),
        sum(part.evaluations for part in parts),
        parts[-1].held,
    )


def _demand_sound(block: Block, costs: Costs, what: str) -> None:
    """Raise ConformanceError unless an answer can be one to a block."""
    for name, values in (("costs", costs.perturbed), ("baselines", costs.reference)):
        demand(values.shape == (block.n_probes,), f"{what}: {name} of shape {values.shape}")
        demand(bool(np.isfinite(values).all()), f"{what}: {name} that are not numbers")
    expected = block.evaluations()
    demand(costs.evaluations == expected, f"{what}: {costs.evaluations} evaluations, expected {expected}")
    if block.baseline is Baseline.NONE:
        demand(not costs.reference.any(), f"{what}: baselines that are not zero")
    if block.baseline is not Baseline.HELD:
        demand(costs.held is None, f"{what}: a baseline to carry where there is none")
        return
    steps = block.baseline_steps()
    carried = block.valid_held()
    step = steps[-1] if steps or carried is None else carried.step
    demand(costs.held is not None, f"{what}: no baseline to carry")
    assert costs.held is not None, "demanded"
    demand(costs.held.step == step, f"{what}: the baseline to carry is of step {costs.held.step}, expected {step}")
    value = costs.reference[-1]
    demand(bool(costs.held.value == value), f"{what}: the baseline to carry is {costs.held.value}, the last is {value}")
