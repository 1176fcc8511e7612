"""The conformance suite passes what is sound, and finds each broken clause where it is."""

import asyncio
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from mgdhw.arrays import FloatArray
from mgdhw.device import Capability, Device, open_device
from mgdhw.errors import ConformanceError
from mgdhw.random.philox import Stream, words
from mgdhw.testing import CHECKS, DeviceConformance, Outcome, Verdict, run_conformance
from mgdhw.testing import check as checking
from mgdhw.testing.clauses import leaks
from mgdhw.testing.permutation_test import RUNS, how_extreme, require_same_distribution
from mgdhw.testing.requirements import first_difference
from tests.helpers.documents import python_block

from . import mutants
from .mutants.sound import Sound

FOUND = {**dict.fromkeys(mutants.SOUND, frozenset[str]()), **mutants.MUTANTS}
"""What is found in each device."""


def failures(outcomes: list[Outcome]) -> set[str]:
    return {outcome.name for outcome in outcomes if outcome.verdict is Verdict.FAILED}


@pytest.mark.long
@pytest.mark.parametrize("kind", FOUND, ids=lambda kind: kind.__name__)
async def test_what_is_broken_is_found_and_nothing_else(kind: type[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "SETTLE_SECONDS", 0.05)
    try:
        outcomes = await run_conformance(kind)
    finally:
        mutants.lifecycle.ClosesHalf.busy.clear()
        await mutants.leaks.Leaky.clean_up()
    assert failures(outcomes) == FOUND[kind]


def test_every_clause_is_broken_by_some_device() -> None:
    assert set[str]().union(*FOUND.values()) == {check.name for check in CHECKS}


def test_mutants_are_in_the_file_of_a_clause_that_finds_them() -> None:
    family_of = {check.name: check.body.__module__.rpartition(".")[2] for check in CHECKS}
    for kind, clauses in mutants.MUTANTS.items():
        assert kind.__module__.rpartition(".")[2] in {family_of[clause] for clause in clauses}, kind


def test_checks_have_names_and_say_what_they_check() -> None:
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names)
    for check in CHECKS:
        assert re.fullmatch(r"[a-z-]+", check.name)
        assert check.what.endswith(".")
        assert check.what[0].isupper() or check.what[0] == "`"


# --- running ----------------------------------------------------------------------------------------------------------


async def test_outcomes_are_reported_as_they_come() -> None:
    reported: list[Outcome] = []
    outcomes = await run_conformance(Sound, reported.append, checks=CHECKS[:3])
    assert outcomes == reported
    assert [outcome.name for outcome in outcomes] == [check.name for check in CHECKS[:3]]
    for outcome, check in zip(outcomes, CHECKS, strict=False):
        assert (outcome.verdict, outcome.why, outcome.what) == (Verdict.PASSED, "", check.what)
        assert outcome.seconds > 0


async def test_what_a_device_has_not_promised_is_skipped_and_says_why() -> None:
    outcomes = {outcome.name: outcome for outcome in await run_conformance(Sound)}
    assert outcomes["segments-can-be-cut"].verdict is Verdict.SKIPPED
    assert outcomes["segments-can-be-cut"].why == "the device cannot learn on its own"


class Hangs(Sound):
    """Never answers."""

    waiting = asyncio.Event()

    async def read(self) -> FloatArray:
        self.waiting.set()
        await asyncio.Event().wait()
        raise AssertionError("nobody ends the wait")


async def test_a_device_that_never_answers_fails_in_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "CHECK_SECONDS", 0.02)
    (outcome,) = await run_conformance(Hangs, checks=CHECKS[1:2])
    assert (outcome.verdict, outcome.why) == (
        Verdict.FAILED,
        "still running after 0.02 s; does a request wait forever?",
    )


async def test_a_cancelled_run_cancels_its_check_and_leaves_no_task() -> None:
    Hangs.waiting = asyncio.Event()
    run = asyncio.ensure_future(run_conformance(Hangs, checks=CHECKS[1:2]))
    await Hangs.waiting.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_any_error_of_the_device_is_an_outcome() -> None:
    def nowhere() -> Device:
        return open_device("nowhere:1")

    (outcome,) = await run_conformance(nowhere, checks=CHECKS[:1])
    assert outcome.verdict is Verdict.FAILED
    assert outcome.why.startswith("ConfigError: device 'nowhere:1': no driver for scheme 'nowhere'")


# --- the driver in the guide, and pytest ------------------------------------------------------------------------------


@pytest.mark.parametrize("promise", [Capability(0), Capability.DETERMINISTIC])
async def test_the_driver_in_the_guide_keeps_the_contract(promise: Capability) -> None:
    names: dict[str, Any] = {}
    exec(python_block("drivers.md", "class MyBench("), names)

    class Bench(names["MyBench"]):  # type: ignore[misc, name-defined]
        async def connect(self) -> None:
            await super().connect()
            self.info = replace(self.info, capabilities=self.info.capabilities | promise)

    assert failures(await run_conformance(lambda: Bench("mybench:7"))) == set()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The driver and the tests of the guide, as its reader has them: a package with an entry point."""
    driver, tests = (python_block("drivers.md", f"class {name}(") for name in ("MyBench", "TestMyBench"))
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package" / "__init__.py").write_text("")
    (tmp_path / "my_package" / "driver.py").write_text(driver, encoding="utf-8")
    (tmp_path / "test_driver.py").write_text(tests, encoding="utf-8")
    folder = tmp_path / "my_package-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[mgdhw.devices]\nmybench = my_package.driver:open_uri\n")
    return tmp_path


def pytest_in(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """pytest without plugins for asynchronous tests, in a folder of its own."""
    command = [sys.executable, "-m", "pytest", "-p", "no:asyncio", "-p", "no:cacheprovider", "-W", "error", *arguments]
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    environment = {**os.environ, "PYTHONPATH": path, "PYTEST_ADDOPTS": ""}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_the_tests_in_the_guide_pass_and_need_no_plugin(package: Path) -> None:
    done = pytest_in(package, "-v", "-rs")
    assert done.returncode == 0, done.stdout
    assert "test_driver.py::TestMyBench::test_contract[write-is-absolute] PASSED" in done.stdout
    assert "the device cannot learn on its own" in done.stdout


def test_what_pytest_says_of_a_broken_device(package: Path) -> None:
    (package / "test_driver.py").write_text(
        """
import contextlib
from mgdhw.testing import DeviceConformance
from my_package.driver import MyBench

class Unlimited(MyBench):
    def check_limits(self, theta, what="parameter"):
        pass

class TestBroken(DeviceConformance):
    known_failures = {"parameters-of-other-shapes-are-refused": "issue 7", "write-is-absolute": "issue 8"}

    @contextlib.asynccontextmanager
    async def opener(self):
        yield lambda: Unlimited("mybench:7")
""",
        encoding="utf-8",
    )
    done = pytest_in(package, "-v", "-rx", "-k", "limits or shapes or absolute")
    assert done.returncode != 0
    assert "[parameters-beyond-their-limits-are-refused] FAILED" in done.stdout
    assert "ConformanceError: writing 1.002 to parameter 0 is accepted, expected LimitExceeded" in done.stdout
    assert "[parameters-of-other-shapes-are-refused] - issue 7" in done.stdout
    assert "[XPASS(strict)] issue 8" in done.stdout


def test_a_known_failure_of_another_name_is_a_mistake() -> None:
    class TestMisspelt(DeviceConformance):
        known_failures: ClassVar = {"errors-name-the-devise": "issue 7"}

    metafunc: Any = SimpleNamespace(fixturenames=["check"])
    with pytest.raises(ValueError, match=r"^TestMisspelt.known_failures: no check errors-name-the-devise$"):
        TestMisspelt().pytest_generate_tests(metafunc)


def test_neither_checks_nor_suite_need_pytest() -> None:
    program = (
        "import asyncio, sys; sys.modules['pytest'] = None\n"
        "from mgdhw.device import open_device\n"
        "from mgdhw.testing import DeviceConformance, run_conformance\n"
        "made = lambda: open_device('sim:analog-8bit?layers=3-2-2&engine=reference')\n"
        "print(*{str(o.verdict) for o in asyncio.run(run_conformance(made))})\n"
    )
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, set(done.stdout.split())) == (0, {"passed", "skipped"}), done.stderr


# --- what checks are made of ------------------------------------------------------------------------------------------


def test_the_first_difference_is_found_in_anything() -> None:
    assert first_difference({"a": np.arange(3)}, {"a": np.arange(3)}) is None
    assert first_difference({"a": np.arange(3)}, {"a": np.array([0, 1, 3])}) == "a[2] (2 and 3)"
    assert first_difference(np.zeros((2, 2)), np.zeros(2)) == "element (shapes (2, 2) and (2,))"
    assert first_difference(np.array([np.nan]), np.array([np.nan])) == "element[0] (nan and nan)"
    assert first_difference(1, 2) == "value (1 and 2)"
    assert first_difference({"a": 1}, {"b": 1}) == "value ({'a': 1} and {'b': 1})"


def noise(seed: int) -> Any:
    """(RUNS, 5) uniform numbers."""
    return words(seed, Stream.DATA, np.arange(RUNS), 5) * 2.0**-32


def test_the_permutation_test_has_the_false_alarms_that_it_states() -> None:
    """Ranks are uniform on 1 ... 1,716: of 300 draws the mean is 858.5 ± 28.6 (here within four of these)."""
    ranks = [how_extreme(noise(seed), noise(1000 + seed)) for seed in range(300)]
    assert abs(np.mean(ranks) - 858.5) < 4 * 28.6
    assert 1 <= min(ranks) < max(ranks) <= 1716


def test_the_permutation_test_finds_a_difference_and_takes_equal_answers() -> None:
    require_same_distribution(np.ones((RUNS, 3)), np.ones((RUNS, 3)), "equal answers")
    with pytest.raises(ConformanceError, match=r"^shifted answers differ by more than noise: no other division of"):
        require_same_distribution(noise(1), noise(2) + 1.0, "shifted answers")
