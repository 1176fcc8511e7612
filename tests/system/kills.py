"""A training is killed at random instants, its start and its first compilation included, and goes on all the same.

`python -m tests.system.kills [N]` kills N processes. Each begins a run or resumes one, and is killed at an instant that
is drawn from the time that such a process takes; one scenario in twenty has no machine code yet. At the end of each
scenario the run is trained to its end. Violations are a folder that cannot be used, another digest, another best θ, an
error that is none of mgdhw's, a run that has come twice, and a leftover that is not tidied.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mgdhw.runs import Run
from mgdhw.runs.create import LEFT_SECONDS, tidy
from mgdhw.training.results import Result

from .faults import command, say_now

EXPERIMENT = """
name = "killed"
[device]
uri = "sim:analog-8bit?layers=2-3-1"
[data]
name = "xor"
[training]
probes = 6000
tau_theta = 20
[run]
checkpoint_seconds = 0.02
block = 10
"""
SECONDS = 300.0
"""How long anything may take, on a machine that is busy with other things."""
COLD = 20
"""One in so many scenarios has to compile."""
MOST_KILLS = 5
"""Of one scenario."""


class Host:
    """Trains in processes of its own, in a folder, with machine code in another."""

    def __init__(self, folder: Path, code: Path) -> None:
        self.folder, self.code = folder, code
        folder.mkdir()
        (folder / "experiment.toml").write_text(EXPERIMENT)

    def start(self) -> subprocess.Popen[str]:
        """Begin the training, or go on with it."""
        runs = self.runs()
        arguments = ["--resume", str(runs[0])] if runs else ["experiment.toml"]
        return subprocess.Popen(
            command("train", *arguments, "--json", "--quiet"),
            cwd=self.folder,
            env={**os.environ, "NUMBA_CACHE_DIR": str(self.code)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def runs(self) -> list[Path]:
        """What a user sees."""
        return sorted(path.relative_to(self.folder) for path in self.folder.glob("runs/[!.]*"))

    def leftovers(self) -> list[Path]:
        """What a user does not see."""
        return list(self.folder.glob("runs/.*"))


def undisturbed(folder: Path, code: Path) -> float:
    """Seconds of a training that nobody kills."""
    began = time.monotonic()
    process = Host(folder, code).start()
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, err
    return time.monotonic() - began


class Instants:
    """Draws when to kill: from how long processes of a kind have taken of late, on a machine that is busy or not."""

    def __init__(self, draw: random.Random, seconds: float) -> None:
        self.draw = draw
        self._first = seconds
        self._seconds: dict[str, float] = {}

    def of(self, kind: str) -> float:
        """Seconds after its start."""
        return self.draw.uniform(0.0, self._seconds.setdefault(kind, self._first))

    def learn(self, kind: str, ended_after: float | None) -> None:
        """One has ended by itself after so many seconds, or was killed."""
        self._seconds[kind] = 1.03 * self._seconds[kind] if ended_after is None else ended_after


def play(instants: Instants, host: Host, kills: int, wanted: Result) -> tuple[Counter[str], list[str]]:
    """One scenario: where processes were killed, and what did not hold."""
    where: Counter[str] = Counter()
    broken: list[str] = []
    while where.total() < kills and not broken:
        kind = "resumes" if host.runs() else "begins"
        began = time.monotonic()
        process = host.start()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=instants.of(kind))  # a random instant is what is wanted
        process.kill()
        _, err = process.communicate(timeout=SECONDS)
        if process.returncode == 0:  # it was faster, and the run is over
            instants.learn(kind, time.monotonic() - began)
            shutil.rmtree(host.folder / "runs")
            continue
        instants.learn(kind, None)
        if process.returncode > 0:
            broken.append(f"it ended by itself: {err.strip()[-300:]}")
        runs = host.runs()
        if not runs:
            where["before there was a run" + (" (a leftover was there)" if host.leftovers() else "")] += 1
        elif not list((host.folder / runs[0]).glob("checkpoint-*.npz")):
            where["before its first checkpoint"] += 1
        else:
            where["between its first checkpoint and its end"] += 1
    process = host.start()
    out, err = process.communicate(timeout=SECONDS)
    if process.returncode != 0:
        broken.append(f"unusable: {err.strip()[-300:]}")
    elif json.loads(out)["digest"] != wanted.digest:
        broken.append("another digest")
    elif json.loads(out)["best"] != wanted.summary()["best"]:
        broken.append("another best")
    elif Run(host.folder / host.runs()[0]).best().state.step != json.loads(out)["best"]["step"]:
        broken.append("the θ of another best")
    if len(host.runs()) != 1:
        broken.append(f"{len(host.runs())} runs")
    for left in host.leftovers():
        old = time.time() - 2 * LEFT_SECONDS
        os.utime(left, (old, old))
    tidy(host.folder / "runs")
    if host.leftovers():
        broken.append(f"not tidied: {', '.join(path.name for path in host.leftovers())}")
    return where, broken


def main(count: int, tell: Callable[[str], object], seed: int = 0) -> int:
    """Kill so many processes; the number of violations."""
    import mgdhw

    draw = random.Random(seed)
    where: Counter[str] = Counter()
    violations, scenarios = 0, 0
    with tempfile.TemporaryDirectory() as place:
        folder, code = Path(place), Path(place) / "code"
        cold = undisturbed(folder / "cold", code)
        warm = undisturbed(folder / "warm", code)
        compiling, others = Instants(draw, cold), Instants(draw, warm)
        wanted = mgdhw.train(folder / "cold" / "experiment.toml", runs=None)
        tell(f"a training takes {cold:.1f} s with its first compilation, {warm:.1f} s without")
        while where.total() < count:
            kills = min(draw.randint(1, MOST_KILLS), count - where.total())
            compiles = scenarios % COLD == 0
            host = Host(folder / "host", folder / "other code" if compiles else code)
            found, broken = play(compiling if compiles else others, host, kills, wanted)
            where += found
            violations += len(broken)
            how = "holds" if not broken else "NO: " + "; ".join(broken)
            tell(f"{scenarios:4}  {'compiles' if compiles else '':8}  {found.total()} kills  {how}")
            scenarios += 1
            shutil.rmtree(host.folder)
            shutil.rmtree(folder / "other code", ignore_errors=True)
    for name, times in sorted(where.items()):
        tell(f"{name:50} {times:6}")
    tell(f"{where.total()} kills in {scenarios} scenarios: {violations} violations")
    return violations


# --- at every operation ----------------------------------------------------------------------------------------------

OPERATIONS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "sqlite3.connect")
"""What Python says before it does it to a file."""


def die_before(number: int, folder: str) -> None:
    """End this process before its so many-th operation on what lies in a folder, as a kill would."""
    import signal

    done = 0

    def count(event: str, given: tuple[Any, ...]) -> None:
        nonlocal done
        if event in OPERATIONS and str(given[0]).startswith(folder):
            done += 1
            if done == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def in_child(work: Callable[[], object]) -> int:
    """The exit status of a process that does some work, forked from this one, which must have one thread only."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def every_operation(tell: Callable[[str], object], stride: int = 1) -> int:
    """Kill a training, and a resume, before each of their operations on files; the number of violations."""
    import mgdhw
    import mgdhw_sim.device  # noqa: F401  (so that children have it)

    experiment: dict[str, Any] = {
        "name": "killed",
        "device": {"uri": "sim:analog-8bit?layers=2-2-1&engine=reference"},
        "data": {"name": "xor"},
        "training": {"probes": 40, "tau_theta": 20},
        "evaluation": {"every": 20},
        "run": {"checkpoint_seconds": 1e-9, "block": 20},
    }
    violations = points = 0
    with tempfile.TemporaryDirectory() as place:
        runs, found = Path(place) / "runs", Path(place) / "digest"

        def train() -> None:
            """Begin, or resume, what there is."""
            begun = list(runs.glob("[!.]*"))
            result = mgdhw.train(resume=begun[0]) if begun else mgdhw.train(experiment, runs=runs)
            assert result.run is not None
            found.write_text(f"{result.digest}, best: {result.best}, {Run(result.run).best().state.theta.tolist()}")

        def killed(number: int) -> None:
            die_before(number, str(runs))
            train()

        assert in_child(train) == 0
        wanted = found.read_text()
        begun = Path(place) / "begun"  # with a run in it that was killed in the middle
        for resumes in (False, True):
            for number in range(1, 10_000, stride):
                shutil.rmtree(runs, ignore_errors=True)
                if resumes:
                    shutil.copytree(begun, runs)
                if in_child(lambda number=number: killed(number)) == 0:
                    break
                points += 1
                if not resumes and list(runs.glob("*/checkpoint-0.npz")) and not list(runs.glob("*/checkpoint-2*")):
                    shutil.rmtree(begun, ignore_errors=True)
                    shutil.copytree(runs, begun)
                found.write_text("")
                code = in_child(train)
                if code != 0 or found.read_text() != wanted or len(list(runs.glob("[!.]*"))) != 1:
                    violations += 1
                    what = "resuming" if resumes else "beginning"
                    tell(f"killed before operation {number} of {what}: exit code {code}, {found.read_text()!r}")
    tell(f"killed before each of {points} operations on files: {violations} violations")
    return violations


if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    wrong = every_operation(say_now)
    sys.exit(min(1, wrong + main(number, say_now)))
