"""What a training and a set of replicas have in common: how far to go, when to look, when it is enough.

None of it decides a bit of a trajectory but where it ends.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.costs import accuracy_or_r2
from mgdhw.datasets import Dataset
from mgdhw.device import Device
from mgdhw.device.driver_results import checked_outputs
from mgdhw.errors import DeviceFault
from mgdhw.experiment.schema import LARGEST_BLOCK, EvaluationSection
from mgdhw.learning import digest
from mgdhw.learning.loop import Recipe, probes_to_update
from mgdhw.learning.segment import Segment, SegmentResult
from mgdhw.learning.state import TrainState
from mgdhw.training.events import Evaluated

FIRST_WORK = 10**9
"""Multiplications of the first request at most, whose time nobody knows yet: a second of a simulated chip's, or two."""
FREE = 4 / 3
"""A request of twice the size that takes less than so many times as long is made of delays, not of work."""
PATIENCE = 20
"""How many times too long a request may take, where smaller ones would not be much shorter."""
MOST = 0.5
"""So many of the parameters at their rails, and somebody should know."""
BREATH_SECONDS = 0.02
"""How long the event loop may be kept from other tasks by a device that never waits."""

log = logging.getLogger("mgdhw.training")


def first_size(wanted: int, recipe: Recipe, n_parameters: int, replicas: int = 1) -> int:
    """Probes of the first request: as many as wanted, if that is no great work for a simulated chip."""
    return max(1, min(wanted, FIRST_WORK // (recipe.order.batch * n_parameters * replicas)))


class AdaptiveBlockSize:
    """How many probes to ask for at once, so that it takes about as long as wanted.

    Args:
        first: probes to begin with.
        seconds: how long one request should take.
        fixed: probes in every request, if the user has said so.
    """

    def __init__(self, first: int, seconds: float, fixed: int | None = None) -> None:
        self.size = first if fixed is None else fixed
        self._seconds = seconds
        self._fixed = fixed is not None
        self._last: tuple[int, float] | None = None

    def learn(self, size: int, seconds: float) -> None:
        """Take in how long a request of some size took."""
        if self._fixed:
            return
        whole = 2 * size >= self.size  # some are cut short
        if whole and (seconds < self._seconds / 2 or self._grows_for_free(size, seconds)):
            self._last, self.size = (size, seconds), min(LARGEST_BLOCK, 2 * size)
        elif seconds > 2 * self._seconds:
            self._last, self.size = (size, seconds), max(1, self.size // 2)

    def _grows_for_free(self, size: int, seconds: float) -> bool:
        """Whether the time goes into the request itself: one of half or twice the size took almost as long."""
        if seconds >= PATIENCE * self._seconds:
            return False
        if self._last is None:  # try it
            return seconds <= 2 * self._seconds
        if self._last[0] not in (2 * size, size // 2):
            return False
        shorter, longer = sorted((seconds, self._last[1]))
        return longer < FREE * shorter


class CooperativeYield:
    """Lets other tasks run now and then, beside a device that never waits."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    async def take(self) -> None:
        """Let others run, if it is time."""
        if time.monotonic() - self._last >= BREATH_SECONDS:
            await asyncio.sleep(0)
            self._last = time.monotonic()


class SaturationMonitor:
    """Says, once, that most parameters are at their rails: nothing is learnt by steps that are too large.

    It is no error, and no limit of η would be right: how far η moves a parameter depends on the optimizer and on costs.
    """

    def __init__(self) -> None:
        self._said = False

    def look(self, state: TrainState, recipe: Recipe) -> None:
        """Take in where the parameters are."""
        if self._said or state.update == 0:
            return
        share = float(np.mean((state.theta <= recipe.low) | (state.theta >= recipe.high)))
        if share >= MOST:
            self._said = True
            log.warning(
                "%.0f %% of the parameters are at the ends of their range after %s updates; a smaller optimizer.eta"
                " (it is %g) moves them less",
                100 * share, f"{state.update:,}", recipe.eta,
            )  # fmt: skip


def next_size(state: TrainState, recipe: Recipe, *, at_most: int, every: int, probes: int, segments: bool) -> int:
    """Probes of the next request: up to an update, an evaluation or the end, whichever comes first.

    A segment runs through updates, but not past a mark of the digest; where nothing else ends it, an update does, if
    that takes no more than half of it away.

    Args:
        state, recipe: where training stands and how it goes on.
        at_most: probes that may be asked for at once.
        every: probes between evaluations.
        probes: length of the training.
        segments: whether the device runs segments, or blocks.
    """
    to_stop = probes_to_update(state, recipe)
    if segments:
        to_stop += recipe.update_period * (digest.MARK_EVERY - 1 - state.update % digest.MARK_EVERY)
    to_stop = min(to_stop, every - state.step % every, probes - state.step)
    if to_stop <= at_most:
        return to_stop
    whole = (state.step + at_most) // recipe.update_period * recipe.update_period - state.step
    # After an update the window is empty: there is less to carry from one segment to the next.
    return whole if segments and 2 * whole >= at_most else at_most


def digest_checkpoint(before: TrainState, after: TrainState) -> bool:
    """Whether the digest takes in the trajectory here, for somebody who came from `before`."""
    return after.update % digest.MARK_EVERY == 0 and after.update > before.update


def marked(state: TrainState, stored: FloatArray) -> TrainState:
    """The state whose digest has taken in where it stands; `stored` is the (P,) θ that the hardware holds."""
    chain = digest.mark(state.chain, step=state.step, evaluations=state.evaluations, theta=state.theta, stored=stored)
    return replace(state, chain=chain)


def check_answer(result: SegmentResult, segment: Segment, device: Device) -> None:
    """Raise DeviceFault if an answer cannot be one to this segment."""
    if not np.isfinite(result.cost) or result.state.step != segment.state.step + segment.n_probes:
        raise DeviceFault(f"its answer to a segment from probe {segment.state.step} makes no sense", uri=device.uri)


async def look(device: Device, dataset: Dataset, state: TrainState) -> Evaluated:
    """Try the network that the device holds on the test samples, or on all where there are none."""
    split = "test" if dataset.n_test else "train"
    samples = np.arange(dataset.n_train if dataset.n_test else 0, dataset.n_samples)
    outputs = checked_outputs(await device.infer(samples, state.step), samples.size, dataset.n_outputs, device.uri)
    targets = dataset.targets[samples]
    cost = float(device.cost_of(outputs, targets).mean())
    accuracy, r2 = accuracy_or_r2(outputs, targets, classes=dataset.has_classes)
    return Evaluated(state.step, state.evaluations, split, accuracy, cost, r2)


def target_reached(wanted: EvaluationSection, evaluated: Evaluated) -> bool:
    """Whether the accuracy and the cost aimed at are reached; never, where neither is given."""
    accurate = wanted.stop_at_accuracy is None or (evaluated.accuracy or 0.0) >= wanted.stop_at_accuracy
    return wanted.has_target and accurate and (wanted.stop_at_cost is None or evaluated.cost < wanted.stop_at_cost)
