"""Whether the signal of a training's perturbations is above the noise, where that can be known before it begins.

A simulated chip can be asked without being changed: it answers a few probes on a copy of itself. Nothing is known of a
board before its first evaluation; `mgdhw check` measures it.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mgdhw.block import Baseline, Block, Costs
from mgdhw.device import Device
from mgdhw.learning.rule import LearningRule
from mgdhw.random.sample_order import SampleOrder

PROBES = 64
LEAST_PROBES = 16
PLACES = 8
"""Stretches of the codes that are looked at: one alone would be one part of the parameters, where they take turns."""
WORK = 1 << 26
"""Products of a parameter and a sample that this may take: a fraction of a second."""
FOR_EVER = (1 << 32) - 1


@runtime_checkable
class PredictsCosts(Protocol):
    """A device that can tell what it would answer, such as a simulated chip."""

    def predict_costs(self, theta: NDArray[np.float64], block: Block) -> Costs | None:
        """The answer to a block at θ, (P,), without anything being done to the device. None: it has no noise."""


def weak_signal(device: Device, rule: LearningRule, theta: NDArray[np.float64]) -> str | None:
    """What to tell where a probe's signal is below the noise, at the θ, (P,), that training begins with; else None."""
    order, info = rule.order, device.info
    probes = min(PROBES, WORK // (order.batch * info.n_parameters)) // PLACES
    if not isinstance(device, PredictsCosts) or probes * PLACES < LEAST_PROBES:
        return None
    same = SampleOrder(order.seed, order.n, order.batch, FOR_EVER)
    perturbed, reference = [], []
    for place in range(PLACES):
        first = place * info.n_parameters // PLACES
        costs = device.predict_costs(theta, Block(first, probes, rule.codes, same, Baseline.EVERY))
        if costs is None:
            return None
        perturbed.append(costs.perturbed)
        reference.append(costs.reference)
    scale = info.cost_lsb / order.batch
    baseline = np.stack(reference) * scale
    change = np.stack(perturbed) * scale - baseline
    of_one = float(baseline.var(axis=1, ddof=1).mean())  # within each stretch: what drifts is no noise
    signal = max(0.0, float(np.square(change).mean()) - 2 * of_one)
    noise = of_one / 2 if rule.baseline is Baseline.ANTITHETIC else 2 * of_one
    if signal >= noise:
        return None
    unit = info.theta_lsb if rule.nodes is None else rule.nodes.code
    delta = float(np.max(rule.codes.amplitude * np.asarray(unit)))
    return (
        f"perturbations of Δ = {delta:g} change the cost by {signal**0.5:.2g} rms, less than the {noise**0.5:.2g} of"
        f" its noise on {order.batch} sample{'s' * (order.batch > 1)}: training takes longer for it, or learns nothing;"
        " raise codes.delta or training.batch, or let `mgdhw check` find them"
    )
