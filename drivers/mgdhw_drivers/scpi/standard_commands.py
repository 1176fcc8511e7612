"""The commands that every instrument has: those of IEEE 488.2, `SYSTem:ERRor`, `STATus` and `FORMat`."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from mgdhw_drivers.scpi.call import Call
from mgdhw_drivers.scpi.errors import ScpiError
from mgdhw_drivers.scpi.replies import DataFormat, DataType, quoted

if TYPE_CHECKING:
    from mgdhw_drivers.scpi.instrument import ScpiInstrument


def add_standard_commands(instrument: ScpiInstrument) -> None:
    """Add them to an instrument's tree."""
    _add_common(instrument)
    _add_status(instrument)
    _add_errors(instrument)
    _add_format(instrument)


def _add_common(instrument: ScpiInstrument) -> None:
    add = instrument.tree.add

    def clear(call: Call) -> None:
        instrument.forget_completion()
        instrument.status.clear()

    def reset(call: Call) -> Awaitable[None] | None:
        instrument.forget_completion()
        return instrument.reset()

    async def once_complete(waiting: Awaitable[object]) -> int:
        await waiting
        return 1

    def ask_complete(call: Call) -> int | Awaitable[int]:
        waiting = instrument.complete()
        return 1 if waiting is None else once_complete(waiting)

    add("*IDN?", lambda call: instrument.identity)
    add("*CLS", clear)
    add("*RST", reset)
    add("*OPC", lambda call: instrument.report_completion())
    add("*OPC?", ask_complete)

    async def wait(waiting: Awaitable[object]) -> None:
        await waiting

    def hold(call: Call) -> Awaitable[None] | None:
        waiting = instrument.complete()
        return None if waiting is None else wait(waiting)

    add("*WAI", hold)
    add("*TRG", lambda call: instrument.trigger())
    add("*TST?", lambda call: instrument.self_test())


def _add_status(instrument: ScpiInstrument) -> None:
    add = instrument.tree.add

    def enable_events(call: Call) -> None:
        instrument.status.event_enable = call.integer(low=0, high=255)

    def enable_service(call: Call) -> None:
        instrument.status.service_enable = call.integer(low=0, high=255) & ~64  # the summary itself cannot be masked

    add("*ESR?", lambda call: instrument.status.take_events())
    add("*ESE", enable_events, 1)
    add("*ESE?", lambda call: instrument.status.event_enable)
    add("*SRE", enable_service, 1)
    add("*SRE?", lambda call: instrument.status.service_enable)
    add("*STB?", lambda call: instrument.status.byte())
    add("STATus:PRESet", lambda call: instrument.status.preset())
    _add_register(instrument, "OPERation", "operation")
    _add_register(instrument, "QUEStionable", "questionable")


def _add_register(instrument: ScpiInstrument, name: str, attribute: str) -> None:
    add = instrument.tree.add

    def enable(call: Call) -> None:
        getattr(instrument.status, attribute).enable = call.integer(low=0, high=32767)

    add(f"STATus:{name}[:EVENt]?", lambda call: int(getattr(instrument.status, attribute).take_event()))
    add(f"STATus:{name}:CONDition?", lambda call: int(getattr(instrument.status, attribute).condition))
    add(f"STATus:{name}:ENABle", enable, 1)
    add(f"STATus:{name}:ENABle?", lambda call: int(getattr(instrument.status, attribute).enable))


def _add_errors(instrument: ScpiInstrument) -> None:
    add = instrument.tree.add

    def take() -> str:
        code, text = instrument.status.take_error()
        return f"{code},{quoted(text)}"

    def take_all(call: Call) -> str:
        taken = [take()]
        while instrument.status.errors:
            taken.append(take())
        return ",".join(taken)

    add("SYSTem:ERRor[:NEXT]?", lambda call: take())
    add("SYSTem:ERRor:ALL?", take_all)
    add("SYSTem:ERRor:COUNt?", lambda call: len(instrument.status.errors))
    add("SYSTem:VERSion?", lambda call: "1999.0")


def _add_format(instrument: ScpiInstrument) -> None:
    add = instrument.tree.add

    def set_type(call: Call) -> None:
        word = call.choice(0, "ASCii", "REAL", "INTeger")
        length = call.integer(1, low=0, high=64) if len(call.arguments) > 1 else {"ASC": 0, "REAL": 64, "INT": 32}[word]
        text = word if word == "ASC" else f"{word},{length}"
        if text not in list(DataType):
            raise ScpiError(-224, text)
        instrument.format = DataFormat(DataType(text), instrument.format.swapped)

    def set_order(call: Call) -> None:
        instrument.format = DataFormat(instrument.format.type, call.choice(0, "NORMal", "SWAPped") == "SWAP")

    add("FORMat[:DATA]", set_type, (1, 2))
    add("FORMat[:DATA]?", lambda call: str(instrument.format.type))
    add("FORMat:BORDer", set_order, 1)
    add("FORMat:BORDer?", lambda call: "SWAP" if instrument.format.swapped else "NORM")
