"""Seeded scenarios of racks of instruments, over real sockets through pyvisa, with a recorder at the channels.

Play N of them with `python -m tests.system.bench_scenarios [N]`, or one with `… --only SEED`.

In each, one of the example racks is simulated and trained, and something goes wrong in the middle of it: an answer is
late, garbage, or only half there; a connection is closed; an instrument is switched off and on, has an error in its
queue, or reads an overload; an interlock opens; perturbed parameters would leave a limit; the program is killed. Then:

- the training completes to the digest of the undisturbed one, or ends with the error that belongs to what happened;
- the hardware is in its safe state (after a kill: once it was opened again), and the run resumes to the same digest;
- no parameter has moved further at once, or sooner, than the rack allows, from beginning to end.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import mgdhw
from mgdhw.block import Block, CodeSpec
from mgdhw.device import open_device
from mgdhw.errors import (
    DeviceError,
    DeviceFault,
    DeviceUnavailable,
    InterlockOpen,
    LimitExceeded,
    LinkError,
    Overload,
)
from mgdhw.random.sample_order import SampleOrder
from mgdhw_drivers.bench.simulate.faults import MessageFault, ReadingFault, ReplyFault
from tests.helpers.waiting import wait_until

from .bench_rig import PlannedFaults, Rig, levels_over_time, moves_too_fast
from .faults import command, say_now

CHIP = "analog-8bit?engine=reference"
PROBES = 64
TIMEOUT = "400 ms"
DELAY = 0.7
RACKS = ("source-and-scope", "source-measure-units", "generator-and-digitizer")
POWER = 0.006
"""W that all heaters together may take, in scenarios about limits; and the ohms that they have."""
OHMS = 1000.0
SAFE_SECONDS = 20.0
LINK = (LinkError, DeviceUnavailable)
ALLOWED: dict[str, tuple[type[Exception], ...]] = {
    "late": LINK,
    "garbage": (*LINK, DeviceFault),
    "half": LINK,
    "close": LINK,
    "reboot": LINK,
    "error": (DeviceFault,),
    "overload": (Overload,),
    "interlock": (InterlockOpen,),
    "limit": (LimitExceeded,),
    "perturbed": (LimitExceeded,),
    "killed": (),
}
"""What goes wrong, with the errors that a training may end with."""
EXPERIMENT: dict[str, Any] = {
    "name": "scenario",
    "data": {"name": "xor"},
    "training": {"probes": PROBES, "batch": 4, "tau_theta": 16, "init": "uniform", "init_scale": 1.0},
    "codes": {"family": "random", "delta": 0.25},
    "optimizer": {"name": "adam", "eta": 0.5},
    "evaluation": {"every": 32},
    "run": {"checkpoint_seconds": 0.02, "retries": 3},
}


@dataclass(frozen=True)
class Scenario:
    """What happens in one training.

    Args:
        seed: of everything.
        rack: name of an example.
        what: goes wrong; a key of ALLOWED.
    """

    seed: int
    rack: str
    what: str

    @classmethod
    def of(cls, seed: int) -> Scenario:
        """The scenario of a seed."""
        what = tuple(ALLOWED)[seed % len(ALLOWED)]
        rack = RACKS[seed // len(ALLOWED) % len(RACKS)]
        if what == "interlock":
            rack = "source-and-scope"
        elif what in ("limit", "perturbed"):
            rack = "source-measure-units"
        return cls(seed, rack, what)


@dataclass
class Ending:
    """How a scenario went: what did not hold, how it ended, what has happened, and how long it took."""

    broken: list[str] = field(default_factory=list)
    outcome: str = ""
    faults: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def demand(self, holds: bool, what: str) -> None:
        """Note what does not hold."""
        if not holds:
            self.broken.append(what)


def changes_for(rack: str, what: str = "") -> list[tuple[str, str]]:
    """What is changed in an example: short timeouts, slow ramps, a tight limit where a scenario is about it."""
    found = {
        "source-and-scope": [
            ('timeout = "2 s"', f'timeout = "{TIMEOUT}"'),
            ('identity = "SCOPE2"', f'identity = "SCOPE2"\ntimeout = "{TIMEOUT}"'),
            ('step_time = "1 ms"', 'step_time = "12 ms"'),
        ],
        "source-measure-units": [
            ('identity = "SMU1"', f'identity = "SMU1"\ntimeout = "{TIMEOUT}"'),
            ('identity = "SRC2"', f'identity = "SRC2"\ntimeout = "{TIMEOUT}"'),
            ('timeout = "5 s"', f'timeout = "{TIMEOUT}"'),
            ('step_time = "1 ms"', 'step_time = "12 ms"'),
        ],
        "generator-and-digitizer": [('timeout = "10 s"', f'timeout = "{TIMEOUT}"')],
    }[rack]
    return [*found, ('max = "400 mW"', f'max = "{POWER:g} W"')] if what in ("limit", "perturbed") else found


@cache
def undisturbed(rack: str) -> tuple[str, dict[str, Counter[str]]]:
    """Digest of the undisturbed training of an example, and how much each instrument was asked in it."""
    with tempfile.TemporaryDirectory() as folder, Rig(rack, changes_for(rack), Path(folder), CHIP) as rig:
        digest = mgdhw.train(EXPERIMENT, device=rig.uri, runs=None).digest
        return digest, {name: Counter(faults.seen) for name, faults in rig.faults.items()}


def plan(scenario: Scenario, faults: dict[str, PlannedFaults], asked: dict[str, Counter[str]]) -> None:
    """Put a scenario's faults where they belong: at instruments and moments drawn from its seed."""
    draw = random.Random(scenario.seed)

    def moment(name: str, kind: str) -> int:
        """A number of what an instrument is asked, in the middle of the training."""
        return int(asked[name][kind] * draw.uniform(0.35, 0.9))

    def some(kind: str) -> str:
        return draw.choice([name for name, seen in sorted(asked.items()) if seen[kind] > 4])

    replies = {"late": ReplyFault.LATE, "garbage": ReplyFault.GARBAGE, "half": ReplyFault.HALF}
    messages = {"close": MessageFault.CLOSE, "reboot": MessageFault.REBOOT, "error": MessageFault.ERROR}
    for _ in range(draw.choice((1, 1, 2, 3))):
        if scenario.what in replies:
            name = some("replies")
            faults[name].replies[moment(name, "replies")] = replies[scenario.what]
        elif scenario.what in messages:
            name = some("messages")
            faults[name].messages[moment(name, "messages")] = messages[scenario.what]
        elif scenario.what == "overload":
            name = some("readings")
            first = moment(name, "readings")
            for number in range(first, first + draw.choice((1, 2, 20))):
                faults[name].readings[number] = ReadingFault.OVERLOAD
    if scenario.what == "interlock":
        first = draw.randrange(1, 4)  # how often it is asked depends on how fast the machine is
        faults["source"].opens = (first, first + 1000)


def play(scenario: Scenario) -> Ending:
    """Play a scenario."""
    began = time.monotonic()
    ending = Ending()
    about_limits = scenario.what in ("limit", "perturbed")
    digest, asked = ("", {}) if about_limits else undisturbed(scenario.rack)
    changes = changes_for(scenario.rack, scenario.what)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Rig(scenario.rack, changes, folder, CHIP, DELAY) as rig:
            plan(scenario, rig.faults, asked)
            if scenario.what == "killed":
                found = _kill_and_resume(scenario, rig, folder, ending)
            elif scenario.what == "perturbed":
                found = _perturb_too_far(scenario, rig, ending)
            else:
                found = _train(rig, folder)
            _judge(scenario, found, digest, ending)
            ending.faults = rig.faults_so_far()
            safe = wait_until(lambda: not rig.unsafe(), 0.0 if scenario.what != "killed" else SAFE_SECONDS)
            ending.demand(safe, f"not safe: {', '.join(rig.unsafe()[:3])}")
        for what in moves_too_fast(rig.rack, rig.record)[:3]:
            ending.broken.append(f"moved too fast: {what}")
        if about_limits:
            powers: list[float] = []
            levels_over_time(
                rig.rack, rig.record, lambda levels: powers.append(sum(v * v for v in levels.values()) / OHMS)
            )
            ending.demand(max(powers, default=0.0) <= POWER * (1 + 1e-6), f"power of {max(powers, default=0.0):g} W")
    ending.seconds = time.monotonic() - began
    return ending


def _train(rig: Rig, folder: Path) -> str | Exception:
    """The digest of a training, or how it ended."""
    try:
        return mgdhw.train(EXPERIMENT, device=rig.uri, runs=folder / "runs").digest
    except Exception as error:
        return error


def _perturb_too_far(scenario: Scenario, rig: Rig, ending: Ending) -> str | Exception:
    """Ask for probes whose θ is within the limit, but not θ + θ̃: how that ended."""
    n = rig.rack.n_parameters
    draw = random.Random(scenario.seed)
    signs = np.array([draw.choice((-1.0, 1.0)) for _ in range(n)])
    theta = np.round(draw.uniform(0.9, 0.99) * np.sqrt(POWER * OHMS / n) * signs, 3)
    block = Block(0, 4, CodeSpec(seed=scenario.seed, amplitude=400), SampleOrder(1, 4, 2, 3))

    async def ask() -> str | Exception:
        async with open_device(rig.uri) as device:
            await device.load(mgdhw.load_dataset("xor"))
            await device.write(theta)
            before = sum(one.messages for one in rig.instruments)
            try:
                await device.probe(block)
            except LimitExceeded as error:
                after = sum(one.messages for one in rig.instruments)
                ending.demand(after == before, f"{after - before} messages were sent before it was refused")
                return error
        return "sent"

    return asyncio.run(ask())


def _judge(scenario: Scenario, found: str | Exception, digest: str, ending: Ending) -> None:
    if isinstance(found, str):
        ending.outcome = "completed"
        if scenario.what not in ("limit", "perturbed"):
            ending.demand(found == digest, f"digest {found}, undisturbed {digest}")
        ending.demand(scenario.what != "interlock", "trained with an open interlock")
        ending.demand(scenario.what != "perturbed", "θ + θ̃ beyond a limit was sent")
        return
    cause: BaseException | None = found
    ending.outcome = type(found).__name__
    while cause is not None and not isinstance(cause, ALLOWED[scenario.what]):
        cause = cause.__cause__
    ending.demand(cause is not None, f"ended with {type(found).__name__}: {found}")
    ending.demand(isinstance(found, DeviceError) and found.uri != "", f"not typed: {found!r}")


def _kill_and_resume(scenario: Scenario, rig: Rig, folder: Path, ending: Ending) -> str | Exception:
    """Kill a training in a process of its own, open its instruments again, and resume it here."""
    draw = random.Random(scenario.seed)
    experiment = folder / "scenario.toml"
    experiment.write_text(_toml(EXPERIMENT), "utf-8")
    busiest = max(rig.instruments, key=lambda one: one.name in ("source", "inputs", "generator"))
    enough = draw.randrange(20, 120)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    runs = folder / "runs"
    with subprocess.Popen(
        command("train", str(experiment), "--device", rig.uri, "--runs", str(runs), "--quiet"),
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        # Messages of opening and of the ramp come first; then there is a checkpoint.
        reached = wait_until(
            lambda: (
                process.poll() is not None or (busiest.messages >= enough and any(runs.glob("[!.]*/checkpoint-*.npz")))
            )
        )
        if not reached or process.poll() is not None:
            process.kill()
            assert process.stderr is not None
            return RuntimeError(f"the program did not come so far: {process.stderr.read().decode()}")
        process.send_signal(signal.SIGKILL)

    async def open_and_close() -> None:
        async with open_device(rig.uri):
            pass

    try:
        asyncio.run(open_and_close())
        ending.demand(not rig.unsafe(), f"not safe after opening again: {', '.join(rig.unsafe()[:3])}")
        (run,) = runs.glob("[!.]*")
        return mgdhw.train(resume=run, runs=runs).digest
    except Exception as error:
        return error


def _toml(values: dict[str, Any]) -> str:
    """A small experiment as TOML."""

    def text(value: Any) -> str:
        return f'"{value}"' if isinstance(value, str) else str(value)

    lines = [f"{key} = {text(value)}" for key, value in values.items() if not isinstance(value, dict)]
    for key, section in values.items():
        if isinstance(section, dict):
            lines += [f"[{key}]", *(f"{name} = {text(value)}" for name, value in section.items())]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Play scenarios; how many did not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", nargs="?", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--only", type=int, default=None)
    chosen = parser.parse_args(arguments)
    warnings.simplefilter("error")
    seeds = [chosen.only] if chosen.only is not None else list(range(chosen.first, chosen.first + chosen.count))
    failed = 0
    outcomes: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    for seed in seeds:
        scenario = Scenario.of(seed)
        ending = play(scenario)
        failed += bool(ending.broken)
        outcomes[f"{scenario.what}: {ending.outcome}"] += 1
        faults += ending.faults
        happened = ", ".join(f"{count} {name}" for name, count in ending.faults.items()) or "-"
        say_now(
            f"{seed:4d} {scenario.rack:24s} {scenario.what:10s} {happened:24s} {ending.outcome:14s}"
            f" {ending.seconds:5.1f} s  {'; '.join(ending.broken) or 'holds'}"
        )
    say_now(f"{len(seeds) - failed} of {len(seeds)} hold; faults: {dict(faults)}")
    for outcome, count in sorted(outcomes.items()):
        say_now(f"  {count:4d} {outcome}")
    return failed


if __name__ == "__main__":
    sys.exit(min(1, main()))
