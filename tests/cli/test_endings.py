"""What a training that ends early says, and with what code."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mgdhw.cli.progress import TerminalProgress
from mgdhw.report import console
from mgdhw.runs import Run
from mgdhw.training.events import BlockDone, Event, ReplicasAdvanced, Started
from mgdhw_sim.device import SimDevice

GOOD = 'name = "xor"\n[device]\nuri = "sim:analog-8bit?layers=2-3-1"\n[data]\nname = "xor"\n[training]\nprobes = 2000\n'


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[type[Event], Callable[[], object]], None]:
    """Has something done whenever the progress display hears of some event."""
    (tmp_path / "good.toml").write_text(GOOD)
    hear = TerminalProgress.__call__

    def at(kind: type[Event], work: Callable[[], object]) -> None:
        def listen(self: TerminalProgress, event: Event) -> None:
            hear(self, event)
            if isinstance(event, kind):
                work()

        monkeypatch.setattr(TerminalProgress, "__call__", listen)

    return at


def fail(error: BaseException) -> Callable[[], None]:
    def work() -> None:
        raise error

    return work


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def test_memory(mgdhw: Any, at: Any) -> None:
    at(BlockDone, fail(MemoryError("Unable to allocate 1 PiB")))
    done = mgdhw("train", "good.toml", "--quiet")
    assert done.code == 1
    message, note = done.err.splitlines()
    assert message.startswith("error: out of memory; reduce training.batch, run.block or")
    assert note.startswith("resume with: mgdhw train --resume runs/xor-")


def test_an_error_of_the_system_is_none_of_the_output(mgdhw: Any, at: Any) -> None:
    at(BlockDone, fail(OSError(5, "Input/output error")))
    done = mgdhw("train", "good.toml", "--quiet")
    assert done.code == 1
    assert done.err.startswith("error: Input/output error\nresume with: mgdhw train --resume ")


def test_a_traceback_says_how_to_go_on(mgdhw: Any, at: Any) -> None:
    at(BlockDone, fail(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError) as raised:
        mgdhw("train", "good.toml", "--quiet")
    assert raised.value.__notes__[0].startswith("resume with: mgdhw train --resume ")


def test_ctrl_c_is_acknowledged_at_once(mgdhw: Any, at: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def check() -> None:
        interrupt()
        assert capsys.readouterr().err == "stopping after this block; press Ctrl-C again to stop immediately\n"

    at(Started, check)
    done = mgdhw("train", "good.toml")
    assert done.code == 130
    assert "resume with:" in done.out
    assert not any(line.endswith(" ") for line in done.out.splitlines())


def test_ctrl_c_before_training(mgdhw: Any, at: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def opening(self: SimDevice) -> None:
        interrupt()

    monkeypatch.setattr(SimDevice, "connect", opening)
    done = mgdhw("train", "good.toml")
    assert (done.code, done.out, done.err) == (130, "", "stopped; no training was started\n")
    assert not (tmp_path / "runs").exists()


def test_ctrl_c_while_the_device_closes(mgdhw: Any, at: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    close, closed = SimDevice.disconnect, []

    async def closing(self: SimDevice) -> None:
        interrupt()
        await close(self)
        closed.append(self.uri)

    def twice() -> None:
        interrupt()
        interrupt()

    at(BlockDone, twice)
    monkeypatch.setattr(SimDevice, "disconnect", closing)
    done = mgdhw("train", "good.toml", "--quiet")
    assert done.code == 130
    assert len(closed) == 1
    assert done.err.splitlines()[:2] == [
        "stopping after this block; press Ctrl-C again to stop immediately",
        "closing the device…",
    ]
    assert "resume with:" in done.out + done.err  # one block was all that was left: it may stop cleanly


@pytest.mark.parametrize(
    "replicas", [[], pytest.param(["--replicas", "2"], marks=pytest.mark.long)], ids=["one", "replicas"]
)
def test_ctrl_c_while_it_is_told_how_to_go_on(
    mgdhw: Any, at: Any, monkeypatch: pytest.MonkeyPatch, replicas: list[str]
) -> None:
    """Somebody impatient presses it again, and the training has stopped meanwhile."""
    show = console.print_table

    def interrupted(out: Any, table: Any) -> None:
        interrupt()
        show(out, table)

    at(BlockDone if not replicas else ReplicasAdvanced, interrupt)
    monkeypatch.setattr(console, "print_table", interrupted)
    done = mgdhw("train", "good.toml", "--quiet", *replicas)
    assert done.code == 130
    assert done.out.count("mgdhw train --resume runs/xor-") == 1
    assert done.err == "stopping after this block; press Ctrl-C again to stop immediately\n"


def test_resuming_a_finished_run(mgdhw: Any, at: Any, tmp_path: Path) -> None:
    mgdhw("train", "good.toml", "--runs", "my runs")
    (run,) = (tmp_path / "my runs").iterdir()
    done = mgdhw("train", "--resume", run.name, "--runs", "my runs")
    assert (done.code, done.err) == (0, "")
    assert f"is finished; try its network with: mgdhw evaluate 'my runs/{run.name}'" in done.out
    again = mgdhw("train", "--resume", run.name, "--runs", "my runs", "--json")
    assert again.code == 0
    assert '"reason": "done"' in again.out
    assert "is finished" in again.err


def test_no_result_is_told_that_could_not_be_kept(mgdhw: Any, at: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Run.write_summary

    def full(self: Run, summary: dict[str, Any]) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Run, "write_summary", full)
    done = mgdhw("train", "good.toml", "--quiet", "--json")
    assert (done.code, done.out) == (1, "")
    assert "cannot be written: No space left on device" in done.err
    assert "mgdhw train --resume runs/xor-" in done.err
    monkeypatch.setattr(Run, "write_summary", write)
    run = next(Path("runs").iterdir())
    assert json.loads(mgdhw("train", "--resume", str(run), "--json", "--quiet").out)["reason"] == "done"
