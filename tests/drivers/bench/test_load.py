"""Rack files: what they may say, and how mistakes in them are named."""

import re
from pathlib import Path

import pytest

from mgdhw.errors import ConfigError
from mgdhw_drivers.bench.lines import key_lines, line_of
from mgdhw_drivers.bench.load import load_rack, parse_rack
from tests.drivers.bench.broken import BROKEN, Broken
from tests.helpers.paths import ROOT

EXAMPLES = sorted((ROOT / "examples" / "benches").glob("*.toml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_complete(path: Path) -> None:
    rack = load_rack(path)
    assert rack.network.topology(0).n_parameters == rack.n_parameters
    assert (rack.n_inputs, rack.n_outputs) == (2, 1)


def test_there_are_three_examples() -> None:
    assert len(EXAMPLES) == 3


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.name)
def test_mistakes_are_named_with_file_line_key_and_remedy(broken: Broken, tmp_path: Path) -> None:
    path = tmp_path / f"{broken.name}.toml"
    text = broken.text()
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError) as caught:
        load_rack(path)
    first = str(caught.value).splitlines()[0]
    found = re.fullmatch(rf"{re.escape(str(path))}, line (\d+): ([^ ]+): (.*)", first)
    assert found is not None, first
    assert found[2] == broken.key
    line = text.splitlines()[int(found[1]) - 1]
    assert broken.line in line, f"line {found[1]} is {line!r}"
    assert broken.remedy in found[3]


def test_every_mistake_is_named_at_once() -> None:
    text = (
        EXAMPLES[0].read_text("utf-8").replace('lsb = "1 mV"', 'lsb = "1 mA"').replace("points = 16\n", "points = 0\n")
    )
    with pytest.raises(ConfigError) as caught:
        parse_rack(text, "rack.toml")
    assert len(str(caught.value).splitlines()) == 2


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file; `mgdhw bench new"):
        load_rack(tmp_path / "rack.toml")


def test_a_set_of_instruments_stands_for_its_members() -> None:
    rack = load_rack(ROOT / "examples" / "benches" / "source-measure-units.toml")
    (group,) = rack.parameters
    assert [place.instrument for place in rack.places(group)] == [f"smu{n}" for n in range(1, 10)]
    assert rack.members("smu3") == ("smu3",)
    assert rack.members("smu10") == ()


def test_lines_of_keys() -> None:
    text = '# c\na = 1\n[b.c]\nd = [\n  {x = 1},\n  {x = 2},\n]\n[[e]]\nf = "]"\n[[e]]\n"g h" = 2\n[e.i]\nj = 1\n'
    lines = key_lines(text)
    assert lines["a",] == 2
    assert lines["b", "c", "d"] == 4
    assert lines["b", "c", "d", 1] == 6
    assert lines["e", 0, "f"] == 9
    assert lines["e", 1, "g h"] == 11
    assert lines["e", 1, "i", "j"] == 13
    assert line_of(lines, ("e", 1, "missing")) == 10
    assert line_of(lines, ("nothing",)) == 1
