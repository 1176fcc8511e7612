"""From costs and codes to an estimate of the gradient.

Over a window of probes ĝᵢ = Σₖ C̃ₖ θ̃ₖᵢ / Σₖ θ̃ₖᵢ²: one formula for every code family. On a device with converters C̃
and θ̃ are integers; both sums are kept exactly and scaled once, at the update, so that no order of summation can
change a bit of ĝ. Everything here is pure: state goes in and comes back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.arrays import FloatArray
from mgdhw.block import Baseline, Costs, Target
from mgdhw.codes import Codes
from mgdhw.compiled.target import require_numba

EXACT_FLOAT32 = 1 << 24
EXACT_FLOAT64 = 1 << 53
EXACT_INT32 = 1 << 31
WORTH_COMPILING = 1 << 16
"""Code values of a block from which on its sums are compiled: below, importing numba takes longer than it saves."""
ACCUMULATE_PROBES = 4096  # probes whose codes are looked at together: bounds memory, changes nothing


@dataclass(frozen=True)
class Window:
    """Sums over the probes since the last update.

    Args:
        cross: (P,) Σ C̃ₖ θ̃ₖᵢ in cost codes × code units; int64, or float64 where costs are floats.
        energy: (P,) Σ θ̃ₖᵢ² in squared code units; int64.
    """

    cross: NDArray[Any]
    energy: NDArray[np.int64]

    @classmethod
    def empty(cls, n_parameters: int, *, integer: bool = True) -> Window:
        """A window with no probes in it."""
        kind = np.int64 if integer else np.float64
        return cls(np.zeros(n_parameters, dtype=kind), np.zeros(n_parameters, dtype=np.int64))


def cost_difference(costs: Costs) -> NDArray[Any]:
    """(K,) C̃: what the perturbation did to the cost, in cost codes (in half codes for antithetic probes)."""
    whole = all(np.issubdtype(part.dtype, np.integer) for part in (costs.perturbed, costs.reference))
    # Cost codes may come unsigned from a wire; their difference is signed.
    difference: NDArray[Any] = np.subtract(costs.perturbed, costs.reference, dtype=np.int64 if whole else None)
    return difference


def accumulate(window: Window, costs: Costs, codes: Codes, first_step: int) -> Window:
    """Add a block's probes to the window. Integer costs add up exactly, float costs one probe after the other."""
    change = cost_difference(costs)
    if change.size > ACCUMULATE_PROBES:
        for start in range(0, change.size, ACCUMULATE_PROBES):
            part = slice(start, start + ACCUMULATE_PROBES)
            piece = Costs(costs.perturbed[part], costs.reference[part], 0)
            window = accumulate(window, piece, codes, first_step + start)
        return window
    energy = window.energy + codes.energy(first_step, change.size)
    cross = window.cross
    if np.issubdtype(change.dtype, np.integer) and _is_compiled(codes, change):
        cross = cross.copy()
        for turn, group in enumerate(codes.groups):
            skip = (turn - first_step) % len(codes.groups)
            if skip < change.size:
                step = (first_step + skip) // len(codes.groups)
                own = change[skip :: len(codes.groups)]
                _add_random(cross, group.start, group.size, codes.spec.seed, step, own, codes.spec.amplitude)
        return Window(cross, energy)
    values = codes.values(first_step, change.size)
    if np.issubdtype(change.dtype, np.integer):
        bound = int(np.abs(change).sum()) * codes.spec.amplitude
        if bound < EXACT_FLOAT32:
            cross = cross + (change.astype(np.float32) @ values.astype(np.float32)).astype(np.int64)
        elif bound < EXACT_FLOAT64:
            cross = cross + (change.astype(np.float64) @ values.astype(np.float64)).astype(np.int64)
        else:
            cross = cross + change.astype(np.int64) @ values.astype(np.int64)
    else:
        for one, code in zip(change, values, strict=True):
            cross = cross + one * code
    return Window(cross, energy)


def _is_compiled(codes: Codes, change: NDArray[np.int64]) -> bool:
    """Whether compiled code adds these probes up: it draws the signs itself, which saves making the codes."""
    if (
        codes.spec.family != "random"
        or codes.spec.amplitudes
        or change.size * codes.topology.n_parameters < WORTH_COMPILING
    ):
        return False
    return int(np.abs(change).sum()) < EXACT_INT32 and _compiled() is not None


@lru_cache
def _compiled() -> Callable[..., None] | None:
    """`mgdhw.compiled.kernels.window.add_random`; None where numba cannot be had."""
    try:
        require_numba()
        from mgdhw.compiled.kernels.window import add_random  # numba is slow to import, and small work needs none of it
    except (ImportError, OSError, RuntimeError):
        return None
    return add_random


def _add_random(*arguments: Any) -> None:
    add_random = _compiled()
    assert add_random is not None, "_is_compiled"
    add_random(*arguments)


def cost_scale(cost_lsb: float, batch: int, baseline: Baseline) -> float:
    """What one unit of C̃ is worth: turns a difference of summed cost codes into the mean cost's units."""
    return cost_lsb / (2 * batch if baseline is Baseline.ANTITHETIC else batch)


def estimate(window: Window, scale: float, theta_lsb: float | FloatArray) -> FloatArray:
    """(P,) ĝ in cost units per parameter unit; zero where a parameter was not perturbed.

    Args:
        window: the sums.
        scale: `cost_scale`.
        theta_lsb: one code unit in parameter units.
    """
    perturbed = window.energy > 0
    numerator = window.cross.astype(np.float64) * scale
    denominator = np.where(perturbed, window.energy, 1).astype(np.float64) * theta_lsb
    return np.where(perturbed, numerator / denominator, 0.0)


def oripov_scaled(
    window: Window,
    scale: float,
    theta_lsb: float | FloatArray,
    codes: Codes,
    probes: int,
    sums_lsb: float | FloatArray | None = None,
) -> FloatArray:
    """(P,) the 2025 paper's scaling, for reproducing it: G / (a√N √(1/N + 1/τ - 1/(Nτ)) τ), layer by layer.

    G = Σ C̃ θ̃ with both in their units, N is the number of the layer's parameters, τ that of the probes that
    perturbed it, and a the amplitude; the paper has a√N = 0.01. Where nodes are perturbed G = Σ C̃ θ̃ x, and N is the
    number of the layer's nodes.

    Args:
        window, scale, theta_lsb: as for `estimate`.
        codes: of the window.
        probes: in it.
        sums_lsb: (P,) what Σ C̃ θ̃ x is multiplied by (`NodeUnits.of_sums`); None: `theta_lsb`.
    """
    cross = window.cross.astype(np.float64) * scale * (theta_lsb if sums_lsb is None else sums_lsb)
    unit = np.asarray(theta_lsb, dtype=np.float64)
    tau = float(max(1, probes // len(codes.groups)))
    scaled = np.empty_like(cross)
    if codes.spec.target is Target.NODES:
        of_nodes = np.broadcast_to(codes.amplitude * unit, codes.size)
        parts = [(layer.parameters, layer.n_nodes, of_nodes[layer.first_node]) for layer in codes.topology.layers]
    else:
        amplitude = np.broadcast_to(codes.amplitude * unit, cross.shape)
        own = [slice(g.start, g.start + g.size) for g in codes.groups]
        if len(own) == 1 and codes.topology.layers:
            own = [layer.parameters for layer in codes.topology.layers]
        parts = [(part, part.stop - part.start, amplitude[part]) for part in own]
    for part, count, amplitude in parts:
        n = float(count)
        spread = np.sqrt(1 / n + 1 / tau - 1 / (n * tau))
        scaled[part] = cross[part] / (amplitude * np.sqrt(n) * spread * tau)
    return scaled
