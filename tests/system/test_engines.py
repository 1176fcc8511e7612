"""Engines as users meet them: a cold cache, several processes, no numba."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import mgdhw as library

from .conftest import SECONDS, environment

COMPILING = "compiling the chip for this machine (once)\n"
WITHOUT_NUMBA = "import sys; sys.modules['numba'] = None; from mgdhw.cli.main import main; main()"


@pytest.mark.long
def test_processes_that_begin_together_on_an_empty_cache(
    folder: Path, start: Any, mgdhw: Any, tmp_path: Path, unmeasured: dict[str, str]
) -> None:
    """Two of them with inputs of another type: the same functions, compiled for other arguments at the same time."""
    cached = {**unmeasured, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    cached.pop("NUMBA_CACHE_DIR", None)
    chips = [f"sim:analog-8bit?layers=2-3-1&input_bits={bits}" for bits in (8, 12)]

    def arguments(chip: str) -> tuple[str, ...]:
        return ("train", "short.toml", "--json", "--device", chip)

    processes = [start(*arguments(chip), env=cached) for chip in chips + chips]
    answers = [process.communicate(timeout=5 * SECONDS) for process in processes]
    digests = []
    for process, (out, err) in zip(processes, answers, strict=True):
        assert process.returncode == 0, err
        assert COMPILING in err
        digests.append(json.loads(out)["digest"])
    expected = [library.train(folder / "short.toml", device=f"{chip}&engine=reference", runs=None) for chip in chips]
    assert digests == 2 * [result.digest for result in expected]

    (version,) = (path for path in (tmp_path / "cache" / "mgdhw" / "kernels").iterdir() if path.is_dir())
    files = {path: path.stat().st_mtime_ns for path in version.iterdir()}
    assert files
    assert not [path for path in files if path.suffix == ".tmp"]
    for chip, result in zip(chips, expected, strict=True):
        warm = mgdhw(*arguments(chip), env=cached)
        assert json.loads(warm.stdout)["digest"] == result.digest
        assert COMPILING not in warm.stderr
    assert {path: path.stat().st_mtime_ns for path in version.iterdir()} == files


def test_where_numba_is_not(folder: Path, summary: Any, digest_of: Any) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-W", "error", "-c", WITHOUT_NUMBA, *arguments]
        return subprocess.run(
            command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=SECONDS, check=False
        )

    done = run("train", "short.toml")
    assert (done.returncode, done.stderr.count("numba cannot be had here")) == (0, 1)
    assert "reference engine" not in done.stdout
    quiet = run("train", "short.toml", "--json", "--quiet")
    assert quiet.stderr == ""
    assert summary(quiet)["digest"] == digest_of(folder / "short.toml")
    wanted = run("train", "short.toml", "--device", "sim:analog-8bit?layers=2-3-1&engine=numba")
    assert (wanted.returncode, wanted.stdout) == (1, "")
    assert wanted.stderr.startswith("error: engine=numba cannot be had here")
    assert run("evaluate", str(next((folder / "runs").iterdir()))).returncode == 0
