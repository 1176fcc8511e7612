"""A board stays safe, whatever escapes from its worker: real boards, and drivers that go wrong on purpose."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mgdhw.concurrency import reminders
from mgdhw.device import Capability, DeviceInfo
from mgdhw.errors import ConfigError, DeviceFault
from mgdhw_drivers.protocol import cells
from mgdhw_drivers.protocol.messages import Identify, Snapshot
from mgdhw_drivers.protocol.numbers import ANSWER, Area, Code, Reason, State, Type
from mgdhw_drivers.server import hardware, worker
from mgdhw_drivers.server.board import Board
from mgdhw_drivers.server.endpoint import Endpoint, Line
from mgdhw_drivers.server.fault_injection import Damage
from mgdhw_drivers.server.limits import NO_LIMITS, Limits
from mgdhw_drivers.server.serving import serving
from mgdhw_drivers.transports.unix import UnixListener
from tests.drivers.server.direct import Direct, code_of, costs_of, direct, doubles, text_of
from tests.drivers.server.recorder import Recorder

NONIDEAL = "sim:analog-8bit?layers=2-3-1&engine=reference&write_noise=0.01&retention=1e6"


def fails(error: BaseException) -> Callable[[], Awaitable[None]]:
    """Something that goes wrong with an error."""

    async def fail() -> None:
        raise error

    return fail


async def hang() -> None:
    """Something that never comes back."""
    await asyncio.sleep(3600)


async def cling() -> None:
    """Something that never comes back, and cannot be cancelled either."""
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            if cling_may_end.is_set():
                raise


cling_may_end = asyncio.Event()

LearnRequest = Callable[[Direct], Awaitable[tuple[int, bytes]]]


async def _measures(talk: Direct) -> tuple[int, bytes]:
    return Type.MEASURE, talk.measure()


async def _probes(talk: Direct) -> tuple[int, bytes]:
    return Type.PROBE, talk.probe()


@pytest.mark.parametrize("asks", [_measures, _probes], ids=["MEASURE", "a block by host codes"])
@pytest.mark.parametrize(
    "error",
    [ValueError("could not convert string to float: '+9.9E'"), OSError(5, "Input/output error"), KeyError("x"),
     asyncio.CancelledError(), AssertionError(), MemoryError()],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
async def test_an_error_that_nobody_foresaw(
    asks: LearnRequest, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    driver = Recorder()
    driver.info = DeviceInfo(**{**_fields(driver.info), "capabilities": Capability.MEASURE | Capability.PROBE})
    async with direct(driver) as talk:
        await talk.prepare()
        assert driver.energised
        driver.wrong["measure"] = fails(error)
        answer = await talk.ask(*await asks(talk))
        assert (answer.type, text_of(answer)) == (Type.FAULT, "internal error, see the server's log")
        assert not driver.energised
        assert [record for record in caplog.records if record.exc_info and record.exc_info[1] is error]
        pong = await talk.pong()
        assert (pong.state, pong.reason, pong.running) == (State.FAULTY, Reason.FAULT, 0)
        assert code_of(await talk.ask(Type.MEASURE, talk.measure())) is Code.SAFE
        assert (await talk.ask(Type.SAFE)).type == Type.SAFE | ANSWER
        del driver.wrong["measure"]
        await talk.prepare()  # the worker is there, and IDENTIFY opens the device again
        assert driver.energised
        assert costs_of(await talk.ask(Type.MEASURE, talk.measure())) == [2.0]
    assert not driver.energised


async def test_a_driver_that_says_what_is_wrong_is_believed() -> None:
    driver = Recorder()
    async with direct(driver) as talk:
        await talk.prepare()
        for error in (DeviceFault("overload", uri="recorder:"), ConfigError("no range for this")):
            driver.wrong["measure"] = fails(error)
            answer = await talk.ask(Type.MEASURE, talk.measure())
            assert (code_of(answer), text_of(answer)) == (Code.FAULT, str(error))
            assert (await talk.pong()).state == State.READY
        del driver.wrong["measure"]
        assert costs_of(await talk.ask(Type.MEASURE, talk.measure())) == [2.0]


async def test_safe_is_said_only_after_closing_has_returned(caplog: pytest.LogCaptureFixture) -> None:
    driver, error = Recorder(), OSError(19, "No such device")
    async with direct(driver) as talk:
        await talk.prepare()
        driver.wrong["close"] = fails(error)
        answer = await talk.ask(Type.SAFE)
        assert code_of(answer) is Code.FAULT
        assert "NOT confirmed to be safe" in text_of(answer)
        assert (await talk.pong()).state == State.FAULTY
        talk.board.disconnected()
        await talk.until(lambda: driver.told.count("close") == 3)  # start, SAFE, and once more: it is not safe yet
        await talk.until(lambda: talk.board.worker.running is None)
        assert "in its safe state" not in caplog.text
        talk.connect()
        del driver.wrong["close"]
        assert (await talk.ask(Type.SAFE)).type == Type.SAFE | ANSWER
        assert not driver.energised


async def test_an_end_that_leaves_the_hardware_unsafe_is_an_error() -> None:
    driver = Recorder()
    board = Board(driver, 1 << 14, NO_LIMITS)
    await board.start()
    talk = Direct(board)
    await talk.prepare()
    driver.wrong["close"] = fails(OSError(19, "No such device"))
    with pytest.raises(DeviceFault, match="NOT confirmed to be safe; look at the hardware"):
        await board.stop()
    other = Recorder()
    other.wrong["open"] = fails(ValueError("not at all"))
    with pytest.raises(ValueError, match="not at all"):
        await Board(other, 1 << 14, NO_LIMITS).start()
    assert other.told == ["open", "close"]


async def test_a_way_to_the_safe_state_is_waited_for_while_something_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(hardware, "CLOSING_SECONDS", 0.5)
    driver, slowly = Recorder(), Limits(slew=0.125)

    async def dawdle() -> None:
        await asyncio.sleep(0.2)

    async with direct(driver, slowly) as talk:
        await talk.prepare()
        await talk.set(np.full(2, 1.0))
        driver.wrong["write"] = dawdle
        assert (await talk.ask(Type.SAFE)).type == Type.SAFE | ANSWER  # after eight steps
        assert not driver.energised


async def test_a_way_to_the_safe_state_that_hangs_is_told(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(hardware, "CLOSING_SECONDS", 0.2)
    monkeypatch.setattr(reminders, "AFTER_SECONDS", 0.05)
    caplog.set_level(logging.INFO)
    driver, may_end = Recorder(), asyncio.Event()

    async def wait() -> None:
        await may_end.wait()

    async with direct(driver) as talk:
        await talk.prepare()
        driver.wrong["close"] = wait
        sequence = talk.send(Type.SAFE)
        assert (await talk.pong()).running == sequence  # it answers while it waits
        answer = await talk.wait(lambda frame: frame.sequence == sequence)
        assert "NOT confirmed to be safe" in text_of(answer)
        assert "going to the safe state (" in caplog.text
        assert "does not come back from closing" in caplog.text
        assert "in its safe state" not in caplog.text
        refused = await talk.identify()
        assert (code_of(refused), "has not come back" in text_of(refused)) == (Code.FAULT, True)
        assert driver.told.count("open") == 2  # not opened over a closing that is under way
        may_end.set()
        assert (await talk.ask(Type.SAFE)).type == Type.SAFE | ANSWER
        assert (await talk.identify()).type == Type.IDENTIFY | ANSWER


async def test_a_measurement_that_hangs_keeps_nobody_from_the_safe_state() -> None:
    driver = Recorder()
    async with direct(driver) as talk:
        for leave in (lambda: talk.send(Type.SAFE), talk.board.disconnected, lambda: talk.board.listened(2.0)):
            talk.connect()
            del driver.told[:]
            driver.wrong.clear()
            await talk.prepare()
            talk.board.silence.dead_man = 1.0
            driver.wrong["measure"] = hang
            talk.send(Type.MEASURE, talk.measure())
            await talk.until(lambda: "measure" in driver.told)
            leave()
            await talk.until(lambda: not driver.energised)
            assert talk.board.state is State.SAFE


async def test_a_driver_that_cannot_be_cancelled_is_left_behind(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "ENDING_SECONDS", 0.2)
    cling_may_end.clear()
    driver = Recorder()
    async with direct(driver) as talk, contextlib.AsyncExitStack() as stack:
        stack.callback(cling_may_end.set)
        await talk.prepare()
        driver.wrong["measure"] = cling
        talk.send(Type.MEASURE, talk.measure())
        await talk.until(lambda: "measure" in driver.told)
        talk.board.disconnected()
        await talk.until(lambda: "in its safe state, after a fault" in caplog.text)  # and told to whoever was there
        assert "has not returned from what was ended" in caplog.text
        assert not driver.energised
        talk.connect()
        refused = await talk.identify()
        assert "has not come back" in text_of(refused)  # one call at a time: it is not opened below that one


async def test_a_host_that_leaves_while_the_device_is_opened_leaves_it_safe() -> None:
    driver = Recorder()
    async with direct(driver) as talk:
        talk.send(Type.IDENTIFY, _take())
        talk.board.disconnected()  # before the worker has seen it
        await asyncio.sleep(0)
        driver.wrong["open"] = hang
        talk.connect()
        talk.send(Type.IDENTIFY, _take())
        await talk.until(lambda: driver.told.count("open") == 2)
        talk.board.disconnected()
        await talk.until(lambda: driver.told[-1] == "close")
        assert (driver.energised, talk.board.state) == (False, State.SAFE)


@pytest.mark.parametrize("what", ["open", "load"])
async def test_a_device_that_cannot_be_opened_again(what: str) -> None:
    driver = Recorder()
    async with direct(driver) as talk:
        await talk.prepare()
        await talk.ask(Type.SAFE)
        driver.wrong[what] = fails(ValueError("not now"))
        assert (await talk.identify()).type == Type.FAULT
        assert not driver.energised
        driver.wrong[what] = fails(DeviceFault("not now"))
        answer = await talk.identify()
        assert (code_of(answer), text_of(answer)) == (Code.FAULT, "not now")
        assert not driver.energised
        assert (await talk.pong()).state == State.FAULTY
        del driver.wrong[what]
        await talk.prepare()


async def test_a_board_that_does_not_start_again_does_so_after_the_next_reboot(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    driver = Recorder()
    station = Endpoint(driver, Line())

    async def reboot() -> None:
        station._apply_damage(Damage((), reboot=True))
        async with asyncio.timeout(10):
            while station._rebooting is not None:  # noqa: ASYNC110 (a station sets no events)
                await asyncio.sleep(0.01)

    async with serving(station, UnixListener(station, tmp_path / "socket")):
        driver.wrong["open"] = fails(ValueError("not now"))
        await reboot()
        assert "does not come back from its reboot" in caplog.text
        assert not driver.energised
        del driver.wrong["open"]
        await reboot()
        assert station._board is not None
        driver.wrong["open"] = fails(ValueError("not now"))
        await reboot()
    assert driver.told[-1] == "close"


async def test_the_hardware_is_safe_whatever_becomes_of_the_way_there(tmp_path: Path) -> None:
    class Broken(UnixListener):
        async def stop(self) -> None:
            await super().stop()
            raise OSError(5, "Input/output error")

    driver = Recorder()
    station = Endpoint(driver, Line())
    with pytest.raises(OSError, match="Input/output"):
        async with serving(station, Broken(station, tmp_path / "socket")):
            await station._board.hardware.open()
    assert not driver.energised


async def test_what_was_once_fatal_is_refused() -> None:
    async with direct() as talk:
        await talk.prepare()
        bad: list[tuple[int, bytes]] = [
            (Type.MEASURE, talk.measure(part=7)),
            (Type.MEASURE, talk.measure(step=1 << 63)),
            (Type.PROBE, talk.probe(first_step=(1 << 63) - 1)),
            (Type.PROBE, talk.probe(first_step=(1 << 64) - 1)),
            (Type.PROBE, talk.probe(batch=(1 << 32) - 1)),
            (Type.LEARN, await talk.learn({"first_step": (1 << 63) - 1})),
            (Type.LEARN, await talk.learn({"first_step": (1 << 64) - 5, "n_probes": 222}, update_period=7)),
            (Type.LEARN, await talk.learn(tau_hp=-1.0, flags=1)),
            (Type.LEARN, await talk.learn(update=(1 << 64) - 1, flags=12)),
            (Type.LEARN, await talk.learn(eta=float("nan"))),
            (Type.LEARN, await talk.learn(flags=255)),
        ]
        for kind, payload in bad:
            assert code_of(await talk.ask(kind, payload)) is Code.BAD
        assert code_of(await talk.set(np.zeros(13), step=1 << 63)) is Code.BAD
        assert (await talk.ask(Type.PROBE, talk.probe())).type == Type.PROBE | ANSWER
        assert (await talk.ask(Type.LEARN, await talk.learn())).type == Type.LEARN | ANSWER


async def test_the_last_steps_that_there_are_can_be_taken() -> None:
    async with direct() as talk:
        await talk.prepare()
        end = (1 << 63) - 1
        assert (await talk.set(np.zeros(13), step=end)).type == Type.SET | ANSWER
        for family in range(6):
            answer = await talk.ask(Type.PROBE, talk.probe(first_step=end - 4, family=family, code_parameter=0.5))
            assert answer.type == Type.PROBE | ANSWER, family
        learn = await talk.learn({"first_step": end - 4}, update=end - 4, flags=12)
        assert (await talk.ask(Type.LEARN, learn)).type == Type.LEARN | ANSWER


async def test_a_state_that_no_training_comes_to_is_refused() -> None:
    async with direct() as talk:
        await talk.prepare()
        bad = doubles(*[float("nan")] * 13)
        await talk.learn()
        await talk.write(Area.THETA, bad)
        payload = await talk.learn()
        learn = payload[: 80 + 132] + zlib.crc32(bad).to_bytes(4, "little") + payload[80 + 136 :]
        await talk.write(Area.THETA, bad)
        assert code_of(await talk.ask(Type.LEARN, learn)) is Code.BAD


async def test_cells_that_no_chip_could_have_are_refused() -> None:
    async with direct(NONIDEAL) as talk:
        await talk.prepare()
        taken = Snapshot.unpack((await talk.ask(Type.SNAPSHOT)).payload)
        good = cells.unpack(talk.board.work.areas.first(Area.CELLS, taken.size))

        async def restore(memory: dict[str, NDArray[Any]]) -> Code | None:
            content = cells.pack(memory)
            await talk.write(Area.CELLS, content)
            answer = await talk.ask(Type.RESTORE, Snapshot(len(content), zlib.crc32(content)).pack())
            return code_of(answer)

        assert await restore(good) is None
        for name in good:
            assert await restore({key: array for key, array in good.items() if key != name}) is Code.BAD
            assert await restore({**good, name: good[name].astype(np.float64)}) is Code.BAD
            assert await restore({**good, name: good[name][:0]}) is Code.BAD
        for name, value in {"requested": 128, "value": 1 << 30, "born": -1, "wear": -1, "written": -2}.items():
            assert await restore({**good, name: np.full_like(good[name], value)}) is Code.BAD
        assert await restore(good) is None


def _take() -> bytes:
    return Identify(7, 0, 0x4000, 1).pack()


def _fields(info: DeviceInfo) -> dict[str, Any]:
    return {name: getattr(info, name) for name in info.__dataclass_fields__}
