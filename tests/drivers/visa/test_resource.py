"""Resources by VISA: shared by tasks, in step after every fault, closed whatever happens."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from mgdhw.errors import DeviceAbsent, DeviceFault, DeviceUnavailable, LinkCorrupt, LinkLost, LinkTimeout
from mgdhw_drivers.visa.resource import Resource, ResourceSettings
from mgdhw_drivers.visa.stream_session import SocketSession
from tests.helpers.sockets import free_port
from tests.helpers.waiting import until

from .acme import Acme

URI = "bench:test.toml"
TIMEOUT = 0.4
LATE = 1.5 * TIMEOUT


@pytest.fixture
async def acme() -> AsyncIterator[Acme]:
    """An instrument at a socket."""
    async with Acme().listening() as instrument:
        yield instrument


def resource(acme: Acme, **settings: Any) -> Resource:
    return Resource("acme", acme.address, ResourceSettings(**{"timeout": TIMEOUT, **settings}), URI)


@pytest.fixture
async def opened(acme: Acme) -> AsyncIterator[Resource]:
    """It, open."""
    source = resource(acme)
    await source.open()
    yield source
    await source.close()


@pytest.fixture(params=["event loop", pytest.param("thread", marks=pytest.mark.long)])
def where(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where requests are made: sockets that the event loop cannot watch need the thread, as all other resources do."""
    if request.param == "thread":
        monkeypatch.setattr(SocketSession, "fileno", lambda self: -1)


@pytest.mark.usefixtures("where")
async def test_everything_that_instruments_say_is_read(opened: Resource, acme: Acme) -> None:
    assert opened.identity == "ACME,source,7,1.0"
    await opened.write("VOLT 1.25")
    assert await opened.query("VOLT?") == "1.25"
    assert await opened.query_block("BLOCK?") == bytes(range(5, 15))
    np.testing.assert_array_equal(await opened.query_ascii("WAVE?"), [1.0, 2.5, -3.0])
    await opened.wait_complete()
    await opened.drain_errors()


@pytest.mark.parametrize("where", ["event loop", "thread"], indirect=True)
@pytest.mark.usefixtures("where")
async def test_each_of_many_tasks_gets_its_own_answers(opened: Resource) -> None:
    async def ask(task: int) -> int:
        return sum([await opened.query(f"ECHO? {task}-{i}") != f"{task}-{i}" for i in range(300)])

    assert await asyncio.gather(*map(ask, range(4))) == [0, 0, 0, 0]


async def test_instruments_work_at_the_same_time() -> None:
    async with Acme().listening() as one, Acme().listening() as other:
        sources = [resource(one, timeout=20.0), resource(other, timeout=20.0)]
        await asyncio.gather(*(source.open() for source in sources))
        one.delay = 1e9
        waiting = asyncio.create_task(sources[0].query("ECHO? never"))
        assert await sources[1].query("ECHO? now") == "now"
        assert not waiting.done()
        waiting.cancel()
        await asyncio.gather(*(source.close() for source in sources))


@pytest.mark.usefixtures("where")
async def test_a_late_answer_is_not_taken_for_another_one(opened: Resource, acme: Acme) -> None:
    for number in range(2):
        acme.delay = LATE
        with pytest.raises(LinkTimeout, match=r"bench:test.toml: acme has not answered for 0.4 s"):
            await opened.query("ECHO? late")
        assert await opened.query(f"ECHO? {number}") == str(number)


async def test_a_late_identity_is_not_taken_for_another_answer(opened: Resource, acme: Acme) -> None:
    acme.delay = LATE
    with pytest.raises(LinkTimeout):
        await opened.query("*IDN?")
    assert await opened.query("ECHO? 1") == "1"


async def test_an_instrument_that_stays_silent_is_opened_again_and_that_is_said(opened: Resource, acme: Acme) -> None:
    acme.delay = 1e9
    with pytest.raises(LinkTimeout):
        await opened.query("ECHO? never")
    with pytest.raises(LinkLost, match="had to be opened and initialised again"):
        await opened.query("VOLT?")
    assert await opened.query("ECHO? 1") == "1"


@pytest.mark.usefixtures("where")
@pytest.mark.parametrize(
    ("question", "error"),
    [("HALF?", LinkTimeout), ("NOBLOCK?", LinkCorrupt), ("WAVE?", LinkCorrupt), ("HANGUP?", LinkLost)],
)
async def test_a_block_that_is_none_is_an_error_and_no_more(
    opened: Resource, question: str, error: type[Exception]
) -> None:
    with pytest.raises(error, match="acme"):
        await opened.query_block(question)
    assert await opened.query("ECHO? 1") == "1"


async def test_what_is_no_text_is_an_error(opened: Resource) -> None:
    with pytest.raises(LinkCorrupt, match="no text"):
        await opened.query("GARBAGE?")
    with pytest.raises(LinkCorrupt, match="expected numbers"):
        await opened.query_ascii("*IDN?")
    assert await opened.query("ECHO? 1") == "1"


async def test_an_instrument_that_sends_without_end_is_given_up(acme: Acme) -> None:
    source = resource(acme, open_timeout=0.3)
    await source.open()
    acme.babbles = True
    await source.query("ECHO? 1")
    with pytest.raises((LinkCorrupt, LinkLost)):
        await source.query("ECHO? 2")
    acme.babbles = False
    await source.close()


async def test_errors_are_told_with_code_and_text(opened: Resource) -> None:
    await opened.write("FAIL")
    await opened.write("FAIL")
    with pytest.raises(DeviceFault, match=r"acme reports error -222, Data out of range;VOLT 99; -222, Data"):
        await opened.drain_errors()
    await opened.drain_errors()


@pytest.mark.parametrize("noticed", ["drain", "timeout"])
async def test_an_instrument_that_was_switched_off_and_on_is_initialised_before_it_is_used(
    acme: Acme, noticed: str
) -> None:
    source = resource(acme, initialise=("VOLT 5",))
    await source.open()
    assert await source.query("VOLT?") == "5.0"
    acme.power_cycle()
    if noticed == "drain":
        with pytest.raises(LinkLost, match="switched off and on"):
            await source.drain_errors()
    else:
        acme.delay = LATE
        with pytest.raises(LinkTimeout):
            await source.query("ECHO? late")
        with pytest.raises(LinkLost, match="switched off and on"):
            await source.query("VOLT?")
    assert await source.query("VOLT?") == "5.0"
    await source.close()


@pytest.mark.usefixtures("where")
async def test_a_cancelled_task_is_free_at_once(opened: Resource, acme: Acme) -> None:
    acme.delay = 0.2
    task = asyncio.create_task(opened.query("ECHO? cancelled"))
    await until(lambda: "ECHO? cancelled" in acme.received)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for i in range(20):
        assert await opened.query(f"ECHO? {i}") == str(i)


@pytest.mark.usefixtures("where")
async def test_a_cancelled_request_that_has_not_begun_is_never_sent(opened: Resource, acme: Acme) -> None:
    acme.delay = 0.1
    first = asyncio.create_task(opened.query("ECHO? first"))
    second = asyncio.create_task(opened.write("VOLT 9"))
    await until(lambda: "ECHO? first" in acme.received)
    second.cancel()
    assert await first == "first"
    assert await opened.query("VOLT?") == "0.0"


async def test_closing_ends_what_is_awaited(opened: Resource, acme: Acme) -> None:
    acme.delay = 1e9
    task = asyncio.create_task(opened.query("ECHO? never"))
    await until(lambda: "ECHO? never" in acme.received)
    await opened.close()
    with pytest.raises(LinkLost, match="closed"):
        await task


async def test_messages_longer_than_a_socket_takes_at_once_are_sent_whole(opened: Resource, acme: Acme) -> None:
    text = "x" * 3_000_000
    assert await opened.query(f"ECHO? {text}") == text
    await opened.write(f"NONSENSE {text}")
    assert await opened.query("ECHO? 1") == "1"


async def test_a_message_that_is_not_taken_is_never_continued_by_another(
    opened: Resource, acme: Acme, monkeypatch: pytest.MonkeyPatch
) -> None:
    acme.delay = 1e9
    await opened.write("VOLT 1")
    with pytest.raises(LinkTimeout, match="has taken nothing of a message"):
        await opened.write(f"NONSENSE {'x' * 30_000_000}")
    with pytest.raises(LinkLost, match="opened and initialised again"):
        await opened.query("ECHO? 1")
    assert await opened.query("ECHO? 2") == "2"


async def test_a_call_that_never_returns_holds_up_nothing(
    opened: Resource, acme: Acme, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    stuck = SocketSession._receive

    def receive(self: Any, seconds: float) -> bytes:
        if seconds and threading.current_thread() is not threading.main_thread() and not release.is_set():
            release.wait()
        return stuck(self, seconds)

    monkeypatch.setattr(Resource, "_limit", 0.2)
    monkeypatch.setattr(SocketSession, "fileno", lambda self: -1)
    monkeypatch.setattr(SocketSession, "_receive", receive)
    with pytest.raises(LinkTimeout, match="stuck in a call of backend @py"):
        await opened.query("ECHO? 1")
    await asyncio.wait_for(opened.close(), 5.0)
    release.set()


async def test_an_instrument_that_is_not_there_is_absent(acme: Acme) -> None:
    address = f"TCPIP::127.0.0.1::{free_port()}::SOCKET"
    source = Resource("acme", address, ResourceSettings(), URI)
    with pytest.raises(DeviceAbsent, match="cannot open"):
        await source.open()
    for wrong in ("nonsense", "ASRL/dev/no-such-port::INSTR"):
        with pytest.raises(DeviceUnavailable, match=wrong):
            await Resource("acme", wrong, ResourceSettings(), URI).open()
    with pytest.raises(DeviceAbsent, match="is not open"):
        await source.query("VOLT?")


STUCK = """
import asyncio, sys
from mgdhw.errors import DeviceAbsent
from mgdhw_drivers.visa.resource import Resource, ResourceSettings

try:
    asyncio.run(Resource("acme", sys.argv[1], ResourceSettings(open_timeout=0.2), "").open())
except DeviceAbsent as error:
    print(error)
"""


async def test_a_call_that_never_returns_keeps_no_program_from_ending() -> None:
    """pyvisa-py's HiSLIP has no timeout while it opens."""
    writers: list[asyncio.StreamWriter] = []
    async with await asyncio.start_server(lambda reader, writer: writers.append(writer), "127.0.0.1", 0) as silent:
        address = f"TCPIP::127.0.0.1::hislip0,{silent.sockets[0].getsockname()[1]}::INSTR"
        program = await asyncio.create_subprocess_exec(
            sys.executable, "-c", STUCK, address, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await program.communicate()
        assert b"does not come to an end" in output
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0)


async def test_another_instrument_than_expected_is_refused(acme: Acme) -> None:
    with pytest.raises(DeviceUnavailable, match=r"ACME,source,7,1.0.*expected .*KEITHLEY"):
        await resource(acme, identity="KEITHLEY").open()


@pytest.mark.parametrize(
    ("backend", "remedy"),
    [("@ivi", "NI-VISA or Keysight IO Libraries"), ("no-file.yaml@sim", "No such file"), ("@nonsense", "@py")],
)
async def test_a_backend_that_is_not_installed_is_named(acme: Acme, backend: str, remedy: str) -> None:
    with pytest.raises(DeviceUnavailable, match=remedy):
        await resource(acme, backend=backend).open()


HOLDER = """
import asyncio, sys
from mgdhw_drivers.visa.resource import Resource, ResourceSettings
from mgdhw_drivers.visa.stream_session import SocketSession

async def hold():
    source = Resource("acme", sys.argv[1], ResourceSettings(), "bench:other.toml")
    await source.open()
    print("open", flush=True)
    await source.query("ECHO? 1")
    await asyncio.sleep(1000)

asyncio.run(hold())
"""


async def test_only_one_program_uses_an_instrument_and_a_killed_one_lets_go(acme: Acme) -> None:
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, acme.address, stdout=asyncio.subprocess.PIPE
    )
    assert holder.stdout is not None
    try:
        assert await holder.stdout.readline() == b"open\n"
        source = resource(acme)
        with pytest.raises(DeviceUnavailable, match="used by another program"):
            await source.open()
    finally:
        holder.kill()
        await holder.wait()
    await source.open()
    assert await source.query("ECHO? 1") == "1"
    await source.close()


async def test_messages_keep_their_distance(acme: Acme) -> None:
    source = resource(acme, min_interval=0.02, check_errors=False)
    await source.open()
    began = time.monotonic()
    for _ in range(5):
        await source.write("VOLT 1")
    assert time.monotonic() - began >= 4 * 0.02
    await source.close()
