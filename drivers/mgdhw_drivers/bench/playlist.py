"""The measurements of a block, in order, all at once: for hardware that takes them without the host."""

from __future__ import annotations

import numpy as np

from mgdhw.arrays import FloatArray, IntArray
from mgdhw.block import Baseline, Block, Costs, HeldBaseline
from mgdhw.codes import Codes
from mgdhw.device import DeviceInfo


class Playlist:
    """The measurements of a block, as `mgdhw.device.expansion` takes them one after another.

    Args:
        block: the block.
        info: of the device.
        theta: (P,) unperturbed parameters.

    Attributes:
        theta: (n, P) parameters of each measurement of one sample.
        samples: (n,) its sample.
    """

    def __init__(self, block: Block, info: DeviceInfo, theta: FloatArray) -> None:
        self._block = block
        codes = Codes(block.codes, info.topology).values(block.first_step, block.n_probes)
        batches = block.order.samples(block.first_batch(), block.n_batches())
        baseline_steps = set(block.baseline_steps())
        rows: list[FloatArray] = []
        samples: list[IntArray] = []
        self._order: list[tuple[int, str]] = []
        for j in range(block.n_probes):
            step = block.first_step + j
            batch = batches[block.order.batch_of(step) - block.first_batch()]
            change = codes[j] * info.theta_lsb
            measured = [("baseline", theta)] if step in baseline_steps else []
            measured.append(("perturbed", theta + change))
            if block.baseline is Baseline.ANTITHETIC:
                measured.append(("other side", theta - change))
            for part, at in measured:
                rows.append(np.clip(at, info.theta_min, info.theta_max))
                samples.append(batch)
                self._order.append((j, part))
        self.theta = np.repeat(np.array(rows), block.order.batch, axis=0)
        self.samples = np.concatenate(samples)

    def costs(self, each: FloatArray) -> Costs:
        """The block's costs from those of each measurement of one sample, (n,)."""
        block = self._block
        sums = [float(batch.sum()) for batch in each.reshape(-1, block.order.batch)]  # rounded as one by one
        held = block.valid_held()
        perturbed = np.zeros(block.n_probes)
        reference = np.zeros(block.n_probes)
        for (j, part), cost in zip(self._order, sums, strict=True):
            if part == "baseline":
                held = HeldBaseline(cost, block.first_step + j)
            elif part == "perturbed":
                perturbed[j] = cost
                reference[j] = 0.0 if held is None else held.value
            else:
                reference[j] = cost
        carried = held if block.baseline is Baseline.HELD else None
        return Costs(perturbed, reference, block.evaluations(), carried)
