"""Boards that talk without end, that hang, or that are frozen: nothing waits for ever, and Ctrl-C is over soon."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest

import mgdhw
from mgdhw.datasets import load
from mgdhw.device import open_device
from mgdhw.errors import DeviceUnavailable, LinkTimeout
from mgdhw.training.events import BlockDone
from mgdhw_drivers.client import discovery
from mgdhw_drivers.transports.serial import SERIAL
from tests.hostile.answers import Boards, boards, experiment
from tests.hostile.cases import CASES, CHIP

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes and pseudo-terminals")

SOON = 8.0
"""Seconds in which Ctrl-C is over; on a machine that does nothing else it is two."""
STUBBORN = (
    "line, from LEARN: values without an end",
    "line, from LEARN: pings, done stays",
    "line, from LEARN: echo",
    "terminal, from LEARN: echo",
    "line, from LEARN: text, slowly",
    "line, from LEARN: noise",
    "line, from LEARN: tiny frames",
    "line, from IDENTIFY: text, fast",
)


async def cancelled(board: Boards, name: str) -> float:
    """Seconds from the cancellation of a training, which would wait for ten minutes, to its end."""
    address = await board.serve(name)
    uri = f"{address}?timeout=600&progress=600&reconnect=600"
    case = CASES[name]
    training = asyncio.create_task(mgdhw.train_async(experiment(case.level, case.chip), device=uri, runs=None))
    await asyncio.wait([training], timeout=0.7)  # whatever moment this is
    assert not training.done()
    began = time.monotonic()
    training.cancel()
    await asyncio.wait([training])
    assert training.cancelled()
    board.end(name)
    return time.monotonic() - began


@pytest.mark.long
async def test_cancelling_is_over_soon_whatever_the_board_does() -> None:
    async with boards() as board:
        for name in STUBBORN:
            assert await cancelled(board, name) < SOON, name


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("line, from IDENTIFY: echo", "the line echoes"),
        ("line, from IDENTIFY: text, slowly", r'bytes that are no frames .* beginning with "h'),
        ("line, from IDENTIFY: frames that answer nothing", "frames that answer nothing"),
        ("line, from IDENTIFY: silent", r"has said nothing for 0\.\d s"),
    ],
)
async def test_it_is_said_what_came_instead_of_an_answer(name: str, says: str) -> None:
    async with boards() as board:
        address = await board.serve(name)
        with pytest.raises(DeviceUnavailable, match=says):
            async with open_device(f"{address}?timeout=0.2&reconnect=0"):
                pass
        board.end(name)


async def test_a_board_that_is_at_it_for_ever_is_given_up() -> None:
    name = "line, from LEARN: pings, done stays"
    async with boards() as board:
        address = await board.serve(name)
        given_up = {**experiment("learn", CHIP), "run": {"level": "learn", "retries": 0}}
        with pytest.raises(LinkTimeout, match=r"answers, but has got nothing done for 0\.\d+ s"):
            await mgdhw.train_async(given_up, device=f"{address}?timeout=5&progress=0.3", runs=None)
        board.end(name)


@pytest.mark.long
async def test_ports_are_asked_side_by_side_and_none_for_long() -> None:
    names = [
        f"terminal, from IDENTIFY: {line}" for line in ("echo", "text, slowly", "noise", "silent", "pings, done stays")
    ]
    async with boards() as board:
        ports = [await board.serve(name) for name in names]
        began = time.monotonic()
        answers = await asyncio.to_thread(
            discovery.describe_boards, [SERIAL.stream(p, *SERIAL.parse(p)) for p in ports]
        )
        assert time.monotonic() - began < discovery.ALL_SECONDS + 2.0
        for name in names:
            board.end(name)
    assert "the line echoes" in answers[0]
    assert all(answer.startswith(("no answer", "skipped")) for answer in answers), answers


# --- a frozen server -------------------------------------------------------------------------------------------------


class Words(logging.Handler):
    """Hears what is waited for."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(record.getMessage())

    def waits(self) -> list[str]:
        """The words about waiting."""
        return [text for text in self.heard if text.startswith("waiting for tcp:")]


async def train_while_frozen(seconds: float) -> tuple[str, list[str]]:
    """Digest of a training whose server stands still meanwhile, until it was said so and for some seconds more."""
    command = [sys.executable, "-c", "from mgdhw.cli.main import main; main()", "serve", CHIP, "--tcp", "0"]
    words, link = Words(), logging.getLogger("mgdhw")
    level = link.level
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)  # noqa: ASYNC220
    with server:
        assert server.stdout is not None
        found = re.search(r"tcp:\S+", await asyncio.to_thread(server.stdout.readline))
        assert found is not None
        frozen: list[float] = []
        going = asyncio.get_running_loop().create_future()

        def freeze(event: Any) -> None:
            if isinstance(event, BlockDone) and not frozen:
                os.kill(server.pid, signal.SIGSTOP)
                frozen.append(time.monotonic())
                going.set_result(None)

        async def thaw() -> None:
            await going
            while not words.waits() or time.monotonic() < frozen[0] + seconds:  # noqa: ASYNC110 (a log sets no events)
                await asyncio.sleep(0.05)
            os.kill(server.pid, signal.SIGCONT)

        link.addHandler(words)
        link.setLevel(logging.INFO)
        thawing = asyncio.create_task(thaw())
        try:
            given = {**experiment("learn", CHIP), "run": {"level": "learn", "block": 20, "retries": 1}}
            uri = f"{found[0]}?timeout=0.5&dead_man=2"
            result = await mgdhw.train_async(given, device=uri, runs=None, listeners=[freeze])
            await thawing
        finally:
            thawing.cancel()
            link.removeHandler(words)
            link.setLevel(level)
            os.kill(server.pid, signal.SIGCONT)
            server.terminate()
            await asyncio.to_thread(server.wait)
    return result.digest, words.waits()


@pytest.mark.long
@pytest.mark.parametrize("seconds", [0.0, 20.0])
async def test_a_frozen_server_is_waited_for_and_told(seconds: float) -> None:
    given = {**experiment("learn", CHIP), "run": {"level": "learn", "block": 20, "retries": 1}}
    wanted = (await mgdhw.train_async(given, runs=None)).digest
    digest, words = await train_while_frozen(seconds)
    assert digest == wanted
    assert re.fullmatch(r"waiting for tcp:\S+ \(1 s of 30 s\)", words[0]), words
    assert len(words) >= 1 + int(seconds // 6), words  # and every five seconds from then on


async def test_a_board_that_stays_frozen_is_given_up_with_what_to_do(bench: Any) -> None:
    async with bench.serve() as address, open_device(f"{address}?timeout=0.2&reconnect=0.3") as device:
        await device.load(load("xor"))
        await device.write(np.zeros(13))
        bench.station._board.received = lambda data: None  # it takes everything, and does nothing
        with pytest.raises(LinkTimeout, match="has said nothing"):
            await device.statistics()
        with pytest.raises(LinkTimeout, match=r"did not answer within 0\.3 s; check its power .*reconnect=SECONDS"):
            await device.statistics()
