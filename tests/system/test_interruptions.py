"""Whatever ends a training, it goes on to the same bits."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals are sent the POSIX way")

ACKNOWLEDGED = "stopping after this block; press Ctrl-C again to stop immediately\n"


def only_run(folder: Path) -> Path:
    (run,) = (folder / "runs").iterdir()
    return run


@posix
@pytest.mark.long
def test_killed_at_three_random_points(
    folder: Path, start: Any, mgdhw: Any, reach: Any, summary: Any, digest_of: Any
) -> None:
    steps = sorted(random.sample(range(60_000), 3))
    arguments = ["train", "longer.toml"]
    for step in steps:
        process = start(*arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        reach(process, folder / "runs", step)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        arguments = ["train", "--resume", str(only_run(folder))]
    done = summary(mgdhw(*arguments, "--json"))
    assert done["digest"] == digest_of(folder / "longer.toml"), f"killed at {steps}"
    assert done["reason"] == "done"
    sessions = json.loads((only_run(folder) / "provenance.json").read_text())["sessions"]
    assert 1 <= len(sessions) <= 3  # one that was killed while it began has said nothing yet
    assert not list(only_run(folder).glob(".*.tmp"))


@posix
@pytest.mark.parametrize(
    ("number", "code"),
    [(2, 130), (15, 143), pytest.param(1, 129, marks=pytest.mark.long)],
    ids=["SIGINT", "SIGTERM", "SIGHUP"],
)
def test_a_clean_stop(
    folder: Path, start: Any, mgdhw: Any, reach: Any, summary: Any, digest_of: Any, number: int, code: int
) -> None:
    process = start("train", "longer.toml")
    reach(process, folder / "runs", 100)
    process.send_signal(number)
    out, err = process.communicate()
    assert (process.returncode, err) == (code, ACKNOWLEDGED)
    found = re.search(r"stopped at probe ([\d,]+) of 100,000; resume with:\n  mgdhw (train --resume \S+)\n", out)
    assert found is not None, out
    resumed = summary(mgdhw(*found[2].split(), "--json"))
    assert resumed["digest"] == digest_of(folder / "longer.toml")


@posix
def test_stopped_twice_is_at_once(
    folder: Path, start: Any, mgdhw: Any, reach: Any, summary: Any, digest_of: Any
) -> None:
    process = start("train", "longer.toml", "--set", "run.block=20", "--json")
    reach(process, folder / "runs", 100)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    # Two signals that are sent at once may arrive as one; either way nothing is lost.
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "resume with: mgdhw train --resume" in err or json.loads(out)["reason"] == "stopped"
    assert summary(mgdhw("train", "--resume", str(only_run(folder)), "--json"))["digest"] == digest_of(
        folder / "longer.toml"
    )


def test_a_stopped_run_says_so_in_json(folder: Path, start: Any, reach: Any) -> None:
    process = start("train", "longer.toml", "--json", "--quiet")
    reach(process, folder / "runs", 100)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate()
    assert (process.returncode, err) == (143, ACKNOWLEDGED)
    assert json.loads(out)["reason"] == "stopped"


def test_a_damaged_checkpoint(folder: Path, start: Any, mgdhw: Any, reach: Any, summary: Any, digest_of: Any) -> None:
    process = start("train", "longer.toml", stdout=subprocess.DEVNULL)
    reach(process, folder / "runs", 2000)
    process.kill()
    process.wait()
    run = only_run(folder)
    newest, *older = sorted(run.glob("checkpoint-*.npz"), key=lambda path: -int(path.stem.split("-")[1]))
    kept = [path.read_bytes() for path in older]
    for path in (newest, *older):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused = mgdhw("train", "--resume", str(run))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert re.search(r"none of its \d checkpoints can be read", refused.stderr)
    for path, content in zip(older, kept, strict=True):
        path.write_bytes(content)
    resumed = mgdhw("train", "--resume", str(run), "--json")
    assert f"{newest.name}: is damaged" in resumed.stderr
    assert summary(resumed)["digest"] == digest_of(folder / "longer.toml")


def test_two_processes_on_one_run(folder: Path, start: Any, mgdhw: Any, reach: Any) -> None:
    process = start("train", "long.toml", "--set", "training.probes=10_000_000", stdout=subprocess.DEVNULL)
    reach(process, folder / "runs", 0)
    second = mgdhw("train", "--resume", str(only_run(folder)))
    assert second.returncode == 1
    assert "is being written by another process" in second.stderr
    evaluated = mgdhw("evaluate", str(only_run(folder)), "--json")
    assert evaluated.returncode == 0, evaluated.stderr
    assert process.poll() is None


# --- a full disk -----------------------------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize("limit", [0, 4096, 90_000], ids=["at once", "at the database", "in the middle"])
def test_a_full_disk(
    folder: Path, mgdhw: Any, summary: Any, digest_of: Any, unmeasured: dict[str, str], limit: int
) -> None:
    def small_disk() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    failed = mgdhw("train", "long.toml", "--json", preexec_fn=small_disk, env=unmeasured)
    assert (failed.returncode, failed.stdout) == (1, ""), failed.stderr
    assert "Traceback" not in failed.stderr
    assert "cannot be written: " in failed.stderr
    runs = list((folder / "runs").iterdir())
    if limit == 0:
        assert runs == []
        return
    assert f"mgdhw train --resume runs/{runs[0].name}" in failed.stderr
    resumed = summary(mgdhw("train", "--resume", str(runs[0]), "--json"))
    assert resumed["digest"] == digest_of(folder / "long.toml")
