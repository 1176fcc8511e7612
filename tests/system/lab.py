"""A lab with one instrument: the driver of the guide for an instrument whose calls block, installed for a process."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from tests.helpers.documents import python_block

LOGGED = """
import time
from itertools import pairwise
from pathlib import Path

from my_package.scope import Scope


class Logged(Scope):
    def note(self, what):
        with Path("instrument.log").open("a") as file:
            file.write(f"{time.monotonic()} {what}\\n")

    def read_outputs(self, inputs):
        self.note("reading")
        outputs = super().read_outputs(inputs)
        self.note("read")
        return outputs

    def set_parameters(self, theta):
        self.note("set")
        super().set_parameters(theta)

    def shut_down(self):
        self.note("shut down")
        super().shut_down()
"""


class Note(NamedTuple):
    """What the instrument was asked, and when."""

    when: float
    what: str


def install(folder: Path, environment: dict[str, str], driver: str = LOGGED) -> dict[str, str]:
    """Install the driver as its reader has it, and one derived from it (`Logged`), which notes what it is asked.

    Returns: the environment of a process that finds it, as "scope:".
    """
    package = folder / "site" / "my_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "scope.py").write_text(python_block("drivers.md", "BlockingDevice"), encoding="utf-8")
    (package / "logged.py").write_text(driver)
    information = folder / "site" / "my_package-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[mgdhw.devices]\nscope = my_package.logged:Logged\n")
    path = os.pathsep.join([str(folder / "site"), environment.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return {**environment, "PYTHONPATH": path}


def notes(folder: Path) -> list[Note]:
    """What the instrument was asked so far."""
    try:
        lines = (folder / "instrument.log").read_text().splitlines()
    except FileNotFoundError:
        return []
    return [Note(float(line.split(" ", 1)[0]), line.split(" ", 1)[1]) for line in lines]
