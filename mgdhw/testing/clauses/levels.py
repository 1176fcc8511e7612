"""Clauses about levels of delegation: results do not depend on who generates the codes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mgdhw.block import Baseline
from mgdhw.testing.check import NotApplicable, Opener
from mgdhw.testing.device_under_test import DeviceUnderTest, opened_dut
from mgdhw.testing.permutation_test import RUNS, require_same_distribution
from mgdhw.testing.requirements import require, require_equal
from mgdhw.testing.stimuli import FIRST_STEP, block_for, codes_for, order_for

LATE = (1 << 33) + FIRST_STEP
"""A step that does not fit 32 bits."""

ROUNDING = 1e-5
"""Relative error of a cost in single precision: a hundred roundings, and cancellation."""


def _needs_two_levels(dut: DeviceUnderTest) -> None:
    if len(dut.levels) < 2:
        raise NotApplicable("the device has only one level: two need both blocks and single measurements")


async def levels_agree(opener: Opener) -> None:
    """Host codes and device codes give the same costs for every code family, grouping and baseline."""
    async with opened_dut(opener) as dut:
        _needs_two_levels(dut)
        dut.needs_determinism()
        dut.needs_exact_writes()
        for codes in codes_for(dut.info):
            for baseline in Baseline:
                block = block_for(dut.info, codes=codes, baseline=baseline)
                host, device = [await probe(block) for probe in dut.levels.values()]
                what = f"codes {codes.family}, groups {codes.groups}, baseline {baseline}"
                require_equal(device, host, what, "device codes", "host codes")


async def late_steps_agree(opener: Opener) -> None:
    """Both levels agree at steps beyond 32 bits, for other sample orders, and for batches larger than the dataset."""
    async with opened_dut(opener) as dut:
        _needs_two_levels(dut)
        dut.needs_determinism()
        dut.needs_exact_writes()
        late = block_for(dut.info, first_step=LATE)
        samples = dut.dataset.n_train
        orders = (
            order_for(),
            order_for(seed=1),
            replace(order_for(), batch=2 * samples + 1),
            replace(order_for(), tau_x=1),
        )
        for order in orders:
            block = replace(late, order=order)
            host, device = [await probe(block) for probe in dut.levels.values()]
            what = f"step {LATE:,}, order {order}"
            require_equal(device, host, what, "device codes", "host codes")


async def levels_agree_up_to_rounding(opener: Opener) -> None:
    """On a device that computes in floating point both levels give the same costs, but for rounding."""
    async with opened_dut(opener) as dut:
        _needs_two_levels(dut)
        if dut.is_deterministic or not dut.is_repeatable:
            raise NotApplicable("the device does not say that it computes in floating point (Capability.REPEATABLE)")
        dut.needs_exact_writes()
        for codes in codes_for(dut.info):
            for baseline in Baseline:
                block = block_for(dut.info, codes=codes, baseline=baseline)
                host, device = [await probe(block) for probe in dut.levels.values()]
                what = f"codes {codes.family}, groups {codes.groups}, baseline {baseline}"
                for one, other in ((device.perturbed, host.perturbed), (device.reference, host.reference)):
                    error = float(np.abs(one - other).max())
                    most = ROUNDING * float(np.abs(other).max())
                    require(
                        error <= most, f"{what}: device codes and host codes differ by {error:g}, more than {most:g}"
                    )


async def levels_agree_statistically(opener: Opener) -> None:
    """On a noisy device both levels have the same mean costs (exact permutation test; one false alarm in 1,716)."""
    async with opened_dut(opener) as dut:
        _needs_two_levels(dut)
        if dut.is_repeatable:
            raise NotApplicable("equal requests give equal results: there is no noise in which levels could agree")
        dut.needs_exact_writes()
        names = list(dut.levels)
        rows: dict[str, list[NDArray[np.float64]]] = {name: [] for name in names}
        for run in range(RUNS):
            for name in names if run % 2 == 0 else names[::-1]:  # so that drift affects both equally
                rows[name].append(await _costs(dut, name))
        first, second = (np.stack(rows[name]) for name in names)
        require_same_distribution(first, second, f"the costs of {names[0]} and {names[1]}")


async def _costs(dut: DeviceUnderTest, level: str) -> NDArray[np.float64]:
    """Costs of one block of every code family; each cost is an independent measurement."""
    probe, measured = dut.levels[level], []
    for number, codes in enumerate(codes_for(dut.info)):
        baseline = (Baseline.EVERY, Baseline.ANTITHETIC)[number % 2]
        costs = await probe(block_for(dut.info, codes=codes, baseline=baseline))
        measured += [costs.perturbed, costs.reference]
    return np.concatenate(measured).astype(np.float64)
