"""Commands in a terminal of their own, where Ctrl-C reaches them and all that they have begun."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SECONDS = 60.0
"""How long anything may take, on a machine that is busy with other things."""


class Terminal:
    """A process whose terminal is a pseudo-terminal.

    Args:
        arguments: of the process.
        folder: where it runs.
        environment: its own.
    """

    def __init__(self, arguments: list[str], folder: Path, environment: dict[str, str]) -> None:
        self._ours, theirs = os.openpty()

        def take_terminal() -> None:
            import fcntl
            import termios

            fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            arguments,
            cwd=folder,
            env={**environment, "TERM": "xterm-256color"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=take_terminal,
        )
        os.close(theirs)
        self._shown = b""

    @property
    def shown(self) -> str:
        """What is to be read on it, without colours and movements."""
        return re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", self._shown.decode(errors="replace")).replace("\r", "")

    @property
    def raw(self) -> bytes:
        """All bytes that it was sent."""
        return self._shown

    def wait_for(self, condition: Callable[[str], bool]) -> None:
        """Wait until a condition on what is shown, or on anything else, holds."""
        deadline = time.monotonic() + SECONDS
        while not condition(self.shown):
            assert self._read(), f"it has ended:\n{self.shown}"
            assert time.monotonic() < deadline, f"took too long:\n{self.shown}"

    def press_ctrl_c(self) -> None:
        """To everything in the foreground."""
        os.write(self._ours, b"\x03")

    def end(self) -> int:
        """Wait until it has ended; its exit code."""
        deadline = time.monotonic() + SECONDS
        while self._read():
            assert time.monotonic() < deadline, f"does not end:\n{self.shown}"
        return self.process.wait(SECONDS)

    def close(self) -> None:
        """Kill what still runs, and what that has begun."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._ours)

    def _read(self) -> bool:
        """Take in what is shown; whether anybody is left who could show more."""
        if not select.select([self._ours], [], [], 0.01)[0]:
            return True
        try:
            more = os.read(self._ours, 65536)
        except OSError:  # Linux says EIO at a pseudo-terminal's end
            more = b""
        self._shown += more
        return bool(more)


@contextmanager
def terminal(arguments: list[str], folder: Path, environment: dict[str, str]) -> Iterator[Terminal]:
    """A process in a terminal; what still runs at the end is killed."""
    opened = Terminal(arguments, folder, environment)
    try:
        yield opened
    finally:
        opened.close()
