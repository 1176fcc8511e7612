"""When a device cannot be trained as it is: what is wrong with it, and what to do."""

from __future__ import annotations

from mgdhw.characterize.bench import Bench
from mgdhw.characterize.findings import Characterization
from mgdhw.characterize.response import DIRECTIONS

UNUSABLE = "cannot be trained as it is: "


def why_unusable(bench: Bench, findings: Characterization) -> str | None:
    """Why nothing can be recommended after the first measurements; None if all is well."""
    assert findings.noise is not None, "measured before"
    assert findings.writes is not None, "measured before"
    noise, response = findings.noise, findings.responses[-1]
    if response.seen.any():
        return None
    largest = float(response.deltas[-1])
    if findings.writes.step is None:
        return UNUSABLE + (
            "its parameters do not move: what it holds after a write is the same whatever was written; check the"
            " parameters' converter and its wiring"
        )
    if not response.odd.any() and not response.even.any() and noise.sigma == 0:
        return UNUSABLE + (
            f"its cost is {noise.cost:g} whatever is done to the parameters, up to Δ = {largest:g} on all of them at"
            " once: either they don't reach the outputs (dead or unpowered cells), or the cost is stuck at an end of"
            " its converter's range (raise the range, or lower the gain); check the cost's wiring"
        )
    return UNUSABLE + (
        f"perturbations cannot be told from noise: {DIRECTIONS} pairs of probes of Δ = {largest:g}, the largest tried,"
        f" answer with {float(response.odd_power.max()) ** 0.5:.3g} rms where noise alone makes"
        f" {(response.noise / 2) ** 0.5:.3g}; average the cost longer, use more samples than {response.batch}, or lower"
        " its noise"
    )


def nothing_learnt(bench: Bench, findings: Characterization) -> str:
    """What to say where no pilot has done better than a constant answer."""
    assert findings.learning is not None, "measured before"
    etas = [pilot.eta for pilot in findings.pilots]
    return (
        f"nothing was found that learns within {bench.used:,} evaluations: of {len(etas)} pilots with η ="
        f" {min(etas):.3g} ... {max(etas):.3g}, a longer one, one with larger perturbations and one of plain gradient"
        f" descent the best ended at {findings.learning.told}; allow more evaluations (--budget {10 * findings.limit}),"
        " lower the cost's noise, or try a smaller network"
    )
