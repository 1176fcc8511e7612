"""Seeded scenarios of whoever may fail, with real processes and a recorder at the hardware.

Play N of them with `python -m tests.system.scenarios [N]`, and against the C core with
`python -m tests.system.scenarios N build/mgdhw-host` (`make` in drivers/mgdhw_drivers/firmware).

In each, `mgdhw train` runs against a board in another process, and something happens in the middle of it: the host is
killed or frozen, the board is told to end, killed or frozen, the cable is pulled or falls silent, or strangers come,
with what they have recorded, too. Then:

- the hardware comes to its safe state in bounded time, and whoever asks the board is told so;
- the recorder has seen no parameter move further at once, or sooner, than its limits allow, from beginning to end;
- the training, resumed where it ended, comes to the digest of the undisturbed one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mgdhw.device import open_device
from mgdhw.errors import DeviceError
from mgdhw_drivers.client.device import LinkedDevice
from mgdhw_drivers.protocol.messages import Identify, Identity
from mgdhw_drivers.protocol.numbers import State, Type
from mgdhw_drivers.transports import secret
from tests.helpers.waiting import wait_until

from .faults import command, say_now
from .recorded import CHIP, INTERVAL, SECONDS, SLEW, Recorded
from .relay import Relay
from .strangers import attack

SAFE_SECONDS = 15.0
"""In which the hardware is to be safe: the dead-man, the ramp, and a busy machine."""
DEAD_MAN = 0.6
EXPERIMENT = """
name = "scenario"
[device]
uri = "{chip}"
[data]
name = "xor"
[training]
probes = {probes}
tau_theta = 20
[codes]
delta = 0.0625
[evaluation]
every = 200
[run]
checkpoint_seconds = 0.05
block = 10
level = "{level}"
retries = 6
"""
PROBES = {"host-codes": 160, "device-codes": 600, "learn": 600}
HAPPENINGS = (
    "host killed",
    "host frozen",
    "board told to end",
    "board killed",
    "board frozen",
    "cable pulled",
    "cable silent",
    "attacked",
)


@dataclass(frozen=True)
class Scenario:
    """What happens in one training.

    Args:
        seed: of everything.
        transport: tcp, unix or pty.
        level: of delegation.
        happening: one of HAPPENINGS.
        moment: share of the training after which it happens.
    """

    seed: int
    transport: str
    level: str
    happening: str
    moment: float

    @classmethod
    def of(cls, seed: int, *, learns: bool) -> Scenario:
        """The scenario of a seed, for a board that learns by itself, or doesn't."""
        draw = random.Random(seed)
        happening = HAPPENINGS[seed % len(HAPPENINGS)]
        levels = tuple(PROBES) if learns else ("host-codes", "device-codes")
        level = levels[draw.randrange(len(levels))]
        wired = happening in ("cable pulled", "cable silent", "attacked")
        transport = "tcp" if wired else ("tcp", "unix", "pty")[draw.randrange(3)]
        return cls(seed, transport, level, happening, draw.uniform(0.1, 0.7))


@dataclass
class Ending:
    """How a scenario went: what did not hold, and how long it took."""

    broken: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def demand(self, holds: bool, what: str) -> None:
        """Note what does not hold."""
        if not holds:
            self.broken.append(what)


def state_of(address: str) -> State:
    """What the board says of itself to somebody who only asks. Raises DeviceError."""
    device = open_device(f"{address}?reconnect={SAFE_SECONDS:g}")
    assert isinstance(device, LinkedDevice)

    async def ask() -> State:
        link = device.session.link
        deadline = time.monotonic() + SAFE_SECONDS
        while True:
            try:
                await link.connect()
                hello = Identify(secrets.randbits(32) or 1, 0, link.connection.max_payload, 0)
                (answer,) = await link.ask([(Type.IDENTIFY, hello.pack())])
                return State(Identity.unpack(answer).state)
            except DeviceError:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.05)
            finally:
                await link.disconnect()

    return asyncio.run(ask())


# --- one scenario ----------------------------------------------------------------------------------------------------


class Player:
    """Goes through one scenario.

    Args:
        scenario: which.
        folder: an empty one.
        wanted: the digest to come to.
        program: the C core's; None: the served chip.
    """

    def __init__(self, scenario: Scenario, folder: Path, wanted: str, program: Path | None) -> None:
        self.scenario, self.folder, self.wanted = scenario, folder, wanted
        self.board = Recorded(scenario.transport, folder, program)
        self.ending = Ending()
        self.host: subprocess.Popen[str]
        self.relay: Relay | None = None

    def play(self) -> Ending:
        """To its end."""
        began = time.monotonic()
        self.board.start()
        with contextlib.ExitStack() as stack:
            stack.callback(self.board.end, signal.SIGKILL)
            if self.scenario.transport == "tcp":
                self.relay = stack.enter_context(Relay(self.board.port))
            path = write_experiment(self.folder, self.scenario.level)
            self.start_host(str(path))
            stack.callback(self._end_host)
            self._wait_for_the_moment()
            getattr(self, "_" + self.scenario.happening.replace(" ", "_"))()
            self.finish()
            self._demand_safe("after the training")
            self.board.end(signal.SIGTERM)
            self.ending.demand(self.board.is_safe(), "not safe after the board's end")
        largest, soonest = self.board.worst()
        self.ending.demand(0 < largest <= SLEW, f"a parameter moved by {largest} codes at once, {SLEW} are allowed")
        self.ending.demand(soonest >= 1e6 * INTERVAL, f"a parameter moved again after {soonest} µs")
        self.ending.seconds = time.monotonic() - began
        return self.ending

    def address(self) -> str:
        """Where the host finds the board."""
        options = f"dead_man={DEAD_MAN}&reconnect=20"
        if self.relay is None:
            return f"{self.board.address}?{options}"
        return f"tcp:127.0.0.1:{self.relay.port}?secret={secret.find(self.board.port)}&{options}"

    def start_host(self, *arguments: str) -> None:
        """Train, or resume."""
        with (self.folder / "host.log").open("a") as log:
            self.host = subprocess.Popen(
                command("train", *arguments, "--device", self.address(), "--json", "--quiet"),
                cwd=self.folder,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def resume(self) -> None:
        """Go on with the run."""
        (run,) = self.folder.glob("runs/[!.]*")
        self.start_host("--resume", str(run))

    def finish(self) -> None:
        """The training ends at the digest; resumed, if it has ended otherwise."""
        for _ in range(4):
            out, _ = self.host.communicate(timeout=SECONDS)
            if self.host.returncode == 0:
                self.ending.demand(json.loads(out)["digest"] == self.wanted, "another digest")
                return
            self._demand_safe("after the host's end")
            self.resume()
        self.ending.demand(False, f"the training does not end: {(self.folder / 'host.log').read_text()[-300:]}")

    def _wait_for_the_moment(self) -> None:
        """A checkpoint is there, so that the run can be resumed, and a share of the moves has been made."""
        moves = 40 + int(self.scenario.moment * 400)
        begun = wait_until(
            lambda: bool(list(self.folder.glob("runs/[!.]*/checkpoint*"))) and self.board.moved() > moves, SECONDS
        )
        self.ending.demand(begun, "the training does not begin")

    def _demand_safe(self, when: str) -> None:
        self.ending.demand(wait_until(self.board.is_safe, SAFE_SECONDS), f"the hardware is not safe {when}")
        if self.scenario.transport == "pty" and self.host.poll() is None:
            return  # whoever is frozen has the port for itself
        try:
            state = state_of(self.board.address)
            self.ending.demand(state is State.SAFE, f"the board says that it is {state.name} {when}")
        except DeviceError as error:
            self.ending.demand(False, f"the board does not answer {when}: {error}")

    def _end_host(self) -> None:
        if self.host.poll() is None:
            self.host.kill()
            self.host.communicate()

    # --- what happens --------------------------------------------------------------------------------------------

    def _host_killed(self) -> None:
        self.host.kill()
        self.host.communicate()
        self._demand_safe("after the host was killed")
        self.resume()

    def _host_frozen(self) -> None:
        self.host.send_signal(signal.SIGSTOP)
        self._demand_safe("while the host is frozen")
        self.host.send_signal(signal.SIGCONT)

    def _board_told_to_end(self) -> None:
        code = self.board.end(signal.SIGTERM)
        self.ending.demand(code == 0, f"the board ended with exit code {code}")
        self.ending.demand(self.board.is_safe(), "not safe after the board was told to end")
        self.board.start()
        self._meet_again()

    def _board_killed(self) -> None:
        self.board.end(signal.SIGKILL)
        self.board.start()
        self._meet_again()

    def _board_frozen(self) -> None:
        os.killpg(self.board.process.pid, signal.SIGSTOP)
        time.sleep(2 * DEAD_MAN)  # for as long as a machine that was put to sleep
        os.killpg(self.board.process.pid, signal.SIGCONT)

    def _cable_pulled(self) -> None:
        assert self.relay is not None
        self.relay.cut()

    def _cable_silent(self) -> None:
        assert self.relay is not None
        self.relay.fall_silent()

    def _attacked(self) -> None:
        assert self.relay is not None
        ended = threading.Event()
        crowd = [
            threading.Thread(target=attack, args=(self.board.port, bytes(self.relay.heard), ended)) for _ in range(3)
        ]
        for stranger in crowd:
            stranger.start()
        try:
            self.host.wait(timeout=SECONDS)
        finally:
            ended.set()
            for stranger in crowd:
                stranger.join()
        self.ending.demand(self.host.returncode == 0, "strangers ended the training")

    def _meet_again(self) -> None:
        """A board that comes back at another address, or with another secret, is another address for the host."""
        self.host.communicate(timeout=SECONDS)
        self._demand_safe("after the board came back")
        self.resume()


def write_experiment(folder: Path, level: str) -> Path:
    """The experiment as a file."""
    path = folder / "experiment.toml"
    path.write_text(EXPERIMENT.format(chip=CHIP, probes=PROBES[level], level=level))
    return path


def digests() -> dict[str, str]:
    """The digest of each length of training, in this process: that of every level."""
    import mgdhw

    found: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for level in PROBES:
            path = write_experiment(Path(folder), level)
            found[level] = mgdhw.train(path, runs=None, overrides=["run.level=host-codes"]).digest
    return found


def main(count: int, tell: Callable[[str], object], program: Path | None = None) -> int:
    """Play scenarios; the number of those that went wrong."""
    wanted, wrong = digests(), 0
    tell(f"{'seed':>4}  {'over':4} {'level':13} {'happening':18} {'seconds':>8}  holds")
    for seed in range(count):
        scenario = Scenario.of(seed, learns=program is not None)
        with tempfile.TemporaryDirectory() as folder:
            ending = Player(scenario, Path(folder), wanted[scenario.level], program).play()
        wrong += bool(ending.broken)
        tell(
            f"{scenario.seed:4}  {scenario.transport:4} {scenario.level:13} {scenario.happening:18}"
            f" {ending.seconds:8.1f}  {'yes' if not ending.broken else 'NO: ' + '; '.join(ending.broken)}"
        )
    tell(f"safe, and never faster than allowed, in {count - wrong} of {count} scenarios")
    return wrong


if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    sys.exit(main(number, say_now, Path(sys.argv[2]).resolve() if len(sys.argv) > 2 else None))
