"""Shows log messages of devices and engines together with the progress display.

They use Python's logging, under "mgdhw": current activity as INFO, what the user should know as WARNING. A user's
program gets them there; without a handler, Python prints warnings on stderr.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator


class _LogForwarder(logging.Handler):
    def __init__(self, show_activity: Callable[[str], None], note: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self._show_activity = show_activity
        self._note = note

    def emit(self, record: logging.LogRecord) -> None:
        show = self._show_activity if record.levelno < logging.WARNING else self._note
        show(record.getMessage())


@contextlib.contextmanager
def forward_logs(show_activity: Callable[[str], None], note: Callable[[str], None]) -> Iterator[None]:
    """In this context, log messages are shown.

    Args:
        show_activity: shows the current activity; called from any thread.
        note: shows what the user should know; called from any thread.
    """
    logger, forwarder = logging.getLogger("mgdhw"), _LogForwarder(show_activity, note)
    before, propagated = logger.level, logger.propagate
    logger.addHandler(forwarder)
    logger.setLevel(logging.INFO)
    logger.propagate = False  # shown once
    try:
        yield
    finally:
        logger.removeHandler(forwarder)
        logger.setLevel(before)
        logger.propagate = propagated
