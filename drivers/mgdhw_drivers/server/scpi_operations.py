"""Operations of an SCPI connection: one at a time, whose answer may be fetched later."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from mgdhw.errors import ConfigError, DatasetError, DeviceFault, LinkCorrupt, MgdhwError
from mgdhw_drivers.protocol.numbers import Code
from mgdhw_drivers.scpi import Reply, ScpiError, quoted
from mgdhw_drivers.server.loopback import Refusal

PENDING = "PEND"
"""Instead of the answer to an operation that takes longer than the host's patience."""
CODES = {
    Code.UNKNOWN: -220,
    Code.BAD: -220,
    Code.MISMATCH: -221,
    Code.LIMIT: -222,
    Code.UNSUPPORTED: -241,
    Code.SAFE: -221,
    Code.FAULT: -240,
    Code.VERSION: -220,
}
"""SCPI's error for each of the link's."""


class Failed(ScpiError):
    """An error of the board.

    Args:
        code: of SCPI.
        link_code: of the link; its name is said behind the standard's text.
        value: what it is about.
        detail: what the board says.
    """

    def __init__(self, code: int, link_code: Code, value: int, detail: str) -> None:
        super().__init__(code, f"{link_code.name} {value} {detail}")
        self.answer = f"ERR,{link_code.name},{value},{quoted(''.join(c if ' ' <= c <= '~' else '?' for c in detail))}"
        """Instead of a block, to a program that wants an answer."""


class PendingOperation:
    """The operation that is under way."""

    def __init__(self) -> None:
        self.patience: float | None = None
        """Seconds after which PENDING is answered instead; None: never."""
        self._task: asyncio.Task[Reply] | None = None
        self._key: bytes | None = None

    async def begin(self, work: Coroutine[Any, Any, Reply], key: bytes | None = None) -> Reply:
        """The result of an operation, or PENDING. What was under way is ended.

        Args:
            work: the operation.
            key: where it is the one of what is under way, that goes on, and is answered.
        """
        if self._task is not None and key is not None and key == self._key:
            work.close()
            return await self.fetch()
        await self.end()
        self._key = key
        self._task = asyncio.create_task(work, name="SCPI operation")
        return await self.fetch()

    async def fetch(self) -> Reply:
        """The result of what is under way, or PENDING. Raises ScpiError."""
        task = self._task
        if task is None:
            raise Failed(-230, Code.BAD, 0, "no operation is under way")
        await asyncio.wait({task}, timeout=self.patience)
        if not task.done():
            return PENDING
        self._task = self._key = None
        try:
            return task.result()
        except MgdhwError as error:
            raise scpi_error(error) from error
        except asyncio.CancelledError:
            raise Failed(-240, Code.FAULT, 0, "the operation was ended") from None

    async def end(self) -> None:
        """End what is under way; its answer is lost."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled():
                task.exception()  # seen


def scpi_error(error: MgdhwError) -> Failed:
    """The error of SCPI for one of the board."""
    if isinstance(error, Refusal) and error.answer.trouble is not None:
        trouble = error.answer.trouble
        code = Code(trouble.code) if trouble.code in set(Code) else Code.UNKNOWN
        return Failed(CODES[code], code, trouble.value, error.answer.text)
    if isinstance(error, LinkCorrupt | ConfigError | DatasetError):
        return Failed(-220, Code.BAD, 0, str(error))
    return Failed(-240 if isinstance(error, DeviceFault) else -300, Code.FAULT, 0, str(error))
