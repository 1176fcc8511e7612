"""Simulated chips that each break one clause of the contract, as drivers do."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mgdhw.arrays import FloatArray, IntArray
from mgdhw.block import Block, Costs, HeldBaseline, Part
from mgdhw.datasets import Dataset
from mgdhw.device import Capability, Motion
from mgdhw.errors import DeviceUnavailable, LimitExceeded
from mgdhw.learning.segment import Segment, SegmentResult
from mgdhw.random.philox import Stream, words
from mgdhw.testing.training_cases import train_from_host
from mgdhw_sim.device import SimDevice
from mgdhw_sim.uri import parse

CHIP = "sim:analog-8bit?layers=3-2-2&engine=reference"


class Sound(SimDevice):
    """Breaks nothing. It has both levels of codes, and doesn't learn."""

    def __init__(self, uri: str = CHIP) -> None:
        super().__init__(uri, parse(uri))
        self.info = replace(self.info, capabilities=self.info.capabilities & ~Capability.LEARN)

    async def learn(self, segment: Segment) -> SegmentResult:
        raise DeviceUnavailable("it cannot learn on its own", uri=self.uri)


class Learner(SimDevice):
    """Breaks nothing, and learns by itself."""

    def __init__(self) -> None:
        super().__init__(CHIP, parse(CHIP))


# --- parameters -------------------------------------------------------------------------------------------------------


class Nameless(Sound):
    """Doesn't say which one it is."""

    def __init__(self) -> None:
        super().__init__()
        self.info = replace(self.info, identity="")


class LateWrite(Sound):
    """Each θ reaches the network with the next write only; `read` answers from a shadow of it."""

    waiting: NDArray[np.int16] | None = None

    async def apply(self, theta: FloatArray, step: int) -> FloatArray:
        before = self.chip.codes if self.waiting is None else self.waiting
        await super().apply(theta, step)
        self.waiting, self.chip.codes = self.chip.codes, before
        return await self.read()

    async def read(self) -> FloatArray:
        codes = self.chip.codes if self.waiting is None else self.waiting
        return np.asarray(codes * self.spec.weight_lsb)

    async def requested(self) -> FloatArray:
        return await self.read()

    async def disconnect(self) -> None:
        self.waiting = None
        await super().disconnect()


class Echo(Sound):
    """`write` answers what was asked for, not what is held."""

    async def apply(self, theta: FloatArray, step: int) -> FloatArray:
        await super().apply(theta, step)
        return np.array(theta)


class Hysteresis(Sound):
    """A parameter that is to move down stops a step short."""

    async def apply(self, theta: FloatArray, step: int) -> FloatArray:
        before = self.chip.codes
        await super().apply(theta, step)
        self.chip.codes = self.chip.codes + (self.chip.codes < before).astype(np.int16)
        return await self.read()


class Restless(Sound):
    """Writing what is held moves the first parameter by a step."""

    async def apply(self, theta: FloatArray, step: int) -> FloatArray:
        before = self.chip.codes
        await super().apply(theta, step)
        if (self.chip.codes == before).all():
            self.chip.codes = before + np.eye(1, before.size, dtype=np.int16)[0]
        return await self.read()


class ForgetsWear(Sound):
    """Has cells that move by pulses, and takes back nothing of what they remembered."""

    def __init__(self) -> None:
        super().__init__(f"{CHIP}&w_max=2&w_min=-2")

    async def restore(self, memory: Mapping[str, NDArray[Any]]) -> None:
        return


# --- motion -----------------------------------------------------------------------------------------------------------


class Moving(Sound):
    """Breaks nothing, and moves slowly: its safe state is where it begins."""

    safe: ClassVar[float] = 0.0

    def __init__(self) -> None:
        super().__init__()
        lsb = float(self.info.theta_lsb)
        self.info = replace(self.info, motion=Motion(8 * lsb, 0.0005, self.safe))


class JumpsToBegin(Moving):
    """Sets its parameters while it connects."""

    async def connect(self) -> None:
        await super().connect()
        await self.apply(np.full(self.info.n_parameters, 1.0), 0)


class JumpsToEnd(Moving):
    """Has been brought to its safe state, and goes to another before it lets go."""

    async def disconnect(self) -> None:
        if self._chip is not None:
            await self.apply(np.full(self.info.n_parameters, 1.0), 0)
        await super().disconnect()


class TooFar(Moving):
    """Goes twice as far in one write as it says."""

    @property
    def motion(self) -> Motion | None:
        declared = self.info.motion
        assert declared is not None
        return replace(declared, max_step=2 * declared.max_step)


class TooSoon(Moving):
    """Doesn't wait."""

    @property
    def motion(self) -> Motion | None:
        declared = self.info.motion
        assert declared is not None
        return replace(declared, step_seconds=0.0)


class WakesElsewhere(Moving):
    """Is brought to its safe state, and is somewhere else when it is opened again."""

    safe = 0.25


class Swings(Moving):
    """Looks at limits only, before its own codes move it."""

    def check_perturbed(self, theta: FloatArray, amplitude: int) -> None:
        self._check_room(theta, amplitude)


# --- limits and refusals ----------------------------------------------------------------------------------------------


class NoLimits(Sound):
    """Clips what is beyond the limits."""

    def check_limits(self, theta: FloatArray, what: str = "parameter") -> None:
        if theta.shape != (self.info.n_parameters,) or what != "parameter":
            super().check_limits(theta, what)

    async def apply(self, theta: FloatArray, step: int) -> FloatArray:
        return await super().apply(np.nan_to_num(np.clip(theta, self.info.theta_min, self.info.theta_max)), step)


class LimitsChecked(NoLimits):
    """Refuses what is beyond the limits, but only after it has sent it."""

    async def apply(self, theta: FloatArray, step: int) -> FloatArray:
        actual = await super().apply(theta, step)
        Sound.check_limits(self, theta)
        return actual


class NarrowLimits(Sound):
    """Doesn't take the limit itself."""

    async def apply(self, theta: FloatArray, step: int) -> FloatArray:
        if (theta >= self.info.theta_max).any():
            raise LimitExceeded("a parameter is at its limit", uri=self.uri)
        return await super().apply(theta, step)


class NoRoomChecked(Sound):
    """Looks at θ, not at θ ± Δ."""

    def check_perturbed(self, theta: FloatArray, amplitude: int) -> None:
        return


class AnyShape(Sound):
    """Repeats or drops parameters until they fit."""

    def check_limits(self, theta: FloatArray, what: str = "parameter") -> None:
        super().check_limits(np.resize(theta, self.info.n_parameters), what)

    async def apply(self, theta: FloatArray, step: int) -> FloatArray:
        return await super().apply(np.resize(theta, self.info.n_parameters), step)


class AnyData(Sound):
    """Cuts data to its sizes."""

    async def load(self, dataset: Dataset) -> None:
        inputs, targets = dataset.inputs[:, : self.info.n_inputs], dataset.targets[:, : self.info.n_outputs]
        await super().load(replace(dataset, inputs=inputs, targets=targets))


class Anonymous(Sound):
    """Its errors don't say whose they are."""

    def check_limits(self, theta: FloatArray, what: str = "parameter") -> None:
        try:
            super().check_limits(theta, what)
        except LimitExceeded:
            raise LimitExceeded("too much") from None


# --- data and outputs -------------------------------------------------------------------------------------------------


class SortedSamples(Sound):
    """Answers in the order of the memory."""

    async def infer(self, samples: IntArray, step: int = 0) -> FloatArray:
        return await super().infer(np.sort(samples), step)


class KeepsData(Sound):
    """Loads the targets of the first dataset only: "it is there already"."""

    targets: NDArray[np.float64] | None = None

    async def load(self, dataset: Dataset) -> None:
        if dataset.n_samples < 13 or (dataset.n_inputs, dataset.n_outputs) != (3, 2):
            await super().load(dataset)
            self.targets = dataset.targets
            return
        targets = dataset.targets.copy()
        if self.targets is not None:
            n = min(len(targets), len(self.targets))
            targets[:n] = self.targets[:n]
        await super().load(replace(dataset, targets=targets))


class InferMoves(Sound):
    """Infers a step away, and stays there."""

    async def infer(self, samples: IntArray, step: int = 0) -> FloatArray:
        self.chip.codes = self.chip.codes + np.int16(1)
        return await super().infer(samples, step)


# --- probes -----------------------------------------------------------------------------------------------------------


class Drifts(Sound):
    """A block leaves the last parameter one step up."""

    async def probe(self, block: Block) -> Costs:
        costs = await super().probe(block)
        self.chip.codes = self.chip.codes + np.eye(1, self.chip.codes.size, dtype=np.int16)[0]
        return costs


class CountsCalls(Sound):
    """Noise that depends on the call: the n-th block is n higher."""

    calls = 0

    async def probe(self, block: Block) -> Costs:
        self.calls += 1
        costs = await super().probe(block)
        return replace(costs, perturbed=costs.perturbed + self.calls)


class Miscounts(Sound):
    """Doesn't count baselines."""

    async def probe(self, block: Block) -> Costs:
        return replace(await super().probe(block), evaluations=block.n_probes)


class MeasuresAgain(Sound):
    """Measures a baseline that it was given."""

    async def probe(self, block: Block) -> Costs:
        fresh = await super().probe(replace(block, held=None))
        return replace(fresh, evaluations=block.evaluations())


class HoldsOn(Sound):
    """Uses a baseline for one probe of the next batch."""

    async def probe(self, block: Block) -> Costs:
        costs = await super().probe(block)
        reference = costs.reference.copy()
        for step in block.baseline_steps()[1:] if block.held is None else block.baseline_steps():
            j = step - block.first_step
            if block.baseline == "held" and j > 0:
                reference[j] = reference[j - 1]
        return replace(costs, reference=reference)


class WrongHeldStep(Sound):
    """Says of a baseline that it was measured a step later."""

    async def probe(self, block: Block) -> Costs:
        costs = await super().probe(block)
        held = costs.held and HeldBaseline(costs.held.value, costs.held.step + 1)
        return replace(costs, held=held)


class OtherSparseCodes(Sound):
    """Draws sparse codes with another seed than the host."""

    async def probe(self, block: Block) -> Costs:
        if block.codes.family == "sparse":
            block = replace(block, codes=replace(block.codes, seed=block.codes.seed ^ 1))
        return await super().probe(block)


class ShortSteps(Sound):
    """Counts steps in 32 bits."""

    async def probe(self, block: Block) -> Costs:
        return await super().probe(replace(block, first_step=block.first_step % (1 << 32)))


class Noisy(Sound):
    """Adds noise to each cost, the same at both levels: not deterministic, and says so. Breaks nothing."""

    count = 0

    def __init__(self) -> None:
        super().__init__()
        self.info = replace(self.info, capabilities=self.info.capabilities & ~Capability.DETERMINISTIC)

    async def measure(self, samples: IntArray, step: int, part: Part) -> int:
        return await super().measure(samples, step, part) + self.noise()

    async def probe(self, block: Block) -> Costs:
        return await self.probe_with_host_codes(block)

    def noise(self) -> int:
        """-16 ... 15, never the same again."""
        self.count += 1
        return int(words(1, Stream.DATA, [self.count], 1)[0, 0] >> np.uint32(27)) - 16


class Biased(Noisy):
    """Its own codes cost two thirds of the noise more than the host's."""

    async def probe(self, block: Block) -> Costs:
        costs = await super().probe(block)
        return replace(costs, perturbed=costs.perturbed + 6)


class OtherNoisyCodes(Noisy):
    """Draws its own codes with another seed than the host."""

    async def probe(self, block: Block) -> Costs:
        return await super().probe(replace(block, codes=replace(block.codes, seed=block.codes.seed ^ 1)))


class NoisyLearner(Noisy):
    """Learns by itself, with noise. Breaks nothing."""

    eta = 1.0
    """Factor on the learning rate."""

    def __init__(self) -> None:
        super().__init__()
        self.info = replace(self.info, capabilities=self.info.capabilities | Capability.LEARN)

    async def learn(self, segment: Segment) -> SegmentResult:
        self.check_limits(segment.state.theta)
        recipe = replace(segment.recipe, eta=self.eta * segment.recipe.eta)
        return await train_from_host(self, self.probe, replace(segment, recipe=recipe))


class SlowLearner(NoisyLearner):
    """Learns with three quarters of the learning rate."""

    eta = 0.75


# --- learning ---------------------------------------------------------------------------------------------------------


class Forgets(Learner):
    """The second answer to a segment is not the first."""

    calls = 0

    async def learn(self, segment: Segment) -> SegmentResult:
        self.calls += 1
        result = await super().learn(segment)
        return replace(result, state=replace(result.state, evaluations=result.state.evaluations + self.calls))


class OtherLoop(Learner):
    """Learns half as fast as the host does, from the second update on."""

    async def learn(self, segment: Segment) -> SegmentResult:
        result = await super().learn(segment)
        way = result.state.theta - segment.state.theta
        return replace(result, state=replace(result.state, theta=segment.state.theta + way / 2))


class DropsWindow(Learner):
    """Begins each segment with an empty window."""

    async def learn(self, segment: Segment) -> SegmentResult:
        empty = replace(segment.state.window, cross=np.zeros_like(segment.state.window.cross))
        return await super().learn(replace(segment, state=replace(segment.state, window=empty)))


class GoesBack(Learner):
    """Has the θ from before the segment after it."""

    async def learn(self, segment: Segment) -> SegmentResult:
        before = self.chip.codes
        result = await super().learn(segment)
        self.chip.codes = before
        return result


class MixesReplicas(Learner):
    """Answers replicas in another order."""

    async def learn_many(self, segments: Sequence[Segment]) -> list[SegmentResult]:
        return (await super().learn_many(segments))[::-1]


class LearnsBeyond(Learner):
    """Clips where a segment begins."""

    async def learn(self, segment: Segment) -> SegmentResult:
        theta = np.clip(segment.state.theta, self.info.theta_min, self.info.theta_max)
        return await super().learn(replace(segment, state=replace(segment.state, theta=theta)))


class LearnsAnyway(Sound):
    """Says that it cannot learn, and answers all the same."""

    async def learn(self, segment: Segment) -> SegmentResult:
        return SegmentResult(segment.state, 0.0, None)


# --- endings ----------------------------------------------------------------------------------------------------------


class ClosesOnce(Sound):
    """Fails to close what is not open."""

    async def disconnect(self) -> None:
        if self._chip is None:
            raise DeviceUnavailable("it is not open", uri=self.uri)
        await super().disconnect()


class OpensOnce(Sound):
    """Cannot be opened a second time."""

    opened = False

    async def connect(self) -> None:
        if self.opened:
            raise DeviceUnavailable("it was opened before", uri=self.uri)
        self.opened = True
        await super().connect()


class TrueColours(Sound):
    """Shows its insides once it is closed."""

    async def read(self) -> FloatArray:
        if self._chip is None:
            raise AttributeError("'NoneType' object has no attribute 'codes'")
        return await super().read()


class AnswersFromMemory(Sound):
    """Goes on answering `read` once it is closed."""

    async def read(self) -> FloatArray:
        if self._chip is None and self.theta_actual is not None:
            return self.theta_actual
        return await super().read()


class ComesBack(Sound):
    """Connects again if it is asked for something once it is closed."""

    def check_open(self) -> None:
        return

    async def apply(self, theta: FloatArray, step: int) -> FloatArray:
        if self._chip is None:
            await self.connect()
        return await super().apply(theta, step)


class HidesErrors(Sound):
    """Swallows what is raised inside `async with`."""

    async def __aexit__(self, *raised: Any) -> bool:  # type: ignore[override]
        await super().__aexit__(*raised)
        return raised[0] is not None and issubclass(raised[0], Exception) and "Interruption" in raised[0].__name__


class Slow(Sound):
    """Works in turns of the event loop, and puts θ back if it is cancelled between them."""

    async def probe(self, block: Block) -> Costs:
        before = self.chip.codes
        try:
            for _ in range(4):
                self.chip.codes = before + np.int16(1)
                await asyncio.sleep(0)
        finally:
            self.chip.codes = before
        return await super().probe(block)


class LeavesPerturbed(Sound):
    """Works in turns of the event loop, and leaves θ perturbed if it is cancelled between them."""

    async def probe(self, block: Block) -> Costs:
        before = self.chip.codes
        for _ in range(4):
            self.chip.codes = before + np.int16(1)
            await asyncio.sleep(0)
        self.chip.codes = before
        return await super().probe(block)


class CannotBeCancelled(Slow):
    """Answers although it was cancelled."""

    async def probe(self, block: Block) -> Costs:
        try:
            return await super().probe(block)
        except asyncio.CancelledError:
            return await super().probe(block)


class AnswersLate(Sound):
    """The answer to a `read` that was cancelled comes with the next one."""

    late: FloatArray | None = None

    async def read(self) -> FloatArray:
        held = await super().read()
        if self.late is not None:
            held, self.late = self.late, None
            return held
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.late = held
            raise
        return held


class ClosesHalf(Sound):
    """If it is cancelled while it closes, the port stays busy."""

    busy: ClassVar[set[str]] = set()

    async def connect(self) -> None:
        if self.uri in self.busy:
            raise DeviceUnavailable("the port is busy", uri=self.uri)
        self.busy.add(self.uri)
        await super().connect()

    async def __aexit__(self, *raised: Any) -> None:
        self.entered = self.is_open = False
        await self.disconnect()

    async def disconnect(self) -> None:
        if self._chip is not None:
            await asyncio.sleep(0)
            self.busy.discard(self.uri)
        await super().disconnect()


# --- leaks ------------------------------------------------------------------------------------------------------------


class Leaky(Sound):
    """Leaves something behind each time that it was open; the tests clean up."""

    left: ClassVar[list[Callable[[], Any]]] = []

    @classmethod
    async def clean_up(cls) -> None:
        """Give back what was left behind."""
        while cls.left:
            done = cls.left.pop()()
            if isinstance(done, Awaitable):
                await done


class LeaksDescriptors(Leaky):
    """Opens a file and forgets it."""

    async def connect(self) -> None:
        descriptor = os.open(os.devnull, os.O_RDONLY)
        self.left.append(lambda: os.close(descriptor))
        await super().connect()


class LeaksTasks(Leaky):
    """Starts a reader that nobody ends."""

    async def connect(self) -> None:
        ended = asyncio.Event()
        task = asyncio.ensure_future(ended.wait())

        def end() -> Awaitable[Any]:
            ended.set()
            return task

        self.left.append(end)
        await super().connect()


class LeaksThreads(Leaky):
    """Starts a thread that nobody ends."""

    async def connect(self) -> None:
        ended = threading.Event()
        thread = threading.Thread(target=ended.wait, name="reader")
        thread.start()

        def end() -> None:
            ended.set()
            thread.join()

        self.left.append(end)
        await super().connect()
