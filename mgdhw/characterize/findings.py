"""All that a check has found, and what it recommends."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mgdhw.block import Baseline
from mgdhw.characterize.batches import Batches
from mgdhw.characterize.learning import Learning
from mgdhw.characterize.model import SgdModel
from mgdhw.characterize.noise import Noise
from mgdhw.characterize.pilots import Pilot
from mgdhw.characterize.response import PerturbationResponse
from mgdhw.characterize.slope import LineSearch
from mgdhw.characterize.timing import Timing
from mgdhw.characterize.writes import Writes
from mgdhw.device import DeviceInfo
from mgdhw.experiment.schema import Experiment


@dataclass(frozen=True)
class Recommendation:
    """How to train the device.

    Args:
        delta: Δ, in parameter units.
        tau: τ_θ, in probes.
        batch: B.
        eta: η of the experiment's optimizer.
        baseline: how C₀ is had.
        reasons: why, in numbers; a line each.
        experiment: all of it, ready to be trained.
    """

    delta: float
    tau: int
    batch: int
    eta: float
    baseline: Baseline
    reasons: tuple[str, ...]
    experiment: Experiment


@dataclass
class Characterization:
    """What was measured so far; None where a check had to end before.

    Args:
        uri, device: what was checked.
        data: the dataset's name.
        n_train: its training samples.
        limit: evaluations that the check might take.
        evaluations: that it took.
        responses, batches: at the start, and where the best of the first pilots ended.
        coarse, pilots: trainings with different η, the lowest η first: a ladder, then those with the recommended Δ
            and B.
        notes: what the user should know about the data.
        others: what else was tried where none of those learnt anything.
        learning: the best of all beside a constant answer.
        problem: why there is no recommendation, and what to do; None if there is one.
    """

    uri: str
    device: DeviceInfo
    data: str
    n_train: int
    limit: int
    evaluations: int = 0
    timing: Timing | None = None
    writes: Writes | None = None
    noise: Noise | None = None
    responses: tuple[PerturbationResponse, ...] = ()
    batches: tuple[Batches, ...] = ()
    slope: LineSearch | None = None
    numbers: SgdModel | None = None
    coarse: tuple[Pilot, ...] = ()
    pilots: tuple[Pilot, ...] = ()
    others: tuple[Pilot, ...] = ()
    learning: Learning | None = None
    recommendation: Recommendation | None = None
    notes: tuple[str, ...] = ()
    problem: str | None = None

    @property
    def signal_to_noise(self) -> float | None:
        """Of one gradient component, per evaluation: |g|² / (P · S), the squared cosine that one evaluation buys."""
        if self.numbers is None or self.recommendation is None:
            return None
        r = self.recommendation
        each = 2 if r.baseline is Baseline.ANTITHETIC else 1
        power = self.numbers.per_probe(r.baseline, r.batch, r.tau)
        return self.numbers.gradient / (self.device.n_parameters * power * each)

    def record(self) -> dict[str, Any]:
        """As JSON can hold it; null for what was not measured."""
        r = self.recommendation
        return {
            "device": self.uri,
            "model": self.device.model,
            "identity": self.device.identity,
            "parameters": self.device.n_parameters,
            "data": self.data,
            "notes": list(self.notes),
            "evaluations": self.evaluations,
            "limit": self.limit,
            "timing": None if self.timing is None else _timing(self.timing),
            "writes": None if self.writes is None else _writes(self.writes),
            "noise": None if self.noise is None else _noise(self.noise),
            "response": [_response(one) for one in self.responses],
            "batches": [_batches(one) for one in self.batches],
            "slope": None if self.slope is None else _slope(self.slope),
            "signal_to_noise_per_evaluation": self.signal_to_noise,
            "coarse_pilots": [{"eta": one.eta, "curve": one.curve} for one in self.coarse],
            "pilots": [{"eta": one.eta, "curve": one.curve} for one in self.pilots],
            "others": [{"eta": one.eta, "curve": one.curve} for one in self.others],
            "learning": None if self.learning is None else asdict(self.learning) | {"seen": self.learning.seen},
            "recommendation": None
            if r is None
            else {
                "delta": r.delta,
                "tau_theta": r.tau,
                "batch": r.batch,
                "eta": r.eta,
                "baseline": str(r.baseline),
                "optimizer": r.experiment.optimizer.name,
                "reasons": list(r.reasons),
            },
            "problem": self.problem,
        }


def _timing(timing: Timing) -> dict[str, Any]:
    return {
        "seconds_per_request": timing.fixed,
        "seconds_per_probe": timing.per_probe,
        "seconds_per_sample": timing.per_sample,
        "blocks": [list(block) for block in timing.blocks],
    }


def _writes(writes: Writes) -> dict[str, Any]:
    return {
        "declared_step": writes.declared_step,
        "step": writes.step,
        "low": writes.low,
        "high": writes.high,
        "error_in_steps": writes.error,
        "worst_in_steps": writes.worst,
        "exact": writes.exact,
    }


def _noise(noise: Noise) -> dict[str, Any]:
    return {
        "batch": noise.batch,
        "cost": noise.cost,
        "sigma": noise.sigma,
        "sigma_single": noise.sigma_single,
        "quantum": noise.quantum,
        "drift_per_probe": noise.slope,
        "drift_error": noise.slope_error,
        "drifts": noise.drifts,
        "carried": noise.carried,
        "carried_error": noise.carried_error,
        "unsettled": noise.unsettled,
        "allan": [list(point) for point in noise.allan],
    }


def _response(response: PerturbationResponse) -> dict[str, Any]:
    return {
        "delta": response.deltas.tolist(),
        "odd": np.sqrt(response.odd_power).tolist(),
        "even": np.sqrt(response.even_power).tolist(),
        "quality": response.quality.tolist(),
        "linearity": response.linearity.tolist(),
        "usable": response.usable,
        "trace": response.trace,
    }


def _batches(batches: Batches) -> dict[str, Any]:
    scale = batches.noise_scale
    return {
        "sizes": list(batches.sizes),
        "power": batches.power.tolist(),
        "gradient": batches.gradient,
        "spread": batches.spread,
        "noise_scale": scale if np.isfinite(scale) else None,
        "clipped": batches.clipped,
    }


def _slope(slope: LineSearch) -> dict[str, Any]:
    return {
        "probes": slope.probes,
        "gradient_norm": float(np.sqrt(slope.norm)),
        "steps": slope.steps.tolist(),
        "costs": slope.costs.tolist(),
        "curvature": slope.curvature,
    }
