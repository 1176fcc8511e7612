"""What devices and engines have to say, told where the progress is shown.

They say it to Python's logging, under "mgdhw": what goes on at the moment as INFO, what the user should know as
WARNING. A program of the user's own hears of it there; where nobody listens, Python prints warnings on stderr.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator


class _Teller(logging.Handler):
    def __init__(self, doing: Callable[[str], None], say: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self._doing = doing
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        tell = self._doing if record.levelno < logging.WARNING else self._say
        tell(record.getMessage())


@contextlib.contextmanager
def telling(doing: Callable[[str], None], say: Callable[[str], None]) -> Iterator[None]:
    """While this lasts, notices are told.

    Args:
        doing: tells what goes on; called from any thread.
        say: tells what the user should know; called from any thread.
    """
    logger, teller = logging.getLogger("mgdhw"), _Teller(doing, say)
    before, propagated = logger.level, logger.propagate
    logger.addHandler(teller)
    logger.setLevel(logging.INFO)
    logger.propagate = False  # said once
    try:
        yield
    finally:
        logger.removeHandler(teller)
        logger.setLevel(before)
        logger.propagate = propagated
