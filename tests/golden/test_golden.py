"""The golden vectors hold, for every engine and for the referee, and say something about every effect."""

import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from mgdhw.block import Baseline
from mgdhw.codes import FAMILIES
from mgdhw.optimizers import OPTIMIZERS
from mgdhw_sim.engines import ENGINES, choose
from mgdhw_sim.nonidealities import Nonidealities
from tests.sim.reference import referee, referee_nonideal
from tests.sim.reference.test_chip import Work

from . import vectors

GROUPS = vectors.groups()
CASES = [pytest.param(case, id=f"{group}: {case['name']}") for group, cases in GROUPS.items() for case in cases]
BLOCKS = [one for one in CASES if one.values[0]["kind"] == "block"]  # type: ignore[index, call-overload]


@pytest.mark.parametrize("case", CASES)
def test_the_reference_gives_the_golden_answers(case: vectors.Case) -> None:
    assert vectors.answer(case, choose("reference")) == case["expected"]


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in ENGINES if name != "reference"])
@pytest.mark.parametrize("case", CASES)
def test_engines_give_the_golden_answers(case: vectors.Case, name: str) -> None:
    engine = choose(name)
    if vectors.declined(case, engine) is None:
        assert vectors.answer(case, engine) == case["expected"]


def judge_of(case: vectors.Case) -> referee.Chip | referee_nonideal.NonidealChip:
    spec = vectors.spec_of(case)
    data = vectors.dataset_of(case, spec)
    judge = referee.Chip(spec) if spec.ideal else referee_nonideal.NonidealChip(spec)
    judge.load(data.values(np.arange(data.n_samples)).tolist(), data.targets.tolist())
    for write in case["writes"]:
        theta = [code * spec.weight_lsb for code in write["codes"]]
        if isinstance(judge, referee.Chip):
            judge.write(theta)
        else:
            judge.write(theta, write["step"])
    return judge


@pytest.mark.parametrize("case", BLOCKS)
def test_the_referee_gives_the_golden_answers(case: vectors.Case) -> None:
    judge, expected, samples = judge_of(case), case["expected"], len(case["inputs"])
    block = vectors.block_of(case, samples)
    held = None if block.held is None else (block.held.step // block.order.tau_x, int(block.held.value))
    answer = judge.probe(Work(block), held)
    assert answer.perturbed == expected["perturbed"]
    assert (answer.other or [0] * block.n_probes) == expected["reference"]
    assert answer.evaluations == expected["evaluations"]
    if answer.held is not None:
        assert answer.held == (expected["held"]["step"] // block.order.tau_x, expected["held"]["value"])
    assert judge.infer(range(samples), vectors.looked_at(case)) == expected["outputs"]
    if isinstance(judge, referee_nonideal.NonidealChip):
        assert judge.held() == expected["cells"]
        assert [cell.writes for cell in judge.cells] == expected["writes"]


def test_all_there_is_is_pinned() -> None:
    cases = [case for group in GROUPS.values() for case in group]
    assert len(cases) >= 50
    assert len({case["name"] for case in cases}) == len(cases)
    assert {name for case in cases for name in case["chip"]["effects"]} >= {f.name for f in fields(Nonidealities)}
    for key, wanted in (("family", set(FAMILIES)), ("baseline", {str(kind) for kind in Baseline})):
        assert {case["request"][key] for case in cases} == wanted
    assert {case["request"].get("optimizer") for case in cases} == {None, *OPTIMIZERS}
    assert {case["chip"]["cost"] for case in cases} == {"mse", "xent"}
    assert {case["chip"]["weight_bits"] for case in cases} >= {5, 8, 16}


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in GROUPS["effects"]])
def test_each_effect_has_an_effect(case: vectors.Case) -> None:
    ideal = vectors.answer({**case, "chip": {**case["chip"], "effects": {}}}, choose("reference"))
    different = vectors.differences(case["expected"], ideal)
    assert {"perturbed", "outputs"} & set(different)


def run(script: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(folder / script), *options], capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The vectors and their scripts, to be spoilt."""
    return Path(shutil.copytree(vectors.FOLDER, tmp_path / "golden", ignore=shutil.ignore_patterns("__pycache__")))


def test_checking_names_the_case_that_differs(copy: Path) -> None:
    path = copy / "ideal.json"
    text = path.read_text()
    value = str(GROUPS["ideal"][0]["expected"]["perturbed"])
    path.write_text(text.replace(value, value.replace("[", "[1", 1), 1))
    done = run("check.py", copy)
    assert done.returncode == 1, done.stderr
    assert f"ideal: {GROUPS['ideal'][0]['name']}: differs in perturbed\n" in done.stdout


def test_renewing_wants_a_reason_and_keeps_it(copy: Path) -> None:
    assert run("renew.py", copy).returncode == 2
    assert run("renew.py", copy, "--reason", "because").returncode == 2
    assert (copy / "CHANGES.md").read_text() == (vectors.FOLDER / "CHANGES.md").read_text()
    done = run("renew.py", copy, "--reason", "A test of the script that renews")
    assert done.returncode == 0, done.stderr
    assert (copy / "CHANGES.md").read_text().endswith("that renews (0 added, 0 changed, 0 gone)\n")
    for path in vectors.FOLDER.glob("*.json"):  # the files are what the script writes
        assert (copy / path.name).read_text() == path.read_text()
