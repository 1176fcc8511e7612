"""Drivers of other distributions: which there are, what is wrong with one, and who is to be told."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mgdhw.cli.devices import installed
from mgdhw.device import open_device
from mgdhw.errors import ConfigError, DeviceFault, DeviceUnavailable

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs a distribution as pip would: a module, and metadata with entry points."""

    def package(name: str, source: str = "", *, driver: str = "", presets: str = "") -> None:
        module = name.replace("-", "_")
        folder = tmp_path / name
        info = folder / f"{module}-1.2.dist-info"
        info.mkdir(parents=True)
        (folder / f"{module}.py").write_text(source, encoding="utf-8")
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        points = f"[mgdhw.devices]\n{driver}\n" + (f"[mgdhw.presets]\n{presets}\n" if presets else "")
        (info / "entry_points.txt").write_text(points)
        monkeypatch.syspath_prepend(folder)
        monkeypatch.delitem(sys.modules, module, raising=False)

    return package


def entry(scheme: str) -> list[tuple[object, ...]]:
    keys = ("package", "driver", "presets", "problem")
    return [tuple(found[key] for key in keys) for found in installed() if found["scheme"] == scheme]


GOOD = """
from mgdhw_sim.device import open_uri

def make(uri):
    return open_uri("sim:analog-8bit?layers=2-1")

def presets():
    return {"lab:left": "the left one", "lab:right": "the right one"}
"""

BROKEN = {
    "no module": ("", "lab = no_such_module:make", "No module named 'no_such_module'"),
    "no such name": ("", "lab = lab_bench:make", "AttributeError: module 'lab_bench' has no attribute 'make'"),
    "a missing library": (
        "import this_is_missing",
        "lab = lab_bench:make",
        "No module named 'this_is_missing' (lab_bench.py, line 1)",
    ),
    "it raises": (
        "x = 1\n1 / 0",
        "lab = lab_bench:make",
        "ZeroDivisionError: division by zero (lab_bench.py, line 2)",
    ),
    "no Python": ("def (", "lab = lab_bench:make", "SyntaxError: invalid syntax (lab_bench.py, line 1)"),
    "it leaves": ("raise SystemExit(3)", "lab = lab_bench:make", "SystemExit: 3 (lab_bench.py, line 1)"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_driver_that_cannot_be_imported_is_listed_with_why(install: Install, case: str) -> None:
    source, driver, why = BROKEN[case]
    install("lab-bench", source, driver=driver)
    ((package, value, presets, problem),) = entry("lab")
    assert (package, value, presets) == ("lab-bench 1.2", driver.partition(" = ")[2], {})
    assert problem == f"cannot be loaded: {why}"
    with pytest.raises(ConfigError) as raised:
        open_device("lab:1")
    assert str(raised.value) == (f"device 'lab:1': its driver, {value} of lab-bench 1.2, cannot be loaded: {why}")
    assert isinstance(raised.value.__cause__, Exception | SystemExit), "whoever writes it sees where it went wrong"


def test_every_driver_is_listed_with_its_distribution(install: Install) -> None:
    install("lab-bench", GOOD, driver="lab = lab_bench:make\nbare = lab_bench:make", presets="lab = lab_bench:presets")
    assert entry("lab") == [
        ("lab-bench 1.2", "lab_bench:make", {"lab:left": "the left one", "lab:right": "the right one"}, None)
    ]
    assert entry("bare") == [("lab-bench 1.2", "lab_bench:make", {}, None)]
    schemes = [found["scheme"] for found in installed()]
    assert schemes == sorted(schemes)
    assert {"serial", "sim", "tcp", "unix"} < set(schemes)
    assert all(str(found["package"]).startswith("mgdhw ") for found in installed() if found["scheme"] in ("sim", "tcp"))


@pytest.mark.parametrize(
    ("presets", "why"),
    [
        ("lab = lab_bench:nothing", "AttributeError: module 'lab_bench' has no attribute 'nothing'"),
        ("lab = lab_bench:make", "TypeError: make() missing 1 required positional argument: 'uri'"),
    ],
)
def test_presets_that_cannot_be_listed_are_not_the_drivers_fault(install: Install, presets: str, why: str) -> None:
    install("lab-bench", GOOD, driver="lab = lab_bench:make", presets=presets)
    ((_, _, found, problem),) = entry("lab")
    assert found == {}
    assert str(problem).startswith(f"its devices cannot be listed: {why}")
    assert open_device("lab:1").info.n_parameters == 3


def test_two_drivers_for_one_scheme_are_both_listed_and_none_is_taken(install: Install) -> None:
    install("lab-bench", GOOD, driver="lab = lab_bench:make")
    install("other-bench", GOOD, driver="lab = other_bench:make")
    assert [(package, problem) for package, _, _, problem in entry("lab")] == [
        ("lab-bench 1.2", "another driver uses this scheme: other-bench 1.2"),
        ("other-bench 1.2", "another driver uses this scheme: lab-bench 1.2"),
    ]
    with pytest.raises(ConfigError, match="several drivers for scheme 'lab'; uninstall all but one of") as raised:
        open_device("lab:1")
    assert "lab-bench 1.2 (lab_bench:make)" in str(raised.value)
    assert "other-bench 1.2 (other_bench:make)" in str(raised.value)


def test_a_driver_that_is_nothing_to_call(install: Install) -> None:
    install("lab-bench", "make = 3", driver="lab = lab_bench:make")
    with pytest.raises(
        ConfigError, match=r"its driver, lab_bench:make of lab-bench 1\.2, is a int; expected a callable"
    ):
        open_device("lab:1")


def test_a_driver_that_cannot_read_the_address(install: Install) -> None:
    install("lab-bench", "def make(uri):\n    return int(uri)", driver="lab = lab_bench:make")
    with pytest.raises(
        DeviceFault, match=r"^lab:x: its driver failed to create .* ValueError: .*\(lab_bench\.py, line 2\)"
    ):
        open_device("lab:x")


def test_a_driver_that_the_system_refuses_something(install: Install) -> None:
    install("lab-bench", "def make(uri):\n    return open('/nowhere/at/all')", driver="lab = lab_bench:make")
    with pytest.raises(DeviceUnavailable, match=r"^lab:x: cannot be opened: .*No such file or directory"):
        open_device("lab:x")
