"""A leak check that is always on: no test leaves an asyncio task pending or a file descriptor open."""

import asyncio
import gc
import inspect
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

DESCRIPTORS = Path("/proc/self/fd")  # Linux; elsewhere only tasks are checked


def open_descriptors() -> set[tuple[str, str]]:
    """Number and target of every open file descriptor."""
    found = set()
    for entry in DESCRIPTORS.iterdir() if DESCRIPTORS.is_dir() else ():
        try:
            found.add((entry.name, os.readlink(entry)))  # noqa: PTH115 (a socket's target is no path)
        except OSError:
            continue  # the one that lists the folder
    return found


def pytest_configure() -> None:
    """Begin with the signals of a terminal: whoever runs the tests in the background ignores some of them."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)


@pytest.fixture(autouse=True, scope="session")
def secrets_of_their_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Servers and hosts of the tests, in whatever process, keep their secrets apart from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MGDHW_SECRETS", str(tmp_path_factory.mktemp("secrets")))
        yield


@pytest.fixture(autouse=True)
def no_descriptor_left_open() -> Iterator[None]:
    """Set up before the test's event loop and torn down after it. What lives as long as the process may stay."""
    before = open_descriptors()
    yield
    left = open_descriptors() - before
    if left:
        gc.collect()  # what only a reference cycle keeps is the collector's business, and its ResourceWarning's
        left &= open_descriptors()
    # matplotlib keeps the fonts that it has used open, as long as the process lives.
    left = {(number, target) for number, target in left if not target.startswith("/dev/") and target[-4:] != ".ttf"}
    assert not left, f"file descriptors left open: {', '.join(f'{n} -> {target}' for n, target in sorted(left))}"


@pytest.fixture
async def no_task_left_pending() -> AsyncIterator[None]:
    """Only for asynchronous tests, which get it below: it needs their event loop."""
    yield
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left:
        _, left = await asyncio.wait(left, timeout=1.0)  # one that is about to end may do so
    assert not left, f"asyncio tasks left pending: {', '.join(str(task.get_coro()) for task in left)}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            # Before all other fixtures that a loop may serve, so that theirs are gone when it looks.
            names = item.fixturenames
            names.insert(names.index("no_descriptor_left_open") + 1, "no_task_left_pending")
