"""What the compiled loops do with one batch of samples: units of probes that share its unperturbed costs.

A unit is one probe where all parameters are perturbed together, and a round through the layers where these take turns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from mgdhw_sim.ideal.engines.jax.forward import Batch, Forward
from mgdhw_sim.ideal.engines.jax.philox import signs


class Data(NamedTuple):
    """The dataset, on the device that computes.

    Args:
        inputs: (N, n_in), as stored.
        scale: natural units per stored unit.
        targets: (N, n_out), float64.
    """

    inputs: Array
    scale: Array
    targets: Array


@dataclass(frozen=True)
class Units:
    """How units are evaluated; traced.

    Args:
        forward: the network.
        by_layer: whether a unit is a round through the layers.
        antithetic: whether C(θ - θ̃) is wanted, too.
        part: samples that are evaluated together.
    """

    forward: Forward
    by_layer: bool
    antithetic: bool
    part: int

    @property
    def probes(self) -> int:
        """Of one unit."""
        return len(self.forward.spec.network.topology.layers) if self.by_layer else 1

    def gather(self, data: Data, samples: Array) -> Batch:
        """The batch of (B,) samples."""
        batch = samples.shape[0]
        parts = -(-batch // self.part)
        filled = jnp.concatenate([samples, jnp.zeros(parts * self.part - batch, samples.dtype)])
        inputs = data.inputs[filled].astype(jnp.float32) * data.scale.astype(jnp.float32)
        shape = self.forward.spec.network.shape
        weights = np.arange(parts * self.part) < batch
        return Batch(
            inputs.reshape(parts, self.part, *shape),
            data.targets[filled].reshape(parts, self.part, -1),
            jnp.asarray(weights.reshape(parts, self.part), jnp.float64),
        )

    def base(self, theta: Array, batch: Batch) -> Array:
        """(parts, b) unperturbed costs."""
        return self.forward.costs(theta, batch)

    def differences(self, theta: Array, change: Array, batch: Batch, base: Array) -> tuple[Array, Array]:
        """(probes,) what θ̃, and -θ̃ where it is wanted, do to the summed cost, for a unit's codes (P,)."""
        evaluate = self.forward.by_layer if self.by_layer else self.forward.at_once
        plus = evaluate(theta, change, batch, base)
        minus = evaluate(theta, -change, batch, base) if self.antithetic else jnp.zeros(self.probes)
        return plus, minus

    def random_codes(self, seed: Array, unit: Array, amplitude: Array) -> Array:
        """(P,) codes of family `random` of a unit, in code units. Each layer's are those of its own turn."""
        n = self.forward.spec.network.topology.n_parameters
        return signs(seed, unit.astype(jnp.uint64), n) * amplitude

    def spread(self, difference: Array) -> Array:
        """(P,) each parameter's share of (probes,) C̃: that of the probe in which it is perturbed."""
        topology = self.forward.spec.network.topology
        if not self.by_layer:
            return jnp.broadcast_to(difference[0], (topology.n_parameters,))
        sizes = np.array([layer.n_parameters for layer in topology.layers])
        return jnp.repeat(difference, sizes, total_repeat_length=topology.n_parameters)


def evaluate_units(
    units: Units,
    data: Data,
    theta: Array,
    samples: Array,
    first: Array,
    count: Array,
    seed: Array,
    amplitude: Array,
    codes: Array | None,
    capacity: int,
) -> tuple[Array, Array, Array]:
    """Consecutive units at one θ with one batch.

    Args:
        units: how.
        data: the dataset.
        theta: (P,), float64.
        samples: (B,).
        first: number of the first unit, uint64.
        count: of units, at most `capacity`.
        seed, amplitude: of random codes; amplitude in code units.
        codes: (capacity, P) codes of another family, in code units.
        capacity: most units.

    Returns:
        The unperturbed cost, summed over the batch; (capacity, probes) differences for θ̃ and for -θ̃.
    """
    batch = units.gather(data, samples)
    base = units.base(theta, batch)
    lsb = units.forward.spec.theta_lsb

    def one(at: Array, found: tuple[Array, Array]) -> tuple[Array, Array]:
        if codes is None:
            code = units.random_codes(seed, first + at.astype(jnp.uint64), amplitude)
        else:
            code = codes[at].astype(jnp.float64)
        plus, minus = units.differences(theta, code * lsb, batch, base)
        return found[0].at[at].set(plus), found[1].at[at].set(minus)

    empty = jnp.zeros((capacity, units.probes))
    plus, minus = lax.fori_loop(0, count, one, (empty, empty))
    return jnp.sum(base * batch.weights), plus, minus
