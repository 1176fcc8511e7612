"""Short trainings with different learning rates, within what is left of the budget."""

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
from mgdhw.learning.loop import Recipe, accumulate_costs, next_block, probes_to_update, requested_theta, update
from mgdhw.learning.state import TrainState
from mgdhw.training.recipe import first_state, recipe_of

COARSE = 4.0
"""From one η of the first ladder to the next."""
FINE = 2.0
"""From one η to the next of those that are looked at closely."""
MOST_COARSE = 6
"""Pilots of the first ladder, at most."""
STARTS = 2
"""Pilots of each η that is looked at closely, from other parameters and with other codes: one may be lucky."""
APART = 1 << 20
"""Between the seeds of two starts."""
FINE_REPEAT = 0.005
"""How exactly a pilot's cost is measured, as a share of the cost at the beginning."""
MOST_REPEATS = 8
CHUNK = 256
LOOKS = 8
"""Measurements of the cost in a round."""
SMALLEST = 1e-6
"""Costs below this are all the same."""
TEMPERATURE = 0.2
"""How much worse a pilot's score may be, as a share of its fall, to count for 1/e of the best in the mean of η."""
LEAST_FALL = 0.05
"""Of the score, where nothing has fallen."""


@dataclass
class Pilot:
    """One training under way.

    Args:
        eta: its learning rate.
        recipe, state: how it goes on, and where it stands.
        curve: (evaluations, cost per sample) so far.
    """

    eta: float
    recipe: Recipe
    state: TrainState
    curve: list[tuple[int, float]] = field(default_factory=list)

    @property
    def cost(self) -> float:
        """Where it stands."""
        return self.curve[-1][1]

    @property
    def score(self) -> float:
        """Mean logarithm of the cost over its evaluations: low for who is soon low and stays there.

        The last cost alone would prefer the slow one of two that have both arrived.
        """
        evaluations, costs = np.array(self.curve, dtype=np.float64).T
        logs = np.log(np.maximum(costs, SMALLEST))
        return float(np.trapezoid(logs, evaluations) / evaluations[-1]) if evaluations[-1] else float(logs[-1])


class PilotRuns:
    """Runs pilots of one experiment: a coarse ladder of η, or one η and its neighbours.

    The best is the one with the lowest `score`; all of a round have had the same evaluations.

    Args:
        bench: the device.
        experiment: what they are; η is theirs.
        batch: samples on which their costs are compared.
        sigma: noise of such a cost.
        budget: evaluations that all of them may take together.
        fresh: what a simulated chip's cells remembered before the check: each pilot begins with that.
        drifts: compare every cost with that of the start at the same time, because C₀ drifts by itself.
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
        """θ and cost of the first pilot at its beginning."""
        self._repeats = 2
        self._all: dict[tuple[float, int], Pilot] = {}

    @property
    def all(self) -> tuple[Pilot, ...]:
        """All that were run, the lowest η first."""
        return tuple(self._all[key] for key in sorted(self._all))

    async def coarse(self, guess: float) -> Pilot:
        """The best η of a ladder around a guess, in steps of four, which goes on while the best lies at an end."""
        each = self._budget // MOST_COARSE
        ladder = [guess / COARSE, guess, guess * COARSE]
        best = await self._best(ladder, each)
        while best.eta in (min(ladder), max(ladder)) and len(ladder) < MOST_COARSE:
            ladder.append(best.eta * COARSE if best.eta == max(ladder) else best.eta / COARSE)
            best = await self._best(ladder, each)
        return best

    async def fine(self, about: float) -> Pilot:
        """The best of an η and its neighbours, in steps of two, each from some starts, which all get equally far."""
        etas = [about * FINE**power for power in (0, -1, 1, -2, 2)]
        each = self._budget // (len(etas) * STARTS) - (LOOKS + 1) * self._look
        return await self._best(etas, each, STARTS)

    async def single(self, eta: float) -> Pilot:
        """One pilot, as far as the budget goes."""
        return await self._best([eta], self._budget)

    def steady(self, eta: float) -> Pilot:
        """The best of those with an η of no more than that; of all if there is none."""
        slow = [pilot for pilot in self.all if pilot.eta <= eta * (1 + 1e-9)]
        return min(slow or self.all, key=lambda pilot: pilot.score)

    async def go_on(self, pilot: Pilot, budget: int) -> None:
        """Let a pilot go on until a further budget is spent."""
        self._end = self._device.used + budget
        await self._advance(pilot, pilot.state.evaluations + budget)

    def mean_eta(self) -> float:
        """The mean of the pilots' η, on a logarithmic scale, weighted by how good they were.

        The best of a few pilots is a matter of chance where several are about as good; their mean is not.
        """
        etas = sorted({pilot.eta for pilot in self.all})
        scores = np.array([np.mean([pilot.score for pilot in self.all if pilot.eta == eta]) for eta in etas])
        start = float(np.log(max(self.all[0].curve[0][1], SMALLEST)))
        fall = max(start - float(scores.min()), LEAST_FALL)
        weights = np.exp(-(scores - scores.min()) / (TEMPERATURE * fall))
        return float(np.exp((weights * np.log(etas)).sum() / weights.sum()))

    async def learning(self, pilot: Pilot) -> LearningCheck:
        """How a pilot's answers compare with a constant one."""
        await self._take_up(pilot)
        return await check_learning(self._device, pilot.cost, self._batch, self.error, drifts=self._drifts)

    def another(self, experiment: Experiment, budget: int) -> PilotRuns:
        """Pilots of another experiment on the same device, compared by costs that are measured as exactly."""
        pilots = PilotRuns(self._device, experiment, self._batch, self._sigma, budget, self._fresh, self._drifts)
        pilots._repeats = self._repeats
        return pilots

    @property
    def error(self) -> float:
        """Standard error of a pilot's cost."""
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
        experiment = self._experiment.replica(start * APART).model_copy(update={"optimizer": optimizer})
        recipe, _ = recipe_of(experiment, self._device.info, self._device.dataset.n_train)
        pilot = Pilot(eta, recipe, first_state(experiment, self._device.info, recipe, self._device.dataset))
        await self._take_up(pilot)
        await self._measure(pilot)
        return pilot

    async def _advance(self, pilot: Pilot, evaluations: int) -> None:
        """Train until a pilot has had so many evaluations, or all have had theirs."""
        device, recipe = self._device, pilot.recipe
        window = evaluations_of(recipe.baseline, recipe.update_period)
        reserve = self._look
        if pilot.state.evaluations + window > evaluations:
            return
        device.begin_stage(f"pilot run, η = {pilot.eta:.3g}")
        codes = Codes(recipe.codes, device.info.topology)
        state = pilot.state
        await self._take_up(pilot)
        marks = [evaluations * look // LOOKS for look in range(1, LOOKS)]
        marks = [mark for mark in marks if mark > state.evaluations]
        while state.evaluations + window <= evaluations and device.used + window + reserve <= self._end:
            while True:
                size = min(CHUNK, probes_to_update(state, recipe))
                state = accumulate_costs(state, await device.probe(next_block(state, recipe, size)), recipe, codes)
                if state.step % recipe.update_period == 0:
                    break
            state, _ = update(state, recipe, codes)
            await device.write(requested_theta(state, recipe), state.step)
            if marks and state.evaluations >= marks[0] and device.used + 2 * reserve <= self._end:
                marks = [mark for mark in marks if mark > state.evaluations]
                pilot.state = state
                await self._measure(pilot)
        pilot.state = replace(state, cells=await device.snapshot())
        await self._measure(pilot)

    @property
    def _look(self) -> int:
        """Evaluations of one measurement of the cost."""
        return (4 if self._drifts else 2) * self._repeats

    async def _take_up(self, pilot: Pilot) -> None:
        """Have the device hold what a pilot left it with, or begins with."""
        await self._device.restore(pilot.state.cells or self._fresh)
        await self._device.write(requested_theta(pilot.state, pilot.recipe), pilot.state.step)

    async def _start_now(self, pilot: Pilot) -> float:
        """What the start costs at this time. The device holds the pilot's parameters again afterwards."""
        assert self._start is not None, "measured at the beginning of the first pilot"
        memory = await self._device.snapshot()
        await self._device.restore(self._fresh)
        await self._device.write(self._start[0], pilot.state.step)
        cost = await self._device.cost(self._batch, self._repeats)
        await self._device.restore(memory)
        await self._device.write(requested_theta(pilot.state, pilot.recipe), pilot.state.step)
        return cost

    async def _measure(self, pilot: Pilot) -> None:
        if pilot.curve and pilot.curve[-1][0] == pilot.state.evaluations:
            return
        cost = await self._device.cost(self._batch, self._repeats)
        if self._start is None:
            self._start = (pilot.state.theta, cost)
        elif self._drifts:
            cost += self._start[1] - await self._start_now(pilot)
        pilot.curve.append((pilot.state.evaluations, cost))
        if len(self._all) <= 1 and len(pilot.curve) == 1 and cost > 0:
            wanted = math.ceil((self._sigma / (FINE_REPEAT * cost)) ** 2)
            self._repeats = min(MOST_REPEATS, max(2, wanted))
