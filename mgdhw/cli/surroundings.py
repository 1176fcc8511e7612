"""What a process finds around it when it begins, put right before anybody relies on it."""

from __future__ import annotations

import contextlib
import os
import sys

DIGITS = 5
"""Of a terminal's size; more is a mistake, and lines of that length would be made."""


def put_right() -> None:
    """Standard streams that are closed, and a size of the terminal that is none."""
    _open_streams()
    _forget_sizes()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # no "θ" in a code page is no reason to fail


def _open_streams() -> None:
    """What is printed to a stream that is closed (`>&-`) goes nowhere.

    A closed one is worse than that: the next file that is opened gets its number, and is what others print into.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            with contextlib.suppress(OSError):
                opened = os.open(os.devnull, os.O_RDWR)
                if opened != number:
                    os.dup2(opened, number)
                    os.close(opened)
                os.set_inheritable(number, True)  # for whatever this process starts, too
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 (as long as the process)


def _forget_sizes() -> None:
    """COLUMNS=0 says that nobody knows; it is no width that anything fits into."""
    for name in ("COLUMNS", "LINES", "TERMINAL_WIDTH"):
        value = os.environ.get(name)
        if value is not None and not (value.isascii() and value.isdecimal() and len(value) <= DIGITS and int(value)):
            del os.environ[name]


def here_is_gone() -> bool:
    """Whether the working folder has been removed."""
    try:
        os.getcwd()  # noqa: PTH109 (nothing is done with it)
    except OSError:
        return True
    return False
