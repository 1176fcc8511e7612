"""`mgdhw sim list` and `mgdhw sim show`, as commands."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mgdhw.errors import ConfigError
from mgdhw_sim.chip_file import load_chip
from mgdhw_sim.cli import app
from mgdhw_sim.ideal.presets import PRESETS as IDEAL
from mgdhw_sim.plot import draw
from mgdhw_sim.presets import PRESETS


def sim(*arguments: str) -> str:
    """What a command prints."""
    done = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "100"}, catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def test_every_command_has_help_with_an_example() -> None:
    assert "Example: mgdhw sim list" in sim("list", "--help")
    assert "Example: mgdhw sim show" in sim("show", "--help")


def test_the_list_has_every_preset() -> None:
    shown = sim("list").splitlines()
    names = [*PRESETS, *IDEAL]
    assert [line.split()[0] for line in shown if line.split()[:1] and line.split()[0] in names] == names
    assert not any(line.endswith(" ") for line in shown)
    found = json.loads(sim("list", "--json"))["presets"]
    assert [entry["name"] for entry in found] == names
    assert next(entry for entry in found if entry["name"] == "pcm")["address"] == "sim:pcm"
    (microring,) = (entry for entry in found if entry["name"] == "microring")
    assert microring["step_seconds"] == pytest.approx(4e-6, rel=0.01)  # with settling, as the table has it


@pytest.mark.parametrize("name", PRESETS)
def test_what_is_shown_is_the_chip(name: str, tmp_path: Path) -> None:
    assert sim("show", name).startswith(f"{name}: ")
    found = json.loads(sim("show", name, "--json"))
    assert found["identity"] == PRESETS[name].identity()
    file = tmp_path / "chip.toml"
    file.write_text(sim("show", f"sim:{name}", "--toml"), encoding="utf-8")
    assert load_chip(file) == PRESETS[name]


@pytest.mark.parametrize("chip", ["pcm", "thermo-optic", "rram?weight_bits=9&layers=2-3-1"])
def test_a_file_keeps_units_and_sources(chip: str) -> None:
    text = sim("show", chip, "--toml")
    lines = {line.partition(" = ")[0]: line for line in text.splitlines() if " = " in line and line[0] != "#"}
    told = text.splitlines()
    shown = json.loads(sim("show", chip, "--json"))["numbers"]
    assert len(lines) == len(shown)
    for number in shown:
        comment = lines[number["name"].rpartition(".")[2]].partition("  # ")[2]
        assert comment.startswith(number["unit"])
        mark = comment.rpartition("; ")[2]
        if mark.startswith("["):
            assert f"# {mark} {number['source']}" in told
        elif number["name"] != "name":
            assert mark == number["source"]
    assert "  # bit; given" in lines["weight_bits"] if "=9" in chip else "  # bit; assumed" in lines["weight_bits"]


def test_sources_are_told_and_what_was_given_says_so() -> None:
    shown = sim("show", "floating-gate?weight_bits=10")
    (line,) = [line for line in shown.splitlines() if line.startswith("weight_bits")]
    assert line.split() == ["weight_bits", "10", "bit", "given"]
    assert "101,780 cells" in shown
    assert "IEDM (2017)" in shown


def test_json_or_toml() -> None:
    with pytest.raises(ConfigError, match="choose one of them"):
        sim("show", "pcm", "--json", "--toml")
    with pytest.raises(ConfigError, match="did you mean 'pcm'"):
        sim("show", "pcn")


@pytest.fixture(scope="module")
def fonts(tmp_path_factory: pytest.TempPathFactory) -> None:
    """matplotlib keeps the files of the fonts that it has used open, as long as the process lives."""
    pytest.importorskip("matplotlib")
    draw(PRESETS["thermo-optic"], tmp_path_factory.mktemp("fonts") / "chip.png")


@pytest.mark.usefixtures("fonts")
@pytest.mark.parametrize("chip", ["analog-8bit", "rram", "microring?layers=4-2&cost=xent", "pcm?layers=300-20-2"])
def test_a_picture(chip: str, tmp_path: Path) -> None:
    picture = tmp_path / "chip.png"
    assert f"wrote {picture}" in sim("show", chip, "--plot", str(picture))
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("fonts")
def test_a_picture_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot write the figure"):
        sim("show", "analog-8bit", "--plot", str(tmp_path / "nowhere" / "chip.png"))
    with pytest.raises(ConfigError, match="cannot write the figure"):
        sim("show", "analog-8bit", "--plot", str(tmp_path / "chip.bin"))


@pytest.mark.usefixtures("fonts")
def test_a_picture_is_written_to_the_very_file(tmp_path: Path) -> None:
    picture = tmp_path / "chip"
    assert sim("show", "analog-8bit", "--plot", str(picture)).endswith(f"wrote {picture}\n")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert list(tmp_path.iterdir()) == [picture]


@pytest.mark.usefixtures("fonts")
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_picture_that_finds_no_room_says_so() -> None:
    with pytest.raises(ConfigError, match="/dev/full: cannot write the figure: No space left on device"):
        sim("show", "analog-8bit", "--plot", "/dev/full")


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    with pytest.raises(ConfigError, match=r"pip install 'mgdhw\[plot\]'"):
        sim("show", "analog-8bit", "--plot", str(tmp_path / "chip.png"))


def test_an_ideal_network_is_shown_layer_by_layer() -> None:
    shown = sim("show", "ideal-fashion")
    assert "7,318 parameters, 11,018 nodes" in shown
    assert [line.split()[0] for line in shown.splitlines()[3:6]] == ["conv3x3:4", "conv3x3:4", "maxpool2"]
    found = json.loads(sim("show", "sim:ideal?layers=2-3-1", "--json"))
    assert [stage["parameters"] for stage in found["stages"]] == [9, 4]
    with pytest.raises(ConfigError, match="an ideal network has no chip file"):
        sim("show", "ideal-fashion", "--toml")
