"""Serving until a signal ends it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Callable

from mgdhw_drivers.server.endpoint import Endpoint
from mgdhw_drivers.server.listener import Listener

log = logging.getLogger("mgdhw.serve")

ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


@contextlib.asynccontextmanager
async def serving(endpoint: Endpoint, listener: Listener) -> AsyncIterator[None]:
    """While this lasts, hosts are served; afterwards the device is in its safe state."""
    try:
        await endpoint.start()
        try:
            await listener.start()
            yield
        finally:
            await listener.stop()
    finally:
        await endpoint.stop()  # whatever has become of the way there


async def until_asked_to_end(endpoint: Endpoint, listener: Listener, begun: Callable[[], None]) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Args:
        endpoint, listener: what is served, and where.
        begun: called when hosts can come.
    """
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    with contextlib.suppress(NotImplementedError):  # Windows raises KeyboardInterrupt, which ends this, too
        for number in ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, asked.set)
    async with serving(endpoint, listener):
        begun()
        await asked.wait()
        log.info(
            "bringing %s to its safe state; Ctrl-C again changes nothing (a driver may take %g s to come back)",
            endpoint.device.uri, endpoint.device.closing_seconds,
        )  # fmt: skip
    log.info("%s: in its safe state", endpoint.device.uri)
