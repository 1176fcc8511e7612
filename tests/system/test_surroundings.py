"""What a process may find around it: closed streams, odd sizes, names that are no text, no home, numba's variables.

None of it ends in a traceback, and none changes a bit.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import SECONDS, command, environment

EXPERIMENT = """
name = "xor"
[device]
uri = "sim:analog-8bit?layers=2-3-1{options}"
[data]
name = "xor"
[training]
probes = 200
tau_theta = 20
"""
NO_HOME = "import os, pwd; pwd.getpwuid = {}.__getitem__; os.environ.pop('HOME', None); "
"""What a process of a user finds that the system does not know."""
ODD = {
    "COLUMNS": "0",
    "LINES": "-1",
    "TERMINAL_WIDTH": "wide",
    "TERM": "",
    "TMPDIR": "/nonexistent",
    "PYTHONIOENCODING": "ascii",
    "LC_ALL": "C",
    "PYTHONUTF8": "0",
    "PYTHONCOERCECLOCALE": "0",
    "PYTHONOPTIMIZE": "2",
    "PYTHONWARNINGS": "error",
    "XDG_CACHE_HOME": "/dev/null/cache",
}

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def digest() -> str:
    """Of the experiment, on the reference engine, in a process like any other."""
    import mgdhw
    from mgdhw.experiment.load import parse_experiment

    text = EXPERIMENT.format(options="&engine=reference")
    return mgdhw.train(parse_experiment(text, source="test"), runs=None).digest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "x.toml").write_text(EXPERIMENT.format(options="&engine=reference"))
    (tmp_path / "auto.toml").write_text(EXPERIMENT.format(options=""))
    return tmp_path


@pytest.fixture
def run(folder: Path) -> Run:
    """Runs `mgdhw` to its end, with changes to the environment; no command may end in a traceback."""

    def to_end(*arguments: str, cwd: str | Path = folder, shell: str = "", before: str = "", **variables: str):  # type: ignore[no-untyped-def]
        words = command(*arguments)
        words[words.index("-c") + 1] = before + words[words.index("-c") + 1]
        if shell:
            words = ["sh", "-c", f"exec {shlex.join(words)} {shell}"]
        done = subprocess.run(
            words, cwd=cwd, env=environment() | variables, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            errors="surrogateescape", timeout=SECONDS, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stdout + done.stderr, done.stderr
        return done

    return to_end


def kept(folder: Path) -> dict[str, Any]:
    """The summary of the one run that there is."""
    (file,) = folder.glob("runs/*/summary.json")
    found: dict[str, Any] = json.loads(file.read_bytes())
    return found


# --- streams ----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="shells")
@pytest.mark.parametrize("shell", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams(run: Run, folder: Path, digest: str, shell: str) -> None:
    done = run("train", "x.toml", "--json", shell=shell)
    assert done.returncode == 0
    assert kept(folder)["digest"] == digest
    assert (json.loads(done.stdout)["digest"] == digest) if shell == "2>&-" else done.stdout == ""
    (database,) = folder.glob("runs/*/metrics.sqlite")
    assert database.read_bytes().startswith(b"SQLite format 3\0")  # and nothing was printed into it
    if "2" in shell:  # where errors are told
        assert run("train", "none.toml", shell=shell).returncode == 1


# --- sizes, encodings, Python's own variables ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "x.toml"),
        ("train", "--help"),
        pytest.param(("sim", "show", "pcm"), marks=pytest.mark.long),
        pytest.param(("estimate", "x.toml", "--preset", "pcm"), marks=pytest.mark.long),
    ],
    ids=lambda arguments: "-".join(arguments[:2]),
)
def test_everything_odd_at_once(run: Run, folder: Path, digest: str, arguments: tuple[str, ...]) -> None:
    done = run(*arguments, **ODD)
    assert (done.returncode, done.stderr) == (0, "")
    if arguments == ("train", "x.toml"):
        assert kept(folder)["digest"] == digest
        assert digest[:16] in done.stdout


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(ODD))
@pytest.mark.parametrize(
    "arguments",
    [("train", "x.toml"), ("--help",), ("train", "--help"), ("sim", "list"), ("devices",), ("new", "new.toml")],
    ids=lambda arguments: "-".join(arguments[:2]),
)
def test_everything_odd_by_itself(run: Run, name: str, arguments: tuple[str, ...]) -> None:
    done = run(*arguments, **{name: ODD[name]})
    assert (done.returncode, done.stderr) == (0, "")


# --- folders ------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names of files are text")
def test_a_folder_whose_name_is_no_text(run: Run, folder: Path, digest: str) -> None:
    here = folder / os.fsdecode(b"caf\xe9")
    here.mkdir()
    shutil.copy(folder / "x.toml", here)
    assert run("train", "x.toml", "--quiet", cwd=here).returncode == 0
    assert kept(here)["digest"] == digest
    (made,) = (here / "runs").iterdir()
    assert run("evaluate", str(made), cwd=folder).returncode == 0
    assert "is finished" in run("train", "--resume", str(made), cwd=folder).stdout
    # What would have to be named in a run's experiment.toml is told before anything is trained, and how to go on.
    (here / "chip.toml").write_text('layers = [2, 3, 1]\nengine = "reference"\n')
    refused = run("train", "x.toml", "--device", "sim:chip.toml", cwd=here)
    assert refused.returncode == 1
    assert r"\udce9 in this path is no UTF-8, so an experiment file cannot name it; rename" in refused.stderr
    refused = run("check", "sim:chip.toml", "--data", "xor", "--output", "out.toml", cwd=here)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "rename" in refused.stderr
    assert [path.name for path in (here / "runs").iterdir()] == [made.name]


def test_no_home(run: Run, folder: Path, digest: str) -> None:
    done = run("train", "x.toml", "--json", "--quiet", before=NO_HOME, XDG_CACHE_HOME="")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["digest"] == digest
    for arguments in (
        ("train", "x.toml", "--set", "data.name=npz:~/mine.npz"),
        ("train", "x.toml", "--device", "sim:~/mine.toml"),
        ("train", "x.toml", "--device", "tcp:127.0.0.1:9?secret=~/secret&reconnect=0"),
    ):
        refused = run(*arguments, before=NO_HOME, XDG_CACHE_HOME="")
        assert refused.returncode == 1
        assert "there is no such home folder here; write out the path, or set HOME" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", "x.toml", "--set", "data.name=fashion"), "no folder for a download: ~: there is no such home"),
        (("train", "x.toml", "--device", "tcp:127.0.0.1:9?reconnect=0"), "is the board (or `mgdhw serve`) running?"),
        (
            ("serve", "sim:analog-8bit", "--tcp", "0"),
            "has no home folder; name a folder of your own by MGDHW",
        ),
    ],
    ids=["fashion", "tcp", "serve"],
)
def test_what_needs_a_home_says_so(run: Run, arguments: tuple[str, ...], words: str) -> None:
    without = "from mgdhw.datasets import fashion; fashion.SYSTEM_FOLDER = fashion.Path('/nonexistent'); "
    refused = run(*arguments, before=NO_HOME + without, XDG_CACHE_HOME="", XDG_RUNTIME_DIR="", MGDHW_SECRETS="")
    assert refused.returncode == 1
    assert words in refused.stderr


@pytest.mark.skipif(os.name != "posix", reason="paths")
def test_a_home_that_is_none(run: Run, folder: Path, digest: str) -> None:
    done = run("train", "x.toml", "--json", "--quiet", HOME="/dev/null", XDG_CACHE_HOME="")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["digest"] == digest


@pytest.mark.skipif(sys.platform != "linux", reason="a folder where not even root may write")
def test_a_folder_that_cannot_be_written(run: Run, folder: Path) -> None:
    refused = run("train", str(folder / "x.toml"), cwd="/sys")
    assert refused.returncode == 1
    assert "runs folder runs: a run cannot be made there" in refused.stderr
    assert "--runs FOLDER" in refused.stderr


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a folder that is used stays")
def test_a_folder_that_is_gone(run: Run, folder: Path) -> None:
    (folder / "gone").mkdir()
    refused = run("train", "digits", cwd=folder / "gone", before="import os; os.rmdir(os.getcwd()); ")
    assert refused.returncode == 1
    assert "the working folder no longer exists; change to another one" in refused.stderr


def test_a_picture_that_cannot_be_drawn_here(run: Run) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is optional")
    refused = run("sim", "show", "pcm", "--plot", "pcm.png", MPLBACKEND="none-of-this-name")
    assert refused.returncode == 1
    assert "matplotlib cannot be used here" in refused.stderr
    assert "check MPLBACKEND" in refused.stderr


# --- numba's variables --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "variables",
    [
        {"NUMBA_DISABLE_JIT": "1"},
        {"NUMBA_NUM_THREADS": "0"},
        {"NUMBA_OPT": "nine"},
        {"NUMBA_CPU_FEATURES": "+time-travel"},
        {"NUMBA_CPU_NAME": "of-tomorrow", "NUMBA_CPU_FEATURES": ""},
    ],
    ids=lambda variables: next(iter(variables)),
)
def test_where_numba_cannot_be_used_the_reference_runs(
    run: Run, folder: Path, digest: str, variables: dict[str, str]
) -> None:
    done = run("train", "auto.toml", "--json", **variables)
    assert done.returncode == 0
    assert json.loads(done.stdout)["digest"] == digest
    assert "numba cannot be had here" in done.stderr
    assert next(iter(variables)) in done.stderr
    assert "the chip runs on the reference engine, which is slower" in done.stderr


def test_who_asks_for_numba_where_it_cannot_be_used_is_told(run: Run) -> None:
    refused = run("train", "x.toml", "--device", "sim:analog-8bit?layers=2-3-1&engine=numba", NUMBA_DISABLE_JIT="1")
    assert refused.returncode == 1
    assert "the environment has NUMBA_DISABLE_JIT=1); engine=auto does without" in refused.stderr
