"""Entry point of the `mgdhw` command: sets up the process, and turns errors into messages and exit codes.

Exit codes: 0 success, 1 an error with a message (or an unexpected one, with a traceback), 2 wrong usage, 130
after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP (128 and the number of the signal).
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import NoReturn

from mgdhw.cli.exit_codes import EXIT_ERROR, EXIT_INTERRUPTED


def main() -> NoReturn:
    """Run the command line and exit."""
    try:
        _run()
    except SystemExit as ending:
        # Not imported here: a signal may have fallen into an import. Whoever has left a thread behind has imported it.
        threads = sys.modules.get("mgdhw.concurrency.threads")
        # A long computation, or the compiler, that nobody waits for any more: don't wait here either.
        if threads is not None and threads.left_behind():
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError, ValueError):
                    stream.flush()
            os._exit(ending.code if isinstance(ending.code, int) else EXIT_ERROR)
        raise


def _run() -> NoReturn:
    # The matrices of small networks are small: two BLAS threads that wait for each other are far slower than one.
    # numpy reads this once, when it is imported; a user who has set it knows better.
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    from mgdhw.cli.process_setup import prepare_process, working_folder_is_gone

    prepare_process()
    from mgdhw.errors import MgdhwError
    from mgdhw.report.console import OutputLost

    try:
        from mgdhw.cli.signals import leave_by_exception

        leave_by_exception()
        from mgdhw.cli.app import app

        app()
    except MgdhwError as error:
        _fail(str(error), error)
    except OutputLost as error:
        if not isinstance(error.__cause__, BrokenPipeError):  # `mgdhw train | head`: nobody is left to tell
            _explain(f"cannot write the output: {error}", error)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is buffered cannot be written either
        sys.exit(EXIT_ERROR)
    except OSError as error:  # what mgdhw writes itself it explains itself; this is the system, or somebody's code
        what = "" if error.filename is None else f"{error.filename}: "
        if isinstance(error, FileNotFoundError) and working_folder_is_gone():
            what = "the working folder no longer exists; change to another one: "
        _fail(f"{what}{error.strerror or error}", error)
    except MemoryError as error:
        _fail("out of memory; reduce training.batch, run.block or the layers", error)
    except KeyboardInterrupt:
        sys.stderr.write("stopped; no training was started\n")
        sys.exit(EXIT_INTERRUPTED)
    sys.exit(0)


def _fail(message: str, error: BaseException) -> NoReturn:
    _explain(message, error)
    sys.exit(EXIT_ERROR)


def _explain(message: str, error: BaseException) -> None:
    from mgdhw.report.console import printable

    text = "\n".join([f"error: {message}", *getattr(error, "__notes__", ())])
    sys.stderr.write(printable(text, lines=True) + "\n")
