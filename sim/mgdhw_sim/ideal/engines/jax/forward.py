"""Evaluations in JAX: of a batch at one θ, and of a batch with one layer after another perturbed."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
from jax import Array, lax

from mgdhw_sim.ideal.engines.jax.layers import activate, costs, pre_activations, unweighted
from mgdhw_sim.ideal.spec import IdealSpec
from mgdhw_sim.ideal.variation import NodeVariation


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples in parts that are evaluated one after the other, so that a part's signals stay near the processor.

    Args:
        inputs: (parts, channels, height, width, b), float32.
        targets: (parts, n_out, b), float64.
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
        variation: of its nodes.
        on_cpu: whether a CPU will run it.
    """

    spec: IdealSpec
    variation: NodeVariation | None
    on_cpu: bool

    def outputs(self, theta: Array, signals: Array) -> Array:
        """(n_out, b) for float32 θ (P,) and (channels, height, width, b) inputs."""
        for stage in self.spec.network.stages:
            if stage.parameters is None:
                signals = unweighted(stage, signals)
            else:
                z = pre_activations(stage, theta, signals, on_cpu=self.on_cpu)
                signals = activate(stage, z, self.variation)
        return signals.transpose(1, 2, 0, 3).reshape(-1, signals.shape[3])

    def costs(self, theta: Array, batch: Batch) -> Array:
        """(parts, b) costs at float64 θ (P,)."""
        narrow = theta.astype(jnp.float32)

        def part(at: tuple[Array, Array]) -> Array:
            return costs(self.spec.cost, self.outputs(narrow, at[0]), at[1])

        return lax.map(part, (batch.inputs, batch.targets))

    def one(self, theta: Array, change: Array, batch: Batch, base: Array) -> Array:
        """What a change (P,) of all parameters does to the summed cost: (1,), against (parts, b) costs at θ."""
        return jnp.sum((self.costs(theta + change, batch) - base) * batch.weights)[None]

    def by_layer(self, theta: Array, change: Array, batch: Batch) -> Array:
        """What a change of each layer alone does to the summed cost: (layers,).

        Unperturbed and perturbed signals go through the network side by side: a layer takes those of all layers before
        it at once, and perturbed it takes the unperturbed ones. So each is run from its own layer on.
        """
        narrow, moved = theta.astype(jnp.float32), (theta + change).astype(jnp.float32)

        def part(total: Array, at: tuple[Array, Array, Array]) -> tuple[Array, None]:
            signals, targets, weights = at
            b, stacked = signals.shape[3], 1
            for stage in self.spec.network.stages:
                if stage.parameters is None:
                    signals = unweighted(stage, signals)
                    continue
                z = pre_activations(stage, narrow, signals, on_cpu=self.on_cpu)
                own = pre_activations(stage, moved, signals[..., :b], on_cpu=self.on_cpu)
                signals = jnp.concatenate([z, own], axis=3)
                stacked += 1
                signals = activate(stage, signals, self.variation)
            outputs = signals.transpose(1, 2, 0, 3).reshape(-1, stacked * b)
            each = costs(self.spec.cost, outputs, jnp.tile(targets, stacked)).reshape(stacked, b)
            return total + jnp.sum((each[1:] - each[0]) * weights, axis=1), None

        layers = len(self.spec.network.topology.layers)
        return lax.scan(part, jnp.zeros(layers), (batch.inputs, batch.targets, batch.weights))[0]
