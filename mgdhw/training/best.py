"""The best evaluation of a learning curve, and the state that it is of."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

from mgdhw.learning.state import TrainState
from mgdhw.training.events import Best, Evaluated


def is_better(one: Evaluated, other: Evaluated) -> bool:
    """Whether an evaluation is better than an earlier one.

    By the accuracy, or R² of regression; between equals, or where there is neither, by the lower cost. An earlier one
    of the same cost is as good.
    """
    return _score(one) > _score(other)


def _score(evaluated: Evaluated) -> tuple[float, float]:
    share = evaluated.r2 if evaluated.accuracy is None else evaluated.accuracy
    return (
        -math.inf if share is None or math.isnan(share) else share,
        -math.inf if math.isnan(evaluated.cost) else -evaluated.cost,
    )


class BestTracker:
    """Keeps the best of the evaluations that an uninterrupted training makes.

    Args:
        best: the best so far, of a training that goes on.
        every: probes between evaluations.
        probes: length of the training.
        complete: adds the state of the device's cells to a state.
    """

    def __init__(
        self,
        best: Best | None,
        every: int,
        probes: int,
        complete: Callable[[TrainState], Awaitable[TrainState]],
    ) -> None:
        self.best = best
        self._every, self._probes = every, probes
        self._complete = complete

    @property
    def score(self) -> Evaluated | None:
        """The best evaluation so far."""
        return None if self.best is None else self.best.evaluated

    async def improved(self, state: TrainState, last: Evaluated) -> Best | None:
        """The last evaluation and its state, if it is the best one so far, and one of the learning curve."""
        due = state.step % self._every == 0 or state.step >= self._probes
        if not due or last.step != state.step or (self.score is not None and not is_better(last, self.score)):
            return None
        self.best = Best(await self._complete(state), last)
        return self.best
