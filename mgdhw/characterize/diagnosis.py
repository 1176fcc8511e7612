"""Why a device cannot be trained, and what to do about it."""

from __future__ import annotations

from mgdhw.characterize.budgeted_device import BudgetedDevice
from mgdhw.characterize.characterization import Characterization
from mgdhw.characterize.rationale import outlier_note
from mgdhw.characterize.response import DIRECTIONS

UNUSABLE = "cannot be trained: "


def unusable_reason(device: BudgetedDevice, result: Characterization) -> str | None:
    """Why nothing can be recommended after the first measurements; None if there is no such reason."""
    assert result.noise is not None, "measured before"
    assert result.write_accuracy is not None, "measured before"
    noise, response = result.noise, result.responses[-1]
    if response.seen.any():
        return None
    largest = float(response.deltas[-1])
    if result.write_accuracy.step is None:
        return UNUSABLE + (
            "its parameters do not respond to writes: they read the same whatever is written; check the parameter"
            " DAC and its wiring"
        )
    if not response.odd.any() and not response.even.any() and noise.sigma == 0:
        return UNUSABLE + (
            f"its cost is constant ({noise.cost:g}), even if all parameters are perturbed by Δ = {largest:g}: either"
            " they do not affect the outputs (dead or unpowered cells), or the cost is saturated (increase its range or"
            " reduce the gain); check the cost's wiring"
        )
    return UNUSABLE + (
        f"the response to perturbations is hidden in noise: {float(response.odd_power.max()) ** 0.5:.3g} rms in"
        f" {DIRECTIONS} antithetic pairs up to Δ = {largest:g}, {(response.noise / 2) ** 0.5:.3g} from noise alone;"
        f" average the cost longer (readings.average), use more than {response.batch} samples, or reduce the noise"
        + (f"; {outlier_note(noise)}: look for their cause" if noise.has_outliers else "")
    )


def no_learning_message(device: BudgetedDevice, result: Characterization) -> str:
    """What to say if no pilot run has done better than a constant output."""
    assert result.learning is not None, "measured before"
    etas = [pilot.eta for pilot in result.pilots]
    return (
        f"no setting was found that learns within {device.used:,} evaluations: the best of {len(etas)} pilot runs with"
        f" η = {min(etas):.3g}–{max(etas):.3g}, a longer one, one with larger perturbations and one with plain gradient"
        f" descent ended at cost {result.learning.cost:.3g}, {result.learning.description}; allow more evaluations"
        f" (--budget {10 * result.limit}), reduce the cost noise, or try a smaller network"
    )
