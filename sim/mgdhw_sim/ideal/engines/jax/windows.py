"""Whole windows of training in one compiled loop: probes, their sums, and the update, with nothing from the host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from mgdhw.optimizers import Optimizer
from mgdhw_sim.ideal.engines.jax.units import Data, Units
from mgdhw_sim.ideal.engines.window_engine import Pattern


@dataclass(frozen=True, slots=True)
class Loop:
    """All that is compiled into a loop over windows.

    Args:
        units: how units are evaluated.
        pattern: of a window.
        optimizer: whose `update` is compiled.
        counts_energy: whether the codes' energy differs from window to window.
    """

    units: Units
    pattern: Pattern
    optimizer: Optimizer
    counts_energy: bool


class Rule(NamedTuple):
    """The numbers of a learning rule.

    Args:
        seed: of random codes, uint64.
        amplitude: (P,) or (), in code units.
        factor: `factor_of`.
        low, high: limits of master θ.
    """

    seed: Array
    amplitude: Array
    factor: Array
    low: Array
    high: Array


Sums = tuple[Array, Array, Array]
"""Of a window: Σ C̃ θ̃, Σ θ̃², and of its costs."""


class Windows(NamedTuple):
    """What differs from window to window; a leading axis counts them.

    Args:
        first_unit: number of the first window's first unit, uint64.
        count: of windows; the arrays may have room for more.
        samples: (windows, batches, B).
        eta: (windows,) learning rates.
        codes: (windows, batches × units, P) codes, in code units; None where they are drawn inside.
        noise: (windows, probes) noise of C̃; None for none.
        write_noise: (windows, P) noise of what is written after each; None for none.
    """

    first_unit: Array
    count: Array
    samples: Array
    eta: Array
    codes: Array | None
    noise: Array | None
    write_noise: Array | None


class Carry(NamedTuple):
    """Where training stands.

    Args:
        theta: (P,) master parameters.
        held: (P,) parameters that the network has.
        optimizer: its state.
        cost: sum of all perturbed costs so far, without their noise.
        norm: |ĝ| of the last update.
    """

    theta: Array
    held: Array
    optimizer: dict[str, Array]
    cost: Array
    norm: Array


def train_windows(loop: Loop, data: Data, rule: Rule, course: Windows, start: Carry) -> Carry:
    """Run `course.count` windows; traced."""
    units, pattern = loop.units, loop.pattern
    lsb = units.forward.spec.theta_lsb

    def window(at: Array, trained: Carry) -> Carry:
        def batch(number: Array, sums: Sums) -> Sums:
            samples = units.gather(data, course.samples[at, number])
            base = units.base(trained.held, samples)
            unperturbed = jnp.sum(base * samples.weights)

            def unit(turn: Array, sums: Sums) -> Sums:
                cross, energy, cost = sums
                place = number * pattern.units + turn
                if course.codes is None:
                    passed = at * (pattern.batches * pattern.units) + place
                    code = units.random_codes(rule.seed, course.first_unit + passed.astype(jnp.uint64), rule.amplitude)
                else:
                    code = course.codes[at, place].astype(jnp.float64)
                plus, minus = units.differences(trained.held, code * lsb, samples, base)
                difference = plus - minus
                if course.noise is not None:
                    own = lax.dynamic_slice(course.noise[at], (place * units.probes,), (units.probes,))
                    difference = difference + own
                cross = cross + units.spread(difference) * code
                if loop.counts_energy:
                    energy = energy + code * code
                return cross, energy, cost + units.probes * unperturbed + jnp.sum(plus)

            found: Sums = lax.fori_loop(0, pattern.units, unit, sums)
            return found

        nothing = jnp.zeros_like(trained.theta)
        cross, energy, cost = lax.fori_loop(0, pattern.batches, batch, (nothing, nothing, trained.cost))
        gradient = cross * rule.factor
        if loop.counts_energy:
            gradient = jnp.where(energy > 0, gradient / jnp.where(energy > 0, energy, 1.0), 0.0)
        theta, optimizer = loop.optimizer.update(trained.theta, gradient, course.eta[at], trained.optimizer)
        theta = jnp.clip(theta, rule.low, rule.high)
        held = theta if course.write_noise is None else theta + course.write_noise[at]
        return Carry(theta, held, optimizer, cost, jnp.sqrt(jnp.sum(gradient * gradient)))

    end: Carry = lax.fori_loop(0, course.count, window, start)
    return end
