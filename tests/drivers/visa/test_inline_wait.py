"""Answers that are awaited without the event loop leave it to other tasks often enough, and come late as well."""

from __future__ import annotations

import asyncio
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest

from mgdhw_drivers.visa.resource import Resource, ResourceSettings


class Echo(socketserver.StreamRequestHandler):
    """Answers each message by its last word, after as many seconds as it says."""

    def handle(self) -> None:
        for line in self.rfile:
            word = line.decode().split()[-1]
            if word.replace(".", "").isdigit():
                time.sleep(float(word))
            self.wfile.write(b"ECHO\n" if word == "*IDN?" else f"{word}\n".encode())


@pytest.fixture
def address() -> Iterator[str]:
    """Of an instrument in a thread, which needs no event loop."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"TCPIP::127.0.0.1::{server.server_address[1]}::SOCKET"
        server.shutdown()
        thread.join()


async def test_other_tasks_have_their_turns(address: str) -> None:
    source = Resource("echo", address, ResourceSettings(check_errors=False, inline_wait=1.0), "bench:test.toml")
    await source.open()
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    times = undisturbed = 0
    try:
        for number in range(100_000):
            before = turns
            assert await source.query(f"ECHO? n{number}") == f"n{number}"
            times, undisturbed = times + (turns > before), undisturbed + (turns == before)
            if times > 5 and undisturbed > 5:
                break
        assert times > 5
        assert undisturbed > 5  # answers that had no need of the event loop
    finally:
        counting.cancel()
        await source.close()


async def test_what_comes_later_is_awaited_as_ever(address: str) -> None:
    source = Resource("echo", address, ResourceSettings(check_errors=False, inline_wait=0.001), "bench:test.toml")
    await source.open()
    try:
        assert await source.query("ECHO? 0.05") == "0.05"
        assert await source.query("ECHO? now") == "now"
    finally:
        await source.close()
