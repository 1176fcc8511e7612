from __future__ import annotations

import asyncio

from mgdhw_drivers.scpi import Interpreter, ScpiError
from mgdhw_drivers.scpi.status import LONGEST_QUEUE
from tests.drivers.scpi.instruments import Supply, ask, errors


def test_power_on_is_reported_once() -> None:
    supply = Supply()
    assert ask("*ESR?;*ESR?", supply) == "128;0"
    ask("VOLT 3;*ESE 32", supply)
    supply.power_cycle()
    assert ask("*ESR?;*ESE?", supply) == "128;0"


def test_errors_set_their_bits() -> None:
    supply = Supply()
    ask("*CLS", supply)
    for code, bit in [(-113, 32), (-222, 16), (-310, 8), (-410, 4), (7, 8)]:
        supply.status.report(ScpiError(code))
        assert ask("*ESR?", supply) == str(bit)
    assert ask("SYST:ERR:COUN?", supply) == "5"
    assert ask("SYST:ERR?", supply) == '-113,"Undefined header"'
    assert ask("SYST:ERR:ALL?", supply).endswith('-410,"Query INTERRUPTED",7,"Device-specific error"')
    assert ask("SYSTEM:ERROR:NEXT?", supply) == '0,"No error"'


def test_the_queue_overflows_with_its_last() -> None:
    supply = Supply()
    for _ in range(LONGEST_QUEUE + 5):
        ask("FOO", supply)
    assert len(errors(supply)) == LONGEST_QUEUE
    assert errors(supply)[-1] == -350
    ask("*CLS", supply)
    assert ask("SYST:ERR:COUN?;:*STB?", supply) == "0"
    assert ask("SYST:ERR?", supply).startswith("-102")


def test_details_are_printable_and_short() -> None:
    supply = Supply()
    supply.status.report(ScpiError(-300, "a\nb\x00" + "c" * 500))
    code, text = supply.status.take_error()
    assert code == -300
    assert text.startswith("Device-specific error;a?b?c")
    assert len(text) == 255


def test_status_byte() -> None:
    supply = Supply()
    ask("*CLS;*ESE 32;*SRE 255", supply)
    assert ask("*SRE?;*ESE?", supply) == "191;32"
    assert ask("*STB?", supply) == "0"
    ask("FOO", supply)
    assert ask("*STB?", supply) == str(4 + 32 + 64)
    assert ask("*OPC?;*STB?", supply) == "1;" + str(4 + 16 + 32 + 64)
    ask("*CLS", supply)
    assert ask("*STB?", supply) == "0"


def test_registers() -> None:
    supply = Supply()
    ask("STAT:QUES:ENAB 1;:STAT:OPER:ENAB 16", supply)
    supply.status.questionable.set(0, True)
    supply.status.operation.set(4, True)
    assert ask("*STB?", supply) == str(8 + 128)
    assert ask("STAT:QUES:COND?;EVEN?;EVEN?;ENAB?", supply) == "1;1;0;1"
    supply.status.questionable.set(0, False)
    assert ask("STAT:QUES:COND?;:STAT:QUES?;:STAT:OPER:ENAB?", supply) == "0;0;16"
    ask("STAT:PRES", supply)
    assert ask("STAT:QUES:ENAB?", supply) == "0"
    assert ask("*TST?", supply) == "0"
    assert ask("SYST:VERS?", supply) == "1999.0"
    ask("*SRE 256;*ESE -1", supply)
    assert errors(supply) == [-222, -222]


class Busy(Supply):
    """An instrument with an operation that lasts."""

    def __init__(self) -> None:
        super().__init__()
        self.over = asyncio.Event()

    async def _wait(self) -> None:
        await self.over.wait()

    def complete(self) -> asyncio.Future[None]:
        return asyncio.ensure_future(self._wait())

    @property
    def busy(self) -> bool:
        return not self.over.is_set()


async def test_completion() -> None:
    instrument = Busy()
    connection = Interpreter(instrument)
    other = Interpreter(instrument)

    async def ask(message: bytes) -> bytes:
        return b"".join([reply async for reply in connection.replies(message)])

    await ask(b"*CLS;*OPC\n")
    assert other.receive(b"*ESR?\n") == b"0\n"
    waiting = asyncio.ensure_future(ask(b"*OPC?;*WAI;*ESR?\n"))
    await asyncio.sleep(0)
    assert not waiting.done()
    instrument.over.set()
    instrument.completed()
    assert await waiting == b"1;1\n"


def test_completion_of_what_is_not_busy() -> None:
    assert ask("*CLS;*OPC;*ESR?;*OPC?;*WAI") == "1;1"
    supply = Supply()
    ask("*TRG", supply)
    assert errors(supply) == [-211]
