"""How the channels of a rack are wired to a chip: which is a parameter, an input, a target or an output."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw_drivers.bench.groups import OutputGroup
from mgdhw_drivers.bench.rack import Place, Rack


@dataclass(frozen=True, slots=True)
class OutputChannel:
    """A channel on which outputs are read."""

    index: int
    """Of its first output; it has one for each window of its group."""
    group: OutputGroup

    def readings(self, outputs: FloatArray) -> FloatArray:
        """What an instrument reads: the host's scale and offset, backwards. Any shape."""
        return (outputs - self.group.offset) / self.group.scale


class Wiring:
    """The channels of a rack, each with its place in θ, in a sample, in the targets or among the outputs.

    Args:
        rack: whose channels they are.
    """

    def __init__(self, rack: Rack) -> None:
        self.driven: dict[Place, int] = {}
        """Column of every channel that is set: parameters, then inputs, then targets."""
        self.read: dict[Place, OutputChannel] = {}
        for _, _, group in rack.channel_groups():
            for place in rack.places(group):
                self.driven[place] = len(self.driven)
        index = 0
        for output in rack.outputs:
            for place in rack.places(output):
                self.read[place] = OutputChannel(index, output)
                index += len(output.parts)
        self.n_parameters, self.n_inputs, self.n_outputs = rack.n_parameters, rack.n_inputs, rack.n_outputs
        self.limits = np.array([(g.min, g.max) for g in rack.parameters for _ in rack.places(g)])
        """(P, 2) lowest and highest level of every parameter."""
        levels = [(g.low, g.high) for g in (*rack.inputs, *rack.targets) for _ in rack.places(g)]
        self._low, self._high = np.array(levels, dtype=np.float64).reshape(-1, 2).T
        self.settle = max((group.settle for _, _, group in rack.channel_groups()), default=0.0)

    def parameters(self, levels: FloatArray) -> FloatArray:
        """(N, P) levels of parameters, from those of all channels."""
        return levels[:, : self.n_parameters]

    def inputs(self, levels: FloatArray) -> FloatArray:
        """(N, n_in) values of samples."""
        return self._values(levels)[:, : self.n_inputs]

    def targets(self, levels: FloatArray) -> FloatArray:
        """(N, n_out) values of targets; none where the rack applies none."""
        return self._values(levels)[:, self.n_inputs :]

    def _values(self, levels: FloatArray) -> FloatArray:
        return (levels[:, self.n_parameters :] - self._low) / (self._high - self._low)
