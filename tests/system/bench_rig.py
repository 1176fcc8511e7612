"""A simulated rack in a thread of its own, with faults where a scenario wants them and a recorder at its channels."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mgdhw_drivers.bench.load import load_rack
from mgdhw_drivers.bench.rack import Place, Rack
from mgdhw_drivers.bench.simulate.faults import FaultInjector, Faults, MessageFault, ReadingFault, ReplyFault
from mgdhw_drivers.bench.simulate.instrument import SimulatedInstrument
from mgdhw_drivers.bench.simulate.rack_file import with_addresses
from mgdhw_drivers.bench.simulate.recorder import Cause, Move, read_moves
from mgdhw_drivers.bench.simulate.simulation import RackSimulation, SimulationSettings
from mgdhw_drivers.bench.simulate.sources import MultichannelSource
from tests.helpers.paths import ROOT

BENCHES = ROOT / "examples" / "benches"
ROUNDING = 1e-6
SLACK_SECONDS = 0.01
"""By how much messages may come closer together than they were sent, on a busy machine."""


class PlannedFaults(FaultInjector):
    """Faults at chosen messages, replies, readings and questions, counted from the first one on.

    Args:
        delay: seconds by which late replies are late.
        name: of the instrument.
    """

    def __init__(self, delay: float, name: str) -> None:
        super().__init__(Faults(delay=delay), 0, name)
        self.messages: dict[int, MessageFault] = {}
        self.replies: dict[int, ReplyFault] = {}
        self.readings: dict[int, ReadingFault] = {}
        self.opens: tuple[int, int] | None = None
        """First question at which an interlock is open, and the first at which it is closed again."""
        self.seen: Counter[str] = Counter()

    def message(self) -> MessageFault | None:
        return self._next("messages", self.messages)

    def reply(self) -> ReplyFault | None:
        return self._next("replies", self.replies)

    def reading(self) -> ReadingFault | None:
        return self._next("readings", self.readings)

    def interlock_is_open(self) -> bool:
        number = self.seen["questions"]
        self.seen["questions"] += 1
        is_open = self.opens is not None and self.opens[0] <= number < self.opens[1]
        self.counts["interlock"] = self.counts.get("interlock", 0) + is_open
        return is_open

    def _next(self, what: str, planned: dict[int, Any]) -> Any:
        found = planned.get(self.seen[what])
        self.seen[what] += 1
        return self._counted(found)


class Rig:
    """A simulated rack. Use it with `with`.

    Args:
        name: of an example.
        changes: of text in its file, before and after.
        folder: where its file and its record are written.
        chip: that it is wired to.
        delay: seconds by which late replies are late.
    """

    def __init__(
        self, name: str, changes: Iterable[tuple[str, str]], folder: Path, chip: str, delay: float = 0.6
    ) -> None:
        text = (BENCHES / f"{name}.toml").read_text("utf-8")
        for before, after in changes:
            assert before in text, before
            text = text.replace(before, after)
        self.path = folder / f"{name}.toml"
        self.path.write_text(text, "utf-8")
        self.rack: Rack = load_rack(self.path)
        self.record = folder / "moves.csv"
        self._delay = delay
        self._simulation = RackSimulation(self.rack, chip, SimulationSettings(record=self.record))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="simulated rack")
        self.faults: dict[str, PlannedFaults] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self.do(self._simulation.__aenter__())
        except BaseException:
            self._end()
            raise
        for instrument in self.instruments:
            instrument.faults = self.faults[instrument.name] = PlannedFaults(self._delay, instrument.name)
        text = with_addresses(self.path.read_text("utf-8"), str(self.path), self._simulation.addresses)
        self.path.write_text(text, "utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.do(self._simulation.__aexit__(kind, error, trace))
        finally:
            self._end()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def do(self, work: Any) -> Any:
        """Run a coroutine where the rack is."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60.0)

    @property
    def uri(self) -> str:
        """Its address."""
        return f"bench:{self.path}"

    @property
    def instruments(self) -> list[SimulatedInstrument]:
        """Its instruments."""
        return [port.instrument for port in self._simulation.ports]

    def unsafe(self) -> list[str]:
        """Channels that are not in their safe state."""
        return self.do(self._unsafe())  # type: ignore[no-any-return]

    async def _unsafe(self) -> list[str]:
        found = []
        for instrument in self.instruments:
            if isinstance(instrument, MultichannelSource):
                for channel in list(instrument.outputs):
                    level, on = instrument.effective(channel), instrument.output(channel).on
                    if level or on:
                        found.append(f"{instrument.name}, channel {channel}: {level:g}, {'on' if on else 'off'}")
        return found

    def faults_so_far(self) -> Counter[str]:
        """Faults that have happened."""
        return Counter({name: count for name, count in self._simulation.fault_counts().items() if count})


def moves_too_fast(rack: Rack, record: Path) -> list[str]:
    """What the recorder has seen of parameters that moved further at once, or sooner, than the rack allows."""
    limits = {
        place: (group.max_step, group.step_time)
        for group in rack.parameters
        for place in rack.places(group)
        if group.max_step is not None
    }
    moves: defaultdict[Place, list[Move]] = defaultdict(list)
    for move in read_moves(record):
        moves[move.place].append(move)
    found: list[str] = []
    for place, (step, seconds) in limits.items():
        level, earliest = 0.0, float("-inf")
        for number, move in enumerate(moves[place]):
            if move.cause is not Cause.POWER:
                if abs(move.level - level) > step + ROUNDING:
                    found.append(f"{place}: {level:g} to {move.level:g} at once, at {move.seconds:.3f} s")
                # The n-th move may not come before n times the time of a step after any move before it.
                at = move.seconds - number * seconds
                slack = 1e-6 if move.cause is Cause.WAVEFORM else SLACK_SECONDS
                if at < earliest - slack:
                    found.append(f"{place}: {earliest - at:.3f} s too soon at {move.seconds:.3f} s")
                earliest = max(earliest, at)
            level = move.level
    return found


def levels_over_time(rack: Rack, record: Path, visit: Callable[[dict[Place, float]], None]) -> None:
    """Call a function with the levels of all parameters after each change of one."""
    levels = {place: 0.0 for group in rack.parameters for place in rack.places(group)}
    for move in read_moves(record):
        if move.place in levels:
            levels[move.place] = move.level
            visit(levels)
