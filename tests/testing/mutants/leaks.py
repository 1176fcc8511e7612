"""Devices that leave something behind."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from .mark import caught_by
from .sound import Sound


class Leaky(Sound):
    """Leaves something behind each time that it was open; the tests clean up."""

    left: ClassVar[list[Callable[[], Any]]] = []

    @classmethod
    async def clean_up(cls) -> None:
        """Give back what was left behind."""
        while cls.left:
            done = cls.left.pop()()
            if isinstance(done, Awaitable):
                await done


@caught_by("no-descriptor-is-left-open")
class LeaksDescriptors(Leaky):
    """Opens a file and forgets it."""

    async def connect(self) -> None:
        descriptor = os.open(os.devnull, os.O_RDONLY)
        self.left.append(lambda: os.close(descriptor))
        await super().connect()


@caught_by("no-task-is-left-running")
class LeaksTasks(Leaky):
    """Starts a reader that nobody ends."""

    async def connect(self) -> None:
        ended = asyncio.Event()
        task = asyncio.ensure_future(ended.wait())

        def end() -> Awaitable[Any]:
            ended.set()
            return task

        self.left.append(end)
        await super().connect()


@caught_by("no-thread-is-left-running")
class LeaksThreads(Leaky):
    """Starts a thread that nobody ends."""

    async def connect(self) -> None:
        ended = threading.Event()
        thread = threading.Thread(target=ended.wait, name="reader")
        thread.start()

        def end() -> None:
            ended.set()
            thread.join()

        self.left.append(end)
        await super().connect()
