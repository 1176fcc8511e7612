"""One bit of a kept run flips: it is used to the same result, or refused with a reason.

`python -m tests.system.flips [N]` flips N bits, one at a time, over all files of runs that are finished, stopped and
killed, single ones and sets of replicas. After each the run is resumed and, if it can be, evaluated. What comes of it
is what comes of the whole run, or a typed error; anything else is a violation.
"""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import mgdhw
from mgdhw.errors import MgdhwError
from mgdhw.training.events import BlockDone, Event, ReplicaFinished, ReplicasEvent, ReplicasStarted, Started
from tests.helpers.paths import ROOT

from .faults import say_now

EXPERIMENT: dict[str, Any] = {
    "name": "flipped",
    "device": {"uri": "sim:analog-8bit?layers=2-3-1&retention=5000&drift_every=10"},
    "data": {"name": "xor"},
    "training": {"probes": 300, "batch": 4, "tau_theta": 20},
    "evaluation": {"every": 50},
    "run": {"checkpoint_seconds": 0.001, "block": 20},
}
REPLICAS = 3
KILLED = """
import os, signal, sys
import mgdhw
from mgdhw.training.events import BlockDone
from tests.system.flips import EXPERIMENT

def end(event):
    if isinstance(event, BlockDone) and event.step >= 160:
        os.kill(os.getpid(), signal.SIGKILL)

mgdhw.train(EXPERIMENT, runs=sys.argv[1], listeners=[end])
"""


@dataclass(frozen=True)
class Image:
    """A run as it was left.

    Args:
        name: how it was left.
        folder: of the run.
        replicas: of a set.
    """

    name: str
    folder: Path
    replicas: int | None

    def files(self) -> list[Path]:
        """Those with bits in them."""
        return sorted(path for path in self.folder.iterdir() if path.stat().st_size)


def images(folder: Path, *, killed: bool) -> list[Image]:
    """Make one run of each kind; one that was `killed` takes a process."""
    made = []
    for kind in ("finished", "stopped"):
        for replicas in (None, REPLICAS):
            session = mgdhw.TrainingHandle()

            def stop(event: object, kind: str = kind, session: mgdhw.TrainingHandle = session) -> None:
                over = isinstance(event, ReplicaFinished) or (isinstance(event, BlockDone) and event.step >= 160)
                if kind == "stopped" and over:
                    session.stop()

            train: Any = mgdhw.train if replicas is None else partial(mgdhw.train_replicas, replicas=replicas)
            how: dict[str, Any] = {"overrides": ["run.level=device-codes"], "listeners": [stop]}
            run = train(EXPERIMENT, runs=folder / kind, session=session, **how).run
            made.append(Image(f"{kind}, {'a set' if replicas else 'single'}", run, replicas))
    if killed and sys.platform != "win32":
        script = [sys.executable, "-c", KILLED, str(folder / "killed")]
        process = subprocess.run(script, cwd=ROOT, capture_output=True)
        assert process.returncode == -signal.SIGKILL, process.stderr.decode()
        (run,) = (folder / "killed").iterdir()
        made.append(Image("killed, single", run, None))
    return made


def results(image: Image, run: Path) -> tuple[dict[str, Any], bool]:
    """All that resuming and evaluating a run comes to, but for its place and the time it took; and whether all is well.

    Raises:
        MgdhwError: it is refused.
    """
    said: list[str] = []

    def listen(event: Event | ReplicasEvent) -> None:
        if isinstance(event, Started | ReplicasStarted):
            said.extend(note for note in event.notes if "nothing counts as solved" not in note)

    found: dict[str, Any] = {}
    if image.replicas is None:
        evaluated = mgdhw.evaluate(run)
        scores = evaluated.summary()["splits"] if evaluated.step == EXPERIMENT["training"]["probes"] else None
        result: Any = mgdhw.train(resume=run, listeners=[listen])
        found["scores"] = scores or mgdhw.evaluate(run).summary()["splits"]
    else:
        result = mgdhw.train_replicas(resume=run, replicas=image.replicas, listeners=[listen])
    said += [note for note in result.notes if "is finished" not in note]
    found.update({key: value for key, value in result.summary().items() if key not in ("seconds", "run")})
    return found, not said


def flip(path: Path, bit: int) -> None:
    """Flip one bit of a file."""
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def main(count: int, tell: Callable[[str], object], seed: int = 0, *, killed: bool = True) -> int:
    """Flip bits; the number of violations."""
    draw = random.Random(seed)
    outcomes: Counter[tuple[str, str]] = Counter()
    violations = 0
    with tempfile.TemporaryDirectory() as place:
        made = images(Path(place) / "whole", killed=killed)
        wanted = {}
        for image in made:
            copy = Path(place) / "wanted"
            shutil.copytree(image.folder, copy)
            wanted[image.name], _ = results(image, copy)
            shutil.rmtree(copy)
        singles = [wanted[image.name]["digest"] for image in made if image.replicas is None]
        assert len(set(singles)) == 1, "whole runs resume to one digest"
        for number in range(count):
            image = made[number % len(made)]
            path = draw.choice(image.files())
            bit = draw.randrange(8 * path.stat().st_size)
            copy = Path(place) / "flipped"
            shutil.copytree(image.folder, copy)
            flip(copy / path.name, bit)
            try:
                found, quiet = results(image, copy)
                if found == wanted[image.name]:
                    outcome = "the same result" if quiet else "the same result, and a word"
                else:
                    outcome = "ANOTHER RESULT"
            except MgdhwError as error:
                outcome = "refused" if path.name in str(error) or "checkpoint" in str(error) else "REFUSED NAMELESSLY"
                if outcome != "refused":
                    tell(f"{image.name}: {path.name} bit {bit}: {error}")
            except Exception as error:
                outcome = f"NO TYPED ERROR: {error!r}"
            if outcome != outcome.lower():
                violations += 1
                tell(f"{image.name}: {path.name} bit {bit}: {outcome}")
            kind = "checkpoint" if path.name.startswith("checkpoint-") else path.name
            outcomes[kind, outcome] += 1
            shutil.rmtree(copy)
    for (kind, outcome), times in sorted(outcomes.items()):
        tell(f"{kind:20} {outcome:30} {times:6}")
    tell(f"{count} bits flipped in {len(made)} runs: {violations} violations")
    return violations


if __name__ == "__main__":
    sys.exit(min(1, main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000, say_now)))
