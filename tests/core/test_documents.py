"""What the documents show does what they say."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mgdhw.config import load_experiment, parse_experiment
from mgdhw.datasets import load
from mgdhw.device import Device
from mgdhw.events import Evaluated, Faulted, Finished, Started
from mgdhw.trainer import Trainer

ROOT = Path(__file__).resolve().parents[2]


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
    exec(first_python("drivers.md"), names)
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
