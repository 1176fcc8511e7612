"""Instruments in memory that speak what the example racks send, wired to one network of a few neurons."""

import asyncio
import re
from pathlib import Path

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.errors import DeviceFault, LinkLost
from mgdhw.topology import Topology
from mgdhw_drivers.bench.device import BenchDevice
from mgdhw_drivers.bench.load import parse_rack
from mgdhw_drivers.bench.rack import Instrument, Rack
from tests.helpers.paths import ROOT

Move = tuple[str, str, float, float]
"""Instrument, channel, from, to."""


def example(name: str, *changes: tuple[str, str]) -> Rack:
    """An example rack, with some of its text changed."""
    text = (ROOT / "examples" / "benches" / f"{name}.toml").read_text("utf-8")
    for before, after in changes:
        assert before in text, before
        text = text.replace(before, after)
    return parse_rack(text, name)


class FakeBench:
    """The instruments of a rack.

    Attributes:
        sent: every message, in order: instrument and text.
        moves: every change of a channel that holds a parameter.
        values: what channels hold.
        outputs_on: whether outputs are switched on, by instrument.
        readings: replaces the readings of what is measured next, one after the other.
        fail: an error for the next message that contains a text.
    """

    def __init__(self, rack: Rack) -> None:
        self.rack = rack
        self.topology = Topology.dense(rack.network.layers)
        self.values: dict[tuple[str, str], float] = {}
        self.sent: list[tuple[str, str]] = []
        self.moves: list[Move] = []
        self.readings: list[float] = []
        self.fail: dict[str, Exception] = {}
        self.absent: set[str] = set()
        self.waveforms: dict[str, FloatArray] = {}
        self.named: dict[tuple[str, str], float] = {}
        self.points = 1
        self.playing = False
        self.outputs_on: dict[str, bool] = {}
        self.errors: dict[str, list[str]] = {}
        self.tripped = "0"
        self.overload_at = -1
        self.delay = 0.0
        self.busy = self.most_busy = 0

    def device(self, uri: str = "bench:fake") -> BenchDevice:
        """The rack as a device."""
        return BenchDevice(uri, self.rack, Path("fake.toml"), lambda *arguments: FakeInstrument(self, *arguments))

    def set(self, instrument: str, channel: str, value: float) -> None:
        """Set a channel."""
        before = self.values.get((instrument, channel), 0.0)
        self.moves.append((instrument, channel, before, value))
        self.values[instrument, channel] = value

    def theta(self) -> FloatArray:
        """What the parameters are."""
        places = [place for group in self.rack.parameters for place in self.rack.places(group)]
        return np.array([self.values.get(place, 0.0) for place in places])

    def inputs(self) -> FloatArray:
        """What the inputs are."""
        places = [place for group in self.rack.inputs for place in self.rack.places(group)]
        return np.array([self.values.get(place, 0.0) for place in places])

    def output(self, theta: FloatArray, inputs: FloatArray) -> float:
        """The network's output."""
        if self.readings:
            return self.readings.pop(0)
        x = inputs
        for layer in self.topology.layers:
            weights = theta[layer.weights].reshape(layer.n_out, layer.n_in)
            x = 1 / (1 + np.exp(-(weights @ x + theta[layer.biases])))
        return float(x[0])

    def record(self) -> FloatArray:
        """What is read: now, or while waveforms are played."""
        if not self.playing:
            return np.full(self.points, self.output(self.theta(), self.inputs()))
        wave = np.array([self.waveforms[channel] for channel in sorted(self.waveforms, key=int)])
        n = self.rack.n_parameters
        hit, self.overload_at = self.overload_at, -1
        points, which = np.unique(wave.T.astype(np.float64), axis=0, return_inverse=True)
        found = np.array([self.output(point[:n], point[n:]) for point in points])[which.reshape(-1)]
        if hit >= 0:
            found[hit] = 9.9e37
        return found


class FakeInstrument:
    """One of them."""

    def __init__(self, bench: FakeBench, name: str, address: str, instrument: Instrument) -> None:
        self.bench, self.name, self.instrument = bench, name, instrument
        self.is_open = False
        self.identity = ""

    async def open(self) -> None:
        if self.name in self.bench.absent:
            raise LinkLost(f"{self.name} is absent", uri="bench:fake")
        self.is_open, self.identity = True, self.instrument.identity
        for message in self.instrument.initialise:
            await self.write(message)

    async def close(self) -> None:
        self.is_open = False

    async def write(self, message: str) -> None:
        assert self.is_open
        await self._take(message)

    async def query(self, message: str) -> str:
        assert self.is_open
        answers = [answer for answer in await self._take(message) if answer is not None]
        assert len(answers) == 1, message
        return answers[0]

    async def query_block(self, message: str) -> bytes:
        await self._take(message)
        return self.bench.record().astype(self.bench.rack.outputs[0].dtype).tobytes()

    async def write_block(self, header: str, data: bytes) -> None:
        await self._take(header)
        found = re.match(r"SOUR(\d+):DATA:(VOL|NAME) ?(\w*)", header)
        assert found is not None, header
        values = np.frombuffer(data, self.bench.rack.outputs[0].dtype)
        if found[2] == "VOL":
            self.bench.waveforms[found[1]] = values
        else:
            self.bench.named[found[1], found[3]] = float(values[-1])

    async def drain_errors(self) -> None:
        errors = self.bench.errors.pop(self.name, [])
        if errors:
            raise DeviceFault(f"{self.name} reports error {errors[0]}", uri="bench:fake")

    async def _take(self, message: str) -> list[str | None]:
        bench = self.bench
        bench.sent.append((self.name, message))
        if self.name in bench.absent:
            raise LinkLost(f"{self.name} is absent", uri="bench:fake")
        for text, error in list(bench.fail.items()):
            if text in message:
                del bench.fail[text]
                raise error
        if bench.delay:
            bench.busy += 1
            bench.most_busy = max(bench.most_busy, bench.busy)
            await asyncio.sleep(bench.delay)
            bench.busy -= 1
        return [self._command(part.strip().removeprefix(":")) for part in message.split(";")]

    def _command(self, text: str) -> str | None:
        bench, name = self.bench, self.name
        channels = _channels(text)
        if found := re.match(r"SOUR(\d*):VOLT ([-\d.,e]+)", text):
            targets = channels or [found[1] or "1"]
            values = [float(value) for value in found[2].rstrip(",").split(",")]
            for channel, value in zip(targets, values * (len(targets) if len(values) == 1 else 1), strict=True):
                bench.set(name, channel, value)
            return None
        if text.startswith("SOUR:VOLT?"):
            return ",".join(f"{bench.values.get((name, channel), 0.0):.4f}" for channel in channels or ["1"])
        if found := re.match(r"SOUR(\d+):FUNC:USER (\w+)", text):
            bench.values[name, found[1]] = bench.named[found[1], found[2]]
        elif text.startswith("SOUR:FUNC"):
            bench.playing = "ARB" in text
        elif text.startswith("OUTP") and "?" not in text:
            bench.outputs_on[name] = " ON" in text
        elif found := re.match(r"ACQ:POIN (\d+)", text):
            bench.points = int(found[1])
        elif text.startswith("READ?"):
            return f"{bench.record()[0]:.9e}"
        elif text.endswith("?") or "? " in text:
            if "TRIP" in text:
                return bench.tripped
            return str(int(bench.outputs_on.get(name, False))) if text.startswith("OUTP") else "1"
        return None


def _channels(text: str) -> list[str]:
    found = re.search(r"\(@([\d:,]+)\)", text)
    channels: list[str] = []
    for part in found[1].split(",") if found else []:
        first, _, last = part.partition(":")
        channels += [str(number) for number in range(int(first), int(last or first) + 1)]
    return channels
