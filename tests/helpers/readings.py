"""An XOR network whose cost is read by an instrument with noise, overloads and spikes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from mgdhw.arrays import FloatArray, IntArray
from mgdhw.block import Baseline, Block, Costs, HeldBaseline, Part
from mgdhw.codes import Codes
from mgdhw.device import Capability
from mgdhw.random.philox import Stream, words
from mgdhw.testing import FunctionDevice

OVERLOAD = 9.9e37
NOISE = 0.004
"""Standard deviation of a reading of the mean cost."""
HIDDEN = 4


def xor_outputs(theta: FloatArray, inputs: FloatArray) -> FloatArray:
    """A 2-4-1 network of tanh neurons, (B, 1), with 17 parameters."""
    first, bias, second = theta[: 2 * HIDDEN].reshape(2, HIDDEN), theta[2 * HIDDEN : 3 * HIDDEN], theta[3 * HIDDEN : -1]
    hidden = np.tanh(2.0 * ((2.0 * inputs - 1.0) @ first + bias))
    return np.asarray((1.0 + np.tanh(2.0 * (hidden @ second + theta[-1]))) / 2.0)[:, None]


class Instrument(FunctionDevice):
    """Reads the cost of an XOR network, not always rightly.

    Faults are a function of the step, the measurement and how often it has been made in the device's life, noise is one
    of the step and the measurement: a repetition has another fault, or none, and levels agree bit for bit.

    Args:
        overloads, spikes: of a thousand readings, how many are `overload`, and how many are `size` standard deviations
            off.
        seed: of noise and faults.
        overload: what is read then.
        size: of a spike, in standard deviations of the noise.
        own_codes: whether it has a code generator.
    """

    def __init__(
        self,
        overloads: int = 0,
        spikes: int = 0,
        *,
        seed: int = 0,
        overload: float = OVERLOAD,
        size: float = 10.0,
        own_codes: bool = False,
        noise: float = NOISE,
    ) -> None:
        super().__init__(None, 4 * HIDDEN + 1, outputs=xor_outputs, uri="instrument:1", lsb=2.0**-12)
        self.overloads, self.spikes, self.overload, self.size = overloads, spikes, overload, size
        self._key, self._sigma = seed, noise
        self.made: Counter[tuple[int, Part]] = Counter()
        """How often each measurement has been made."""
        self.found: Counter[str] = Counter()
        """Faults so far."""
        if own_codes:
            self.info = replace(self.info, capabilities=self.info.capabilities | Capability.PROBE)

    async def measure(self, samples: IntArray, step: int, part: Part) -> int | float:
        self.check_open()
        return self._read(self.theta, samples, step, part)

    async def probe(self, block: Block) -> Costs:
        if Capability.PROBE not in self.info.capabilities:
            return await super().probe(block)
        self.check_open()
        self.check_perturbed(self.theta, block.codes.amplitude)
        codes = Codes(block.codes, self.info.topology).values(block.first_step, block.n_probes) * self.info.theta_lsb
        samples, held = block.order.samples(block.first_batch(), block.n_batches()), block.valid_held()
        perturbed, reference = [], []
        for step in range(block.first_step, block.first_step + block.n_probes):
            batch, change = samples[block.order.batch_of(step) - block.first_batch()], codes[step - block.first_step]
            if step in block.baseline_steps():
                held = HeldBaseline(self._read(self.theta, batch, step, Part.BASELINE), step)
            perturbed.append(self._read(self.theta + change, batch, step, Part.PLUS))
            if block.baseline is Baseline.ANTITHETIC:
                reference.append(self._read(self.theta - change, batch, step, Part.MINUS))
            else:
                reference.append(0.0 if held is None else held.value)
        carried = held if block.baseline is Baseline.HELD else None
        return Costs(np.array(perturbed), np.array(reference), block.evaluations(), carried)

    def _read(self, theta: FloatArray, samples: IntArray, step: int, part: Part) -> float:
        attempt = self.made[step, part]
        self.made[step, part] += 1
        outputs = xor_outputs(theta, self.dataset.values(samples))
        cost = float(self.cost_of(outputs, self.dataset.targets[samples]).sum())
        drawn = words(self._key, Stream.DATA, [4 * step + part], 12)[0]
        gauss = float(drawn.sum(dtype=np.float64) * 2.0**-32 - 6.0)  # of twelve uniform numbers
        luck = int(words(self._key + 1 + attempt, Stream.DATA, [4 * step + part], 1)[0, 0]) % 1000
        if luck < self.overloads:
            self.found["overload"] += 1
            return self.overload
        if luck < self.overloads + self.spikes:
            self.found["spike"] += 1
            gauss += self.size if luck % 2 else -self.size
        return cost + samples.size * self._sigma * gauss
