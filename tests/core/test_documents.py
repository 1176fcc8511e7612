"""What the documents show does what they say."""

import contextlib
import re
import sqlite3
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mgdhw
from mgdhw.block import Block, CodeSpec, Part
from mgdhw.datasets import load
from mgdhw.device import Device, HostCodes
from mgdhw.experiment.load import load_experiment, parse_experiment
from mgdhw.random.sample_order import SampleOrder
from mgdhw.training.events import Evaluated, Faulted, Finished, Started
from mgdhw.training.trainer import Trainer
from tests.helpers.documents import python_block
from tests.helpers.paths import ROOT


def first_python(document: str, heading: str = "") -> str:
    """The first block of Python in a document, or after a heading of it."""
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    found = re.search(r"```python\n(.*?)```", text[text.index(heading) :], re.DOTALL)
    assert found is not None
    return found[1]


def test_the_guide_s_own_data_is_learnt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, names = first_python("guide.md", "## Your own data"), {}  # type: ignore[var-annotated]
    assert code.count("\n") <= 15
    exec(code, names)
    result = names["result"]
    assert result.accuracy > 0.85
    kept = load_experiment(result.run / "experiment.toml")
    assert (kept.device.uri, kept.data.name) == ("sim:analog-8bit?layers=3-16-2", "npz:dataset.npz")
    assert load("npz:dataset.npz", base=result.run).n_test == 100


async def test_the_driver_in_the_guide_learns_and_is_left_in_its_safe_state() -> None:
    names: dict[str, Any] = {}
    exec(python_block("drivers.md", "class MyBench("), names)
    device: Device = names["open_uri"]("mybench:1")
    experiment = parse_experiment(
        '[training]\nprobes = 6000\nbatch = 4\ntau_theta = 8\ninit = "uniform"\n[codes]\ndelta = 0.02', source="test"
    )
    async with device:
        events = [event async for event in Trainer(experiment, device, load("xor"))]
    assert isinstance(events[0], Started)
    assert any("not deterministic" in note for note in events[0].notes)
    assert not [event for event in events if isinstance(event, Faulted)]
    finished, curve = events[-1], [event for event in events if isinstance(event, Evaluated)]
    assert isinstance(finished, Finished)
    assert finished.last.accuracy == 1.0
    assert finished.last.cost < 0.3 * curve[0].cost
    assert np.count_nonzero(vars(device)["theta"]) == 0


def test_the_examples_are_experiments() -> None:
    examples = sorted((ROOT / "examples").glob("*.toml"))
    assert len(examples) >= 5
    for example in examples:
        assert load_experiment(example).name == example.stem


# --- what is the user's own -------------------------------------------------------------------------------------------

LONGEST = 15
"""Lines that bringing something of one's own takes."""


@pytest.fixture
def mybench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The driver of drivers.md, installed as a package of its own; a folder to work in."""
    site = tmp_path / "site"
    installed = site / "mybench-1.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: mybench\nVersion: 1\n")
    (installed / "entry_points.txt").write_text("[mgdhw.devices]\nmybench = mybench_of_the_page:open_uri\n")
    (site / "mybench_of_the_page.py").write_text(python_block("drivers.md", "class MyBench("), encoding="utf-8")
    monkeypatch.syspath_prepend(site)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def python_under(document: str, heading: str) -> str:
    """The first block of Python under a heading, which takes no more lines than promised."""
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    found = re.search(rf"^#+ {re.escape(heading)}$.*?```python\n(.*?)```", text, re.DOTALL | re.MULTILINE)
    assert found is not None, heading
    assert len([line for line in found[1].splitlines() if line.strip()]) <= LONGEST
    return found[1]


def test_a_chip_of_ones_own(mybench: Path) -> None:
    names: dict[str, Any] = {}
    exec(python_under("guide.md", "A chip of your own"), names)
    assert names["result"].accuracy == 1.0
    assert names["result"].run.parent.resolve() == mybench / "runs"


def test_a_cost_of_ones_own(mybench: Path) -> None:
    names: dict[str, Any] = {}
    exec(python_under("guide.md", "A cost of your own"), names)
    result = names["result"]
    assert result.accuracy == 1.0
    assert result.run.parent.resolve() == mybench / "runs"
    assert mgdhw.evaluate(result.run, cost=names["huber"]).scores["train"].cost == result.cost


async def test_a_block_by_hand() -> None:
    names: dict[str, Any] = {}
    exec(python_under_all("drivers.md", "A block made by hand"), names)
    theta = np.linspace(-1, 1, 13)
    async with mgdhw.open_device("sim:analog-8bit?layers=2-3-1&engine=reference") as device:
        assert isinstance(device, HostCodes)
        block, costs, slope = await names["gradient"](device, theta)
        by_hand = await device.probe_with_host_codes(block)
        assert costs.perturbed.tolist() == by_hand.perturbed.tolist()
        assert costs.reference.tolist() == by_hand.reference.tolist()
        assert (costs.evaluations, costs.held) == (9, by_hand.held)
        assert slope.shape == theta.shape
        before = float(costs.reference[0])
        length = np.sqrt(np.square(slope).sum())
        await device.write(theta - 0.2 * slope / length)
        assert await device.measure(block.order.samples(0, 1)[0], 0, Part.BASELINE) < before, "it points uphill"


def python_under_all(document: str, words: str) -> str:
    """The block of Python that follows some words."""
    text = (ROOT / "docs" / document).read_text(encoding="utf-8")
    found = re.search(rf"{re.escape(words)}.*?```python\n(.*?)```", text, re.DOTALL)
    assert found is not None, words
    return found[1]


def test_the_block_is_described_field_by_field() -> None:
    text = (ROOT / "docs" / "drivers.md").read_text(encoding="utf-8")
    table = text[text.index("| of a `Block` |") :].split("\n\n")[0]
    for kind in (Block, CodeSpec, SampleOrder):
        for field in fields(kind):
            assert f"`{field.name}`" in table, f"{kind.__name__}.{field.name}"


def test_the_database_is_described_as_it_is(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "runs.md").read_text(encoding="utf-8")
    described: dict[str, list[tuple[str, str, bool, bool]]] = {}
    for name, section in re.findall(r"^### (\w+)\n(.*?)(?=^### )", text, re.DOTALL | re.MULTILINE):
        rows = re.findall(r"^\| `(\w+)` \| (\w+)(, key|, not null|) \|", section, re.MULTILINE)
        described[name] = [(column, kind, how == ", not null", how == ", key") for column, kind, how in rows]
    experiment = {"data": {"name": "xor"}, "training": {"probes": 100}}
    result = mgdhw.train(experiment, device="sim:analog-8bit?layers=2-3-1&engine=reference", runs=tmp_path)
    assert result.run is not None
    with contextlib.closing(sqlite3.connect(result.run / "metrics.sqlite")) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        real = {
            name: [
                (column, kind, bool(required) and not key, bool(key))
                for _, column, kind, required, _, key in database.execute(f"PRAGMA table_info({name})")
            ]
            for name in tables
        }
        ((version,),) = database.execute("SELECT value FROM meta WHERE key = 'schema'")
    assert described == real
    assert f"the version of these tables, {version} |" in text
    names: dict[str, Any] = {}
    exec(first_python("runs.md"), names)
    assert names["last_evaluations"](result.run)[0] == (100, result.accuracy, result.cost)
