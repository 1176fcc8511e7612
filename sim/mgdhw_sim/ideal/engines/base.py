"""What an engine of ideal networks is, and a way to do everything with single evaluations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np

from mgdhw.arrays import FloatArray, IntArray
from mgdhw.block import Baseline, Block, Costs, HeldBaseline, Part, Target
from mgdhw.codes import CodeArray, Codes
from mgdhw.datasets import Dataset
from mgdhw.learning.segment import Segment, SegmentResult
from mgdhw.learning.step import accumulate_costs, next_block, probes_to_update, requested_theta, update
from mgdhw_sim.ideal.node_blocks import NodesEvaluated, probe_nodes
from mgdhw_sim.ideal.spec import IdealSpec
from mgdhw_sim.ideal.variation import cost_noise, write_noise


class Engine(ABC):
    """Runs a network on a dataset. It holds no parameters: what is asked of it says at which θ.

    Equal requests get equal answers on one machine; two engines agree up to rounding.

    Args:
        spec: the network.
    """

    name: ClassVar[str]

    def __init__(self, spec: IdealSpec) -> None:
        self.spec = spec
        self.topology = spec.network.topology

    @abstractmethod
    def load(self, dataset: Dataset) -> None:
        """Take in inputs and targets, whose sizes are the network's."""

    def close(self) -> None:  # noqa: B027  (most have nothing to end)
        """End its threads."""

    @abstractmethod
    def outputs(self, theta: FloatArray, samples: IntArray) -> FloatArray:
        """(B, n_out) outputs of (B,) samples, for the parameters (P,) that the network has."""

    @abstractmethod
    def costs(self, theta: FloatArray, samples: IntArray) -> FloatArray:
        """(B,) costs, without noise."""

    def measure(self, theta: FloatArray, samples: IntArray, step: int, part: Part) -> float:
        """One evaluation: costs summed over (B,) samples, with their noise."""
        noise = cost_noise(self.spec, np.array([step]), samples.size, part)
        return float(self.costs(theta, samples).sum() + noise[0])

    @abstractmethod
    def evaluate_nodes(
        self, theta: FloatArray, samples: IntArray, codes: CodeArray, noise: FloatArray, *, antithetic: bool
    ) -> NodesEvaluated:
        """Probes of nodes at the parameters (P,) that the network has, with one batch of (B,) samples.

        Args:
            theta: (P,).
            samples: (B,).
            codes: (K, n_nodes), in code units.
            noise: (K, B) of each sample's C̃.
            antithetic: whether C̃ is C(+θ̃) - C(-θ̃).
        """

    def probe(self, theta: FloatArray, block: Block) -> Costs:
        """K probes around the parameters (P,) that the network has."""
        if block.codes.target is Target.NODES:
            return probe_nodes(self, theta, block)
        codes = Codes(block.codes, self.topology).values(block.first_step, block.n_probes)
        samples = block.order.samples(block.first_batch(), block.n_batches())
        baseline_steps = set(block.baseline_steps())
        held = block.valid_held()
        perturbed, reference = np.zeros(block.n_probes), np.zeros(block.n_probes)
        for j, code in enumerate(codes):
            step = block.first_step + j
            batch = samples[block.order.batch_of(step) - block.first_batch()]
            if step in baseline_steps:
                held = HeldBaseline(self.measure(theta, batch, step, Part.BASELINE), step)
            change = code * self.spec.theta_lsb
            perturbed[j] = self.measure(theta + change, batch, step, Part.PLUS)
            if block.baseline is Baseline.ANTITHETIC:
                reference[j] = self.measure(theta - change, batch, step, Part.MINUS)
            elif held is not None:
                reference[j] = held.value
        return Costs(perturbed, reference, block.evaluations(), held if block.baseline is Baseline.HELD else None)

    def learn(self, segment: Segment) -> SegmentResult:
        """The host's own loop, without the host."""
        state, rule = segment.state, segment.rule
        codes = Codes(rule.codes, self.topology)
        end = state.step + segment.n_probes
        total, last = 0.0, None
        theta = self.written(segment)
        while state.step < end:
            costs = self.probe(theta, next_block(state, rule, min(end - state.step, probes_to_update(state, rule))))
            total += float(costs.perturbed.sum())
            state = accumulate_costs(state, costs, rule, codes)
            if state.step % rule.update_period == 0:
                state, last = update(state, rule, codes)
                theta = self.written(replace(segment, state=state))
        return SegmentResult(state, total / segment.n_probes, last)

    def learn_many(self, segments: Sequence[Segment]) -> list[SegmentResult]:
        """`learn` for each of many segments."""
        return [self.learn(segment) for segment in segments]

    def written(self, segment: Segment) -> FloatArray:
        """(P,) the parameters that the network has at a segment's begin: those written at the last update."""
        state, rule = segment.state, segment.rule
        step = written_step(segment)
        return np.asarray(requested_theta(state, rule) + write_noise(self.spec, np.array([step]))[0])


def written_step(segment: Segment) -> int:
    """Step of the write whose parameters hold at a segment's begin, which keys their noise: the last update's."""
    return segment.state.step - segment.state.step % segment.rule.update_period
