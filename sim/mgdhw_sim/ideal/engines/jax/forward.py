"""Evaluations in JAX: of a batch at one θ, and of a batch with one layer after another perturbed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from mgdhw_sim.ideal.engines.jax.layers import activate, costs, pre_activations, unweighted
from mgdhw_sim.ideal.spec import IdealSpec
from mgdhw_sim.ideal.variation import NodeVariation, node_variation


class Batch(NamedTuple):
    """Samples in parts that are evaluated one after the other, so that signals take no more memory than a part's.

    Args:
        inputs: (parts, b, height, width, channels), float32.
        targets: (parts, b, n_out), float64.
        weights: (parts, b): 1, or 0 for what fills the last part up.
    """

    inputs: Array
    targets: Array
    weights: Array


@dataclass(frozen=True)
class Forward:
    """The network's evaluations; traced, never run by themselves.

    Args:
        spec: the network.
    """

    spec: IdealSpec

    @cached_property
    def variation(self) -> NodeVariation | None:
        """Of its nodes."""
        return node_variation(self.spec)

    def outputs(self, theta: Array, signals: Array) -> Array:
        """(b, n_out) for float32 θ (P,) and (b, height, width, channels) inputs."""
        for stage in self.spec.network.stages:
            if stage.parameters is None:
                signals = unweighted(stage, signals)
            else:
                signals = activate(stage, pre_activations(stage, theta, signals), self.variation)
        return signals.reshape(signals.shape[0], -1)

    def costs(self, theta: Array, batch: Batch) -> Array:
        """(parts, b) costs at float64 θ (P,)."""
        narrow = theta.astype(jnp.float32)

        def part(at: Batch) -> Array:
            return costs(self.spec.cost, self.outputs(narrow, at.inputs), at.targets)

        return lax.map(part, batch)

    def at_once(self, theta: Array, change: Array, batch: Batch, base: Array) -> Array:
        """What a change (P,) of all parameters does to the summed cost: (1,).

        Args:
            theta: (P,), float64.
            change: (P,), float64.
            batch: of samples.
            base: (parts, b) costs at θ.
        """
        return jnp.sum((self.costs(theta + change, batch) - base) * batch.weights)[None]

    def by_layer(self, theta: Array, change: Array, batch: Batch, base: Array) -> Array:
        """What a change of each layer alone does to the summed cost: (layers,). Arguments as for `at_once`.

        Unperturbed signals and those behind a perturbed layer go through the network side by side, as one batch: a
        layer takes all of them as it is, and the unperturbed ones once more as it is when perturbed. So each is run
        from its own layer on, with that layer's input kept. (What perturbs nodes would be added to z, in place of
        `moved`.)
        """
        narrow, moved = theta.astype(jnp.float32), (theta + change).astype(jnp.float32)

        def part(total: Array, at: tuple[Batch, Array]) -> tuple[Array, None]:
            (signals, targets, weights), unperturbed = at
            b, stacked = signals.shape[0], 1
            for stage in self.spec.network.stages:
                if stage.parameters is None:
                    signals = unweighted(stage, signals)
                    continue
                z = pre_activations(stage, narrow, signals)
                own = pre_activations(stage, moved, signals[:b])
                signals = activate(stage, jnp.concatenate([z, own]), self.variation)
                stacked += 1
            outputs = signals.reshape(stacked * b, -1)
            each = costs(self.spec.cost, outputs, jnp.tile(targets, (stacked, 1))).reshape(stacked, b)
            return total + jnp.sum((each[1:] - unperturbed) * weights, axis=1), None

        layers = len(self.spec.network.topology.layers)
        return lax.scan(part, jnp.zeros(layers), (batch, base))[0]
