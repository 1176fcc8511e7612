"""Pilot runs: short trainings with different learning rates, within the remaining budget."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.arrays import FloatArray
from mgdhw.characterize.budgeted_device import BudgetedDevice
from mgdhw.characterize.learning_check import LearningCheck, check_learning
from mgdhw.characterize.sgd_model import evaluations_of
from mgdhw.codes import Codes
from mgdhw.experiment.schema import Experiment
from mgdhw.learning.rule import LearningRule
from mgdhw.learning.state import TrainState
from mgdhw.learning.step import accumulate_costs, next_block, probes_to_update, requested_theta, update
from mgdhw.training.prepare import first_state, learning_rule

COARSE = 4.0
"""Ratio of neighboring η in the coarse search."""
FINE = 2.0
"""Ratio of neighboring η in the fine search."""
MOST_COARSE = 6
"""Most pilot runs of the coarse search."""
STARTS = 2
"""Pilot runs per η in the fine search, with different initial parameters and codes."""
SEED_STRIDE = 1 << 20
"""Difference of the seeds of two starts."""
FINE_REPEAT = 0.005
"""Standard error of a measured cost, as a share of the initial cost."""
MOST_REPEATS = 8
CHUNK = 256
MEASUREMENTS = 8
"""Cost measurements per round."""
SMALLEST = 1e-6
"""Lower bound of costs in logarithms."""
TEMPERATURE = 0.2
"""Difference in score, as a share of its decrease, at which the weight in the mean of η falls to 1/e."""
LEAST_FALL = 0.05
"""Least decrease of the score that is assumed."""


@dataclass
class Pilot:
    """One pilot run.

    Args:
        eta: its learning rate.
        rule, state: its learning rule and current state.
        curve: (evaluations, cost per sample) so far.
    """

    eta: float
    rule: LearningRule
    state: TrainState
    curve: list[tuple[int, float]] = field(default_factory=list)

    @property
    def cost(self) -> float:
        """The latest cost."""
        return self.curve[-1][1]

    @property
    def score(self) -> float:
        """Mean logarithm of the cost over the evaluations: low if the cost decreases early and stays low.

        The last cost alone would not distinguish a fast run from a slow one if both have converged.
        """
        evaluations, costs = np.array(self.curve, dtype=np.float64).T
        logs = np.log(np.maximum(costs, SMALLEST))
        return float(np.trapezoid(logs, evaluations) / evaluations[-1]) if evaluations[-1] else float(logs[-1])


class PilotRuns:
    """Pilot runs of one experiment: a coarse search for η, or one η and its neighbors.

    The best run has the lowest `score`; all runs of a round get the same number of evaluations.

    Args:
        device: the device.
        experiment: of the runs, apart from η.
        batch: samples on which costs are compared.
        sigma: noise of such a cost.
        budget: evaluations of all runs together.
        fresh: state of a simulated chip's cells before the check, with which each run starts.
        drifts: compare every cost with that of the initial parameters at the same time, because C₀ drifts.
    """

    def __init__(
        self,
        device: BudgetedDevice,
        experiment: Experiment,
        batch: int,
        sigma: float,
        budget: int,
        fresh: Mapping[str, NDArray[Any]],
        drifts: bool,
    ) -> None:
        self._device = device
        self._experiment = experiment
        self._batch = batch
        self._sigma = sigma
        self._end = device.used + budget
        self._budget = budget
        self._fresh = fresh
        self._drifts = drifts
        self._start: tuple[FloatArray, float] | None = None
        """Initial θ and cost of the first run."""
        self._repeats = 2
        self._all: dict[tuple[float, int], Pilot] = {}

    @property
    def all(self) -> tuple[Pilot, ...]:
        """All runs, in order of η."""
        return tuple(self._all[key] for key in sorted(self._all))

    async def coarse(self, guess: float) -> Pilot:
        """The best η of a search around a guess, in factors of four, extended while the best lies at an end."""
        each = self._budget // MOST_COARSE
        ladder = [guess / COARSE, guess, guess * COARSE]
        best = await self._best(ladder, each)
        while best.eta in (min(ladder), max(ladder)) and len(ladder) < MOST_COARSE:
            ladder.append(best.eta * COARSE if best.eta == max(ladder) else best.eta / COARSE)
            best = await self._best(ladder, each)
        return best

    async def fine(self, about: float) -> Pilot:
        """The best of an η and its neighbors, in factors of two, with several starts each, all equally long."""
        etas = [about * FINE**power for power in (0, -1, 1, -2, 2)]
        each = self._budget // (len(etas) * STARTS) - (MEASUREMENTS + 1) * self._measurement_cost
        return await self._best(etas, each, STARTS)

    async def single(self, eta: float) -> Pilot:
        """One run, for the whole budget."""
        return await self._best([eta], self._budget)

    def steady(self, eta: float) -> Pilot:
        """The best run with at most this η; the best of all if there is none."""
        slow = [pilot for pilot in self.all if pilot.eta <= eta * (1 + 1e-9)]
        return min(slow or self.all, key=lambda pilot: pilot.score)

    async def continue_run(self, pilot: Pilot, budget: int) -> None:
        """Continue a run for a further budget."""
        self._end = self._device.used + budget
        await self._advance(pilot, pilot.state.evaluations + budget)

    def mean_eta(self) -> float:
        """Geometric mean of η over the runs, weighted by their scores.

        Which of several similar runs is the best is random; their mean is less so.
        """
        etas = sorted({pilot.eta for pilot in self.all})
        scores = np.array([np.mean([pilot.score for pilot in self.all if pilot.eta == eta]) for eta in etas])
        start = float(np.log(max(self.all[0].curve[0][1], SMALLEST)))
        fall = max(start - float(scores.min()), LEAST_FALL)
        weights = np.exp(-(scores - scores.min()) / (TEMPERATURE * fall))
        return float(np.exp((weights * np.log(etas)).sum() / weights.sum()))

    async def learning(self, pilot: Pilot) -> LearningCheck:
        """Compare a run with a constant output."""
        await self._restore_state(pilot)
        return await check_learning(self._device, pilot.cost, self._batch, self.error, drifts=self._drifts)

    def for_experiment(self, experiment: Experiment, budget: int) -> PilotRuns:
        """Pilot runs of another experiment on the same device, with costs of the same precision."""
        pilots = PilotRuns(self._device, experiment, self._batch, self._sigma, budget, self._fresh, self._drifts)
        pilots._repeats = self._repeats
        return pilots

    @property
    def error(self) -> float:
        """Standard error of a measured cost."""
        return self._sigma / math.sqrt(self._repeats)

    async def _best(self, etas: list[float], evaluations: int, starts: int = 1) -> Pilot:
        for eta in etas:
            for start in range(starts):
                pilot = self._all.get((eta, start))
                if pilot is None:
                    pilot = self._all[eta, start] = await self._begin(eta, start)
                await self._advance(pilot, evaluations)
        return min((self._all[eta, start] for eta in etas for start in range(starts)), key=lambda pilot: pilot.score)

    async def _begin(self, eta: float, start: int) -> Pilot:
        self._device.begin_stage(f"pilot run, η = {eta:.3g}")
        optimizer = self._experiment.optimizer.model_copy(update={"eta": eta})
        experiment = self._experiment.replica(start * SEED_STRIDE).model_copy(update={"optimizer": optimizer})
        rule, _ = learning_rule(experiment, self._device.info, self._device.dataset.n_train)
        pilot = Pilot(eta, rule, first_state(experiment, self._device.info, rule, self._device.dataset))
        await self._restore_state(pilot)
        await self._measure(pilot)
        return pilot

    async def _advance(self, pilot: Pilot, evaluations: int) -> None:
        """Train until a run has used this many evaluations, or the budget is spent."""
        device, rule = self._device, pilot.rule
        window = evaluations_of(rule.baseline, rule.update_period)
        reserve = self._measurement_cost
        if pilot.state.evaluations + window > evaluations:
            return
        device.begin_stage(f"pilot run, η = {pilot.eta:.3g}")
        codes = Codes(rule.codes, device.info.topology)
        state = pilot.state
        await self._restore_state(pilot)
        marks = [evaluations * index // MEASUREMENTS for index in range(1, MEASUREMENTS)]
        marks = [mark for mark in marks if mark > state.evaluations]
        while state.evaluations + window <= evaluations and device.used + window + reserve <= self._end:
            while True:
                size = min(CHUNK, probes_to_update(state, rule))
                state = accumulate_costs(state, await device.probe(next_block(state, rule, size)), rule, codes)
                if state.step % rule.update_period == 0:
                    break
            state, _ = update(state, rule, codes)
            await device.write(requested_theta(state, rule), state.step)
            if marks and state.evaluations >= marks[0] and device.used + 2 * reserve <= self._end:
                marks = [mark for mark in marks if mark > state.evaluations]
                pilot.state = state
                await self._measure(pilot)
        pilot.state = replace(state, cells=await device.snapshot())
        await self._measure(pilot)

    @property
    def _measurement_cost(self) -> int:
        """Evaluations per cost measurement."""
        return (4 if self._drifts else 2) * self._repeats

    async def _restore_state(self, pilot: Pilot) -> None:
        """Restore the device to a run's current state."""
        await self._device.restore(pilot.state.cells or self._fresh)
        await self._device.write(requested_theta(pilot.state, pilot.rule), pilot.state.step)

    async def _start_cost(self, pilot: Pilot) -> float:
        """Current cost of the initial parameters; restores those of the run."""
        assert self._start is not None, "measured at the beginning of the first pilot"
        cells = await self._device.snapshot()
        await self._device.restore(self._fresh)
        await self._device.write(self._start[0], pilot.state.step)
        cost = await self._device.cost(self._batch, self._repeats)
        await self._device.restore(cells)
        await self._device.write(requested_theta(pilot.state, pilot.rule), pilot.state.step)
        return cost

    async def _measure(self, pilot: Pilot) -> None:
        if pilot.curve and pilot.curve[-1][0] == pilot.state.evaluations:
            return
        cost = await self._device.cost(self._batch, self._repeats)
        if self._start is None:
            self._start = (pilot.state.theta, cost)
        elif self._drifts:
            cost += self._start[1] - await self._start_cost(pilot)
        pilot.curve.append((pilot.state.evaluations, cost))
        if len(self._all) <= 1 and len(pilot.curve) == 1 and cost > 0:
            wanted = math.ceil((self._sigma / (FINE_REPEAT * cost)) ** 2)
            self._repeats = min(MOST_REPEATS, max(2, wanted))
