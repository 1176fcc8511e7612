"""A file system that has no locks, as network drives without a lock daemon: what is the matter is said."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import environment

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or (shutil.which("gcc") or shutil.which("cc")) is None,
    reason="needs a C compiler, and a system that can be told to have no locks",
)

SHIM = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
static int answer(const char *name, int fd, int what, void *argument) {
    if (what == F_SETLK || what == F_SETLKW) { errno = ENOLCK; return -1; }
    int (*real)(int, int, ...) = (int (*)(int, int, ...))dlsym(RTLD_NEXT, name);
    return real(fd, what, argument);
}
#define REPLACE(name) int name(int fd, int what, ...) { \\
    va_list given; va_start(given, what); void *argument = va_arg(given, void *); va_end(given); \\
    return answer(#name, fd, what, argument); }
REPLACE(fcntl)
REPLACE(fcntl64)
"""


def test_what_is_the_matter_is_said(folder: Path, mgdhw: Any) -> None:
    source, shim = folder / "locks.c", folder / "locks.so"
    source.write_text(SHIM)
    compiler = shutil.which("gcc") or shutil.which("cc") or ""
    subprocess.run([compiler, "-shared", "-fPIC", "-o", shim, source, "-ldl"], check=True)
    done = mgdhw("train", "short.toml", env={**environment(), "LD_PRELOAD": str(shim)})
    assert done.returncode == 1
    assert "runs folder runs: a run cannot be made there: its file system has no locks (No locks" in done.stderr
    assert "choose one on another disk with --runs FOLDER" in done.stderr
    assert list((folder / "runs").iterdir()) == []
