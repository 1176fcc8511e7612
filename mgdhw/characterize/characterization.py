"""The measured characteristics of a device and the recommended training."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mgdhw.block import Baseline
from mgdhw.characterize.gradient_noise import GradientNoise
from mgdhw.characterize.latency import Latency
from mgdhw.characterize.learning_check import LearningCheck
from mgdhw.characterize.line_search import LineSearch
from mgdhw.characterize.noise import Noise
from mgdhw.characterize.pilots import Pilot
from mgdhw.characterize.response import PerturbationResponse
from mgdhw.characterize.sgd_model import SgdModel
from mgdhw.characterize.write_accuracy import WriteAccuracy
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
        baseline: how C₀ is obtained.
        reasons: one line for each choice.
        experiment: the complete experiment, ready to run.
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
    """What was measured; None for what a check did not get to.

    Args:
        uri, device: the device.
        data: the dataset's name.
        n_train: number of its training samples.
        limit: evaluations that were allowed.
        evaluations: evaluations that were used.
        responses, gradient_noise: at the start, and where the best of the first pilot runs ended.
        coarse, pilots: pilot runs in order of η: a coarse search, then those with the recommended Δ and B.
        notes: warnings about the data.
        others: further pilot runs, made only if none of those learned.
        learning: the best pilot run compared with a constant output.
        problem: why there is no recommendation, and what to do; None if there is one.
    """

    uri: str
    device: DeviceInfo
    data: str
    n_train: int
    limit: int
    evaluations: int = 0
    latency: Latency | None = None
    write_accuracy: WriteAccuracy | None = None
    noise: Noise | None = None
    responses: tuple[PerturbationResponse, ...] = ()
    gradient_noise: tuple[GradientNoise, ...] = ()
    line_search: LineSearch | None = None
    sgd_model: SgdModel | None = None
    coarse: tuple[Pilot, ...] = ()
    pilots: tuple[Pilot, ...] = ()
    others: tuple[Pilot, ...] = ()
    learning: LearningCheck | None = None
    recommendation: Recommendation | None = None
    notes: tuple[str, ...] = ()
    problem: str | None = None

    @property
    def signal_to_noise(self) -> float | None:
        """Of one gradient component per evaluation: |g|² / (P · S), the squared cosine gained by one evaluation."""
        if self.sgd_model is None or self.recommendation is None:
            return None
        r = self.recommendation
        each = 2 if r.baseline is Baseline.ANTITHETIC else 1
        power = self.sgd_model.per_probe(r.baseline, r.batch, r.tau)
        return self.sgd_model.gradient / (self.device.n_parameters * power * each)

    def record(self) -> dict[str, Any]:
        """JSON-compatible form; null for what was not measured."""
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
            "timing": None if self.latency is None else _latency(self.latency),
            "writes": None if self.write_accuracy is None else _write_accuracy(self.write_accuracy),
            "noise": None if self.noise is None else _noise(self.noise),
            "response": [_response(one) for one in self.responses],
            "batches": [_gradient_noise(one) for one in self.gradient_noise],
            "slope": None if self.line_search is None else _line_search(self.line_search),
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


def _latency(timing: Latency) -> dict[str, Any]:
    return {
        "seconds_per_request": timing.fixed,
        "seconds_per_probe": timing.per_probe,
        "seconds_per_sample": timing.per_sample,
        "blocks": [list(block) for block in timing.blocks],
    }


def _write_accuracy(writes: WriteAccuracy) -> dict[str, Any]:
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
        "drift_per_probe": noise.drift_rate,
        "drift_error": noise.drift_rate_error,
        "drifts": noise.drifts,
        "carried": noise.carried,
        "carried_error": noise.carried_error,
        "unsettled": noise.unsettled,
        "outliers": noise.outliers,
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


def _gradient_noise(gradient_noise: GradientNoise) -> dict[str, Any]:
    scale = gradient_noise.noise_scale
    return {
        "sizes": list(gradient_noise.sizes),
        "power": gradient_noise.power.tolist(),
        "gradient": gradient_noise.gradient,
        "spread": gradient_noise.spread,
        "noise_scale": scale if np.isfinite(scale) else None,
        "clipped": gradient_noise.clipped,
    }


def _line_search(search: LineSearch) -> dict[str, Any]:
    return {
        "probes": search.probes,
        "gradient_norm": float(np.sqrt(search.norm)),
        "steps": search.steps.tolist(),
        "costs": search.costs.tolist(),
        "curvature": search.curvature,
    }
