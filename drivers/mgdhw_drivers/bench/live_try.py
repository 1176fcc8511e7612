"""One probe, live, with the time of each message: where time goes, and what overlaps."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from mgdhw.block import Part
from mgdhw.device import Capability
from mgdhw.device.interlock import require_closed
from mgdhw_drivers.bench.device import BenchDevice
from mgdhw_drivers.bench.dry_run import example_dataset, one_probe
from mgdhw_drivers.bench.instruments import Sent


@dataclass(frozen=True, slots=True)
class Phase:
    """What was sent in a part of a probe.

    Args:
        name: of the part.
        seconds: that it took.
        sent: messages, in the order in which they began; times from the beginning of the part.
    """

    name: str
    seconds: float
    sent: tuple[Sent, ...]

    @property
    def instrument_seconds(self) -> float:
        """Times of all messages together: more than `seconds` where instruments worked at the same time."""
        return sum(one.seconds for one in self.sent)

    @property
    def instruments(self) -> int:
        """Instruments that took part."""
        return len({one.instrument for one in self.sent})


@dataclass(frozen=True, slots=True)
class Trial:
    """One probe.

    Args:
        identities: answers to *IDN?, by instrument.
        phases: parts of the probe.
        outputs: of the sample that was applied.
        cost: of it.
        probes_per_second: of single probes.
        timed_per_second: of hardware-timed probes, if the rack has them.
    """

    identities: dict[str, str]
    phases: tuple[Phase, ...]
    outputs: tuple[float, ...]
    cost: float
    probes_per_second: float
    timed_per_second: float | None


TIMED_PROBES = 100
"""Of the hardware-timed block that is tried."""


async def try_rack(device: BenchDevice, amplitude: int = 1) -> Trial:
    """Open a rack, make one probe around the parameters that it holds, and leave it safe.

    Args:
        device: closed.
        amplitude: of the perturbation, in steps of a parameter.
    """
    phases: list[Phase] = []
    record: list[Sent] = []
    began = 0.0

    def start() -> None:
        nonlocal began
        record.clear()
        device.instruments.record = record
        began = time.perf_counter()

    def end(name: str) -> None:
        took = time.perf_counter() - began
        sent = sorted(record, key=lambda one: one.began)
        phases.append(
            Phase(name, took, tuple(Sent(one.instrument, one.text, one.began - began, one.seconds) for one in sent))
        )

    start()
    async with device:
        end("open")
        info = device.info
        await device.load(example_dataset(info))
        sample = np.zeros(1, dtype=np.int64)
        await require_closed(device.interlocks, device.uri)
        theta = await device.read()
        room = 2 * amplitude * np.asarray(info.theta_lsb)
        at = np.clip(theta, info.theta_min + room, info.theta_max - room)
        await device.write(at)
        start()
        await device.write(at + amplitude * np.asarray(info.theta_lsb))
        end("write θ + θ̃")
        start()
        cost = await device.acquire(sample, 0, Part.PLUS)
        end("apply a sample and measure")
        start()
        await device.write(at)
        end("write θ back")
        start()
        outputs = await device.infer(sample)
        end("measure again, same sample; ask for errors")
        device.instruments.record = None
        size = 5
        starting = time.perf_counter()
        await device.probe_with_host_codes(one_probe(info, size, amplitude))
        single = size / (time.perf_counter() - starting)
        timed = None
        if Capability.PROBE in info.capabilities:
            start()
            await device.probe(one_probe(info, TIMED_PROBES, amplitude))
            end(f"a hardware-timed block of {TIMED_PROBES} probes")
            timed = TIMED_PROBES / phases[-1].seconds
        start()
    end("safe state and close")
    device.instruments.record = None
    identities = {name: one.identity for name, one in device.instruments.resources.items()}
    return Trial(identities, tuple(phases), tuple(outputs[0].tolist()), float(cost), single, timed)
