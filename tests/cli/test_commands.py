"""Every command's help, and the small commands."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import typer

from mgdhw.cli import app as commands
from mgdhw.experiment.load import load_experiment


@pytest.mark.parametrize("command", ["train", "evaluate", "new", "devices", "check"])
def test_every_command_has_help_with_an_example(mgdhw: Any, command: str) -> None:
    done = mgdhw(command, "--help")
    assert done.code == 0
    assert f"Example: mgdhw {command}" in done.out


def test_help_lists_the_commands(mgdhw: Any) -> None:
    done = mgdhw("--help")
    assert done.code == 0
    for command in ("train", "evaluate", "new", "devices"):
        assert command in done.out


def test_version(mgdhw: Any) -> None:
    assert mgdhw("--version").out.startswith("mgdhw ")


def test_new_writes_the_packaged_experiment(mgdhw: Any, tmp_path: Path) -> None:
    done = mgdhw("new", "mine.toml")
    assert (done.code, done.out) == (0, "wrote mine.toml; train with: mgdhw train mine.toml\n")
    assert load_experiment(tmp_path / "mine.toml").name == "digits"
    again = mgdhw("new", "mine.toml")
    assert again.code == 1
    assert "mine.toml: already exists" in again.err
    assert mgdhw("new", "my own.toml").out.endswith("train with: mgdhw train 'my own.toml'\n")
    (tmp_path / "mine.toml").write_text("")
    assert mgdhw("new", "mine.toml", "--force").code == 0
    assert load_experiment(tmp_path / "mine.toml").name == "digits"


def test_commented_keys_show_their_defaults(mgdhw: Any, tmp_path: Path) -> None:
    """What is commented out in the packaged experiment says what holds without it."""
    mgdhw("new", "mine.toml")
    text = (tmp_path / "mine.toml").read_text()
    # No default: nothing, chosen, or what the driver declares.
    optional = ("every", "stop_at_accuracy", "stop_at_cost", "delta", "block", "settling", "average")
    lines = []
    for line in text.splitlines():
        key = line.removeprefix("# ").partition(" =")[0]
        bare = line.startswith("# ") and " = " in line and " " not in key and key not in optional
        lines.append(line.removeprefix("# ") if bare else line)
    (tmp_path / "all.toml").write_text("\n".join(lines))
    plain, spelt_out = load_experiment(tmp_path / "mine.toml"), load_experiment(tmp_path / "all.toml")
    assert spelt_out.data.options == {"seed": 0, "test_fraction": 0.2}
    assert spelt_out.model_copy(update={"data": plain.data}) == plain


def test_devices(mgdhw: Any) -> None:
    done = mgdhw("devices")
    assert done.code == 0
    assert "sim:analog-8bit" in done.out
    assert "8-bit parameters" in done.out
    assert not any(line.endswith(" ") for line in done.out.splitlines())
    drivers = json.loads(mgdhw("devices", "--json").out)["drivers"]
    (sim,) = [driver for driver in drivers if driver["scheme"] == "sim"]
    assert "sim:ideal-16bit" in sim["presets"]


@pytest.mark.parametrize("error", [AttributeError("no open_uri"), SyntaxError("bad"), ZeroDivisionError("of\ntheirs")])
def test_whatever_is_wrong_with_others_code(mgdhw: Any, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def load(self: EntryPoint) -> Any:
        raise error

    monkeypatch.setattr(EntryPoint, "load", load)
    monkeypatch.setattr(commands, "_contributed", lambda: {"lab": EntryPoint("lab", "lab:app", "mgdhw.commands")})
    problem = f"{type(error).__name__}: {' '.join(str(error).split())}"
    assert f"cannot be loaded: {problem}" in mgdhw("devices").out
    assert problem in mgdhw("--help").out
    assert problem in mgdhw("lab").err


def test_a_command_or_presets_that_are_none(mgdhw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EntryPoint, "load", lambda self: lambda: 7)
    monkeypatch.setattr(commands, "_contributed", lambda: {"lab": EntryPoint("lab", "lab:app", "mgdhw.commands")})
    assert "its devices cannot be listed: TypeError: 'int' object is not iterable\n" in mgdhw("devices").out
    assert "neither a typer.Typer nor a command" in mgdhw("lab").err
    assert mgdhw("--help").code == 0


def test_commands_of_other_packages(mgdhw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    points = {
        "bench": EntryPoint("bench", f"{__name__}:bench", "mgdhw.commands"),
        "gone": EntryPoint("gone", "no_such_package:app", "mgdhw.commands"),
    }
    monkeypatch.setattr(EntryPoint, "load", lambda self: bench if self.name == "bench" else __import__("no_such"))
    monkeypatch.setattr(commands, "_contributed", lambda: points)
    shown = mgdhw("--help").out
    assert "Things on the bench." in shown
    assert "Cannot be loaded" in shown
    assert mgdhw("bench").out == "on the bench\n"
    gone = mgdhw("gone")
    assert gone.code == 1
    assert "command 'gone'" in gone.err


bench = typer.Typer(help="Things on the bench.")


@bench.callback(invoke_without_command=True)
def show() -> None:
    typer.echo("on the bench")
