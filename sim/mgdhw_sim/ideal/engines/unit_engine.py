"""Blocks in units: probes that share the unperturbed costs of a batch, and are evaluated together.

A unit is one probe where all parameters are perturbed at once, and a round through the layers where these take turns:
then only what follows a perturbed layer is run again.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mgdhw.arrays import FloatArray, IntArray
from mgdhw.block import Baseline, Block, Costs, HeldBaseline, Part, Target
from mgdhw.codes import Codes
from mgdhw.random.philox import Stream, bits
from mgdhw_sim.ideal.engines.base import Engine
from mgdhw_sim.ideal.node_blocks import probe_nodes
from mgdhw_sim.ideal.variation import cost_noise

BYTES_AT_ONCE = 1 << 26
"""Most that compiled code is given at once: codes, samples, noise."""


@dataclass(frozen=True)
class UnitCodes:
    """The codes of a block or rule, unit by unit.

    Args:
        codes: of the probes.
        antithetic: whether C(θ - θ̃) is wanted, too.
    """

    codes: Codes
    antithetic: bool

    @property
    def by_layer(self) -> bool:
        """Whether a unit is a round through the layers."""
        return self.codes.spec.groups == "layer"

    @property
    def probes(self) -> int:
        """Of one unit."""
        return len(self.codes.groups) if self.by_layer else 1

    def values(self, first: int, count: int) -> NDArray[np.int16]:
        """(count, P) codes of consecutive units, in code units: of all layers' turns together."""
        if self.codes.spec.family == "random":  # bit i is parameter i's, in every group
            seed, n = self.codes.spec.seed, self.codes.topology.n_parameters
            drawn = bits(seed, Stream.CODES, np.arange(first, first + count), n)
            return np.asarray((2 * drawn.astype(np.int16) - 1) * self.codes.amplitude, dtype=np.int16)
        values = self.codes.values(first * self.probes, count * self.probes)
        if self.probes == 1:
            return values
        joined = np.empty((count, values.shape[1]), dtype=np.int16)
        for turn, group in enumerate(self.codes.groups):
            own = slice(group.start, group.start + group.size)
            joined[:, own] = values[turn :: self.probes, own]
        return joined

    def spread(self, differences: FloatArray) -> FloatArray:
        """(P,) each parameter's C̃, of the (probes,) of a unit: that of the probe in which it is perturbed."""
        if not self.by_layer:
            return differences
        return np.repeat(differences, [group.size for group in self.codes.groups])


class Evaluated(NamedTuple):
    """Units of one batch at one θ, without noise.

    Args:
        base: unperturbed cost, summed over the batch.
        plus, minus: (units, probes) what θ̃, and -θ̃, add to it.
    """

    base: float
    plus: FloatArray
    minus: FloatArray


class UnitEngine(Engine):
    """An engine that evaluates units. C̃ is computed sample by sample, before anything is summed."""

    @abstractmethod
    def evaluate(self, theta: FloatArray, samples: IntArray, codes: UnitCodes, first: int, count: int) -> Evaluated:
        """Consecutive units at the parameters (P,) that the network has, with one batch of (B,) samples.

        Args:
            theta: (P,).
            samples: (B,).
            codes: of the units.
            first, count: which units.
        """

    def probe(self, theta: FloatArray, block: Block) -> Costs:
        if block.codes.target is Target.NODES:
            return probe_nodes(self, theta, block)
        codes = UnitCodes(Codes(block.codes, self.topology), block.baseline is Baseline.ANTITHETIC)
        samples = block.order.samples(block.first_batch(), block.n_batches())
        step, end, held = block.first_step, block.first_step + block.n_probes, block.valid_held()
        perturbed, compared = np.zeros(block.n_probes), np.zeros(block.n_probes)
        while step < end:
            number = block.order.batch_of(step)
            until = min(end, (number + 1) * block.order.tau_x)
            # Whole units are evaluated, also where only some of their probes are asked for.
            first, last = step // codes.probes, -(-until // codes.probes)
            found = self.evaluate(theta, samples[number - block.first_batch()], codes, first, last - first)
            asked = slice(step - first * codes.probes, until - first * codes.probes)
            plus, minus = found.plus.ravel()[asked], found.minus.ravel()[asked]
            own, steps = slice(step - block.first_step, until - block.first_step), np.arange(step, until)
            base = found.base
            if block.baseline is Baseline.HELD:
                if held is None or block.order.batch_of(held.step) != number:
                    held = HeldBaseline(base + self._noise(np.array([step]), block, Part.BASELINE)[0], step)
                compared[own] = held.value
                # So that C̃ is what was computed here, though a baseline that was carried may differ in its last bits.
                base = held.value - self._noise(np.array([held.step]), block, Part.BASELINE)[0]
            elif block.baseline is Baseline.EVERY:
                compared[own] = base + self._noise(steps, block, Part.BASELINE)
            elif block.baseline is Baseline.ANTITHETIC:
                compared[own] = base + minus + self._noise(steps, block, Part.MINUS)
            perturbed[own] = base + plus + self._noise(steps, block, Part.PLUS)
            step = until
        return Costs(perturbed, compared, block.evaluations(), held if block.baseline is Baseline.HELD else None)

    def _noise(self, steps: IntArray, block: Block, part: Part) -> FloatArray:
        return cost_noise(self.spec, steps, block.order.batch, part)
