"""Entry point of the `mgdhw` command: sets the process up, and turns errors into messages and exit codes.

Exit codes: 0 done, 1 an error that mgdhw explains, 2 wrong usage, 130 after Ctrl-C, 143 after SIGTERM (128 and the
number of the signal).
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import NoReturn

EXIT_ERROR = 1
EXIT_INTERRUPTED = 130


def main() -> NoReturn:
    """Run the command line and exit."""
    # The matrices of small networks are small: two BLAS threads that wait for each other are far slower than one.
    # numpy reads this once, when it is imported; a user who has set it knows better.
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # no "θ" in a code page is no reason to fail
    from mgdhw.errors import MgdhwError

    try:
        from mgdhw.cli.signals import leave_by_exception

        leave_by_exception()
        from mgdhw.cli.app import app

        app()
    except MgdhwError as error:
        sys.stderr.write("\n".join([f"error: {error}", *getattr(error, "__notes__", ())]) + "\n")
        sys.exit(EXIT_ERROR)
    except OSError as error:  # what mgdhw writes itself it explains itself; this is the output, or the system
        if not isinstance(error, BrokenPipeError):  # `mgdhw train | head`: nobody is left to tell
            what = "the output cannot be written" if error.filename is None else error.filename
            sys.stderr.write(f"error: {what}: {error.strerror or error}\n")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is buffered cannot be written either
        sys.exit(EXIT_ERROR)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    sys.exit(0)
