"""Probes whose C̃ is far outside those before are measured again, or clipped."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace

import numpy as np

from mgdhw.block import Baseline, Block, Costs, HeldBaseline
from mgdhw.device.readings import ReadingGuard
from mgdhw.experiment.schema import ReadingsSection
from mgdhw.learning.outliers import RECENT, usual

Recent = tuple[float, ...]
"""C̃ accepted last, oldest first, at most `RECENT`."""


async def guard_outliers(
    settings: ReadingsSection,
    block: Block,
    costs: Costs,
    recent: Recent,
    measure: Callable[[Block], Awaitable[Costs]],
    guard: ReadingGuard,
) -> tuple[Costs, Recent]:
    """The costs of a block as they are accepted, and the C̃ accepted last.

    A probe is measured again at its own step, with a baseline of its own where it has one. What is measured again and
    still far outside is no fluke: it is accepted as it is (or clipped), and the limits follow.

    A held baseline that is an outlier shifts every C̃ of its stretch, first that of the probe that it was measured for.
    So, whatever the settings, if that one is outside, both are measured again, and the new baseline holds.

    Without a baseline (continuous mode), C is what is compared: it changes less from probe to probe than it is noisy.

    Args:
        settings: of the experiment.
        block: what was asked.
        costs: the answer.
        recent: C̃ accepted before.
        measure: asks the device for a block.
        guard: counts.
    """
    integer = all(np.issubdtype(part.dtype, np.integer) for part in (costs.perturbed, costs.reference))
    kind = np.int64 if integer else np.float64  # cost codes may come unsigned from a wire
    perturbed, reference = costs.perturbed.astype(kind), costs.reference.astype(kind)
    holds = block.baseline is Baseline.HELD
    own = set(block.baseline_steps()) if holds else set[int]()
    baseline, accepted = block.valid_held(), deque(recent, RECENT)
    for j in range(block.n_probes):
        step = block.first_step + j
        first = step in own
        if holds and not first:
            assert baseline is not None, "measured at an earlier step"
            reference[j] = baseline.value
        within = usual(accepted, settings.outlier_limit, integer=integer)
        change = perturbed[j].item() - reference[j].item()
        repeats = settings.repeat if first or settings.outliers == "repeat" else 0
        while repeats and change not in within:
            repeats -= 1
            guard.add(outliers=1)
            again = await measure(replace(block, first_step=step, n_probes=1, held=None if first else baseline))
            perturbed[j], reference[j] = again.perturbed[0], again.reference[0]
            change = perturbed[j].item() - reference[j].item()
        if first:
            baseline = HeldBaseline(reference[j].item(), step)
        if settings.outliers == "clip" and change not in within:
            guard.add(clipped=1)
            change = within.clipped(change)
            perturbed[j] = reference[j] + change
        accepted.append(float(change))
    return Costs(perturbed, reference, costs.evaluations, baseline if holds else None), tuple(accepted)
