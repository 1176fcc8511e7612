"""Progress and results in notebooks, and progress where there is none."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mgdhw
from mgdhw.datasets import Dataset
from mgdhw.report import markup
from mgdhw_sim.uri import parse

EXPERIMENT: dict[str, Any] = {
    "device": {"uri": "sim:analog-8bit?layers=2-3-1&engine=reference"},
    "data": {"name": "xor"},
    "training": {"probes": 200, "batch": 4, "tau_theta": 10},
    "evaluation": {"every": 20},
}
FRONT_END = """
displays = []

class Handle:
    def __init__(self, shown):
        displays.append([bundle(shown)])
        self.number = len(displays) - 1

    def update(self, shown):
        displays[self.number].append(bundle(shown))

def bundle(shown):
    return {"text/html": shown._repr_html_(), "text/plain": repr(shown)}

def display(shown, display_id):
    assert display_id is True
    return Handle(shown)
"""
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Tags(HTMLParser):
    """Which tags there are, and the text between them."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture
def displays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[dict[str, str]]]:
    """A front end that keeps what it is shown: the part of IPython that a display in place needs."""
    package = tmp_path / "front-end" / "IPython"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        "class Shell:\n    kernel = object()\n\ndef get_ipython():\n    return Shell()\n"
    )
    (package / "display.py").write_text(FRONT_END)
    for name in ("IPython", "IPython.display"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(package.parent)
    import IPython.display

    found: list[list[dict[str, str]]] = vars(IPython.display)["displays"]
    yield found
    for name in ("IPython", "IPython.display"):
        sys.modules.pop(name, None)


def test_a_notebook_has_one_display_that_is_updated(displays: Any, capfd: pytest.CaptureFixture[str]) -> None:
    progress = mgdhw.Progress()
    result = mgdhw.train(EXPERIMENT, runs=None, listeners=[progress])
    (shown,) = displays
    assert len(shown) > 1
    assert "100 %" in shown[-1]["text/plain"]
    assert "simulated chip analog-8bit, 2-3-1, 13 parameters, on xor (4 samples)" in shown[0]["text/plain"]
    assert f"train accuracy {100 * result.accuracy:.1f} %" in shown[-1]["text/plain"]
    for bundle in shown:
        assert not CONTROL.search("".join(bundle.values()))
        assert Tags(bundle["text/html"]).tags[0] == "progress"
    assert capfd.readouterr().out == "", "and nothing is printed"
    mgdhw.train_replicas(EXPERIMENT, runs=None, replicas=2, listeners=[progress])
    assert len(displays) == 2
    assert "2 replicas" in displays[1][-1]["text/plain"]
    assert "2 of 2 finished" in displays[1][-1]["text/plain"]


def test_without_a_notebook_there_are_plain_lines(capfd: pytest.CaptureFixture[str]) -> None:
    assert "IPython" not in sys.modules
    mgdhw.train(EXPERIMENT, runs=None, listeners=[mgdhw.Progress()])
    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == "simulated chip analog-8bit, 2-3-1, 13 parameters, on xor (4 samples)"
    assert lines[-1].startswith("100 %  training cost ")
    assert not any(CONTROL.search(line) for line in lines)


def test_what_is_shown_is_escaped() -> None:
    assert markup.table([("<b>", "a\x1b[2Jb & c")], caption='"<i>"') == (
        '<table><caption style="text-align:left"><b>&quot;&lt;i&gt;&quot;</b></caption>'
        '<tr><th style="text-align:left">&lt;b&gt;</th><td style="text-align:left">a\\x1b[2Jb &amp; c</td></tr></table>'
    )
    assert "<script>" not in markup.bar(0.5, "<script>")


def test_results_data_and_chips_show_themselves() -> None:
    result = mgdhw.train(EXPERIMENT, runs=None)
    shown = Tags(result._repr_html_())
    assert shown.tags[0] == "table"
    assert {"accuracy", "probes", "200", result.digest[:16]} <= set(shown.texts)
    replicas = Tags(mgdhw.train_replicas(EXPERIMENT, runs=None, replicas=2)._repr_html_())
    assert {"2 of 2 replicas finished", "time to solution"} <= set(replicas.texts)
    dataset = Dataset("<script>", np.zeros((3, 2)), 1.0, np.eye(3), 2, classes=("a", "b", "<c>"))
    shown = Tags(dataset._repr_html_())
    assert "script" not in shown.tags
    assert {"training samples", "2", "a, b, <c>"} <= set(shown.texts)
    chip = Tags(parse("sim:pcm?layers=49-4-4")._repr_html_())
    assert {"pcm, 49-4-4", "weight_range", "49-4-4", "given"} <= set(chip.texts)
