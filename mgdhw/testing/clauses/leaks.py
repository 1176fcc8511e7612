"""Clauses about leaked descriptors, tasks and threads."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mgdhw.device import Capability
from mgdhw.testing.check import NotApplicable, Opener
from mgdhw.testing.device_under_test import DeviceUnderTest, opened_dut
from mgdhw.testing.requirements import require
from mgdhw.testing.stimuli import block_for
from mgdhw.testing.training_cases import CASES, segment_for

DESCRIPTORS = (Path("/proc/self/fd"), Path("/dev/fd"))
"""Where Linux and macOS list what is open."""
SETTLE_SECONDS = 2.0
"""Time allowed for cleanup: the other end of a socket, the last step of a task."""
ROUNDS = 3


async def no_descriptor_is_left_open(opener: Opener) -> None:
    """Opening, using and closing leaves no file, socket or port open."""
    folder = next((folder for folder in DESCRIPTORS if folder.is_dir()), None)
    if folder is None:
        raise NotApplicable("this operating system does not list open descriptors")
    await _rounds(opener, "descriptor", lambda: _descriptors(folder))


async def no_task_is_left_running(opener: Opener) -> None:
    """Opening, using and closing leaves no asyncio task."""
    await _rounds(opener, "task", lambda: {_name(task) for task in asyncio.all_tasks()})


async def no_thread_is_left_running(opener: Opener) -> None:
    """Opening, using and closing leaves no thread."""
    await _rounds(opener, "thread", _threads)


async def _rounds(opener: Opener, what: str, present: Callable[[], set[str]]) -> None:
    """Use the device a few times; only the first use may leave something that lives as long as the process."""
    await _use(opener)
    before = present()
    for _ in range(ROUNDS):
        await _use(opener)
    deadline = asyncio.get_running_loop().time() + SETTLE_SECONDS
    # A leak leaves one per round; fewer than that have another cause.
    while len(present() - before) >= ROUNDS and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 (nothing tells when)
        await asyncio.sleep(0.01)
    left = present() - before
    require(len(left) < ROUNDS, f"{ROUNDS} uses leaked {len(left)} {what}s: {', '.join(sorted(left))}")


async def _use(opener: Opener) -> None:
    async with opened_dut(opener) as dut:
        await dut.device.probe(block_for(dut.info))
        await dut.device.infer(block_for(dut.info).order.samples(0)[0])
        await _learn(dut)


async def _learn(dut: DeviceUnderTest) -> None:
    if Capability.LEARN in dut.info.capabilities:
        await dut.device.learn(segment_for(dut, CASES[0], n_probes=12))


def _descriptors(folder: Path) -> set[str]:
    """Number and target of each."""
    found = set()
    for name in os.listdir(folder):  # noqa: PTH208 (of names alone; the folder lists itself, too)
        try:
            found.add(f"{name} -> {os.readlink(folder / name)}")  # noqa: PTH115 (a socket's target is no path)
        except OSError:
            continue  # the one that lists the folder
    return found


def _name(task: asyncio.Task[Any]) -> str:
    return f"{task.get_name()} ({task.get_coro()})"


def _threads() -> set[str]:
    """Those of the event loop's own pool come and go as it likes."""
    return {
        f"{thread.name} ({thread.ident})" for thread in threading.enumerate() if not thread.name.startswith("asyncio_")
    }
