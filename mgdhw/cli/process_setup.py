"""Preparation of the process: standard streams and terminal size."""

from __future__ import annotations

import contextlib
import os
import sys

DIGITS = 5
"""Most digits of a plausible terminal size."""


def prepare_process() -> None:
    """Open closed standard streams, and drop invalid terminal sizes from the environment."""
    _open_streams()
    _drop_invalid_sizes()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # a code page without "θ" must not make a command fail


def _open_streams() -> None:
    """Redirect closed standard streams (`>&-`) to the null device.

    Otherwise the next file that is opened gets the number of the stream, and output goes into it.
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
                os.set_inheritable(number, True)  # for child processes, too
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 (as long as the process)


def _drop_invalid_sizes() -> None:
    """Drop COLUMNS=0 and the like, which mean that the size is unknown."""
    for name in ("COLUMNS", "LINES", "TERMINAL_WIDTH"):
        value = os.environ.get(name)
        if value is not None and not (value.isascii() and value.isdecimal() and len(value) <= DIGITS and int(value)):
            del os.environ[name]


def working_folder_is_gone() -> bool:
    """Whether the working folder has been deleted."""
    try:
        os.getcwd()  # noqa: PTH109 (the result is not used)
    except OSError:
        return True
    return False
