"""Boards at the serial ports of this machine (entry point of group `mgdhw.presets`)."""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import Sequence

from mgdhw.errors import DeviceError, LinkCorrupt
from mgdhw.report.console import printable
from mgdhw_drivers.client.link import Link
from mgdhw_drivers.client.serial import SerialTransport
from mgdhw_drivers.protocol.claims import check_description
from mgdhw_drivers.protocol.description import LONGEST, Description
from mgdhw_drivers.protocol.frames import SMALLEST_PAYLOAD
from mgdhw_drivers.protocol.messages import Chunk, Identify, Identity, Read
from mgdhw_drivers.protocol.numbers import Area, Type

ASK_SECONDS = 0.3
"""How long a port may take to say that it is a board."""
PORT_SECONDS = 2.0
"""How long one port may take for everything."""
ALL_SECONDS = 3.0
"""How long all of them may take, side by side; the system itself may hang in opening one."""

VENDORS = {0x2E8A: "Raspberry Pi", 0x2341: "Arduino", 0x1209: "pid.codes", 0x16C0: "Teensy", 0x303A: "Espressif"}
"""USB vendors whose boards people flash; other ports are listed, but nothing is sent to them."""


def boards() -> dict[str, str]:
    """Address of each serial port that may be a board's, and what it answers. Changes nothing at any board."""
    try:
        from serial.tools.list_ports import comports
    except ImportError:
        return {"serial:…": "boards at serial ports; needs pip install 'mgdhw[serial]'"}
    found: dict[str, str] = {"serial:PORT": "a board at a serial port that speaks the link"}
    candidates = [port for port in comports() if port.vid in VENDORS]
    for port, answer in zip(candidates, ask_all([port.device for port in candidates]), strict=True):
        found[f"serial:{port.device}"] = f"{answer} ({VENDORS[port.vid]}, {printable(str(port.description))})"
    return found


def servers() -> dict[str, str]:
    """What a `tcp:` address is."""
    return {"tcp:HOST:PORT": "a board, or `mgdhw serve`, that speaks the link over TCP"}


def sockets() -> dict[str, str]:
    """What a `unix:` address is."""
    return {"unix:PATH": "`mgdhw serve --unix PATH` on this machine, which speaks the link to this user alone"}


def ask_all(ports: Sequence[str]) -> list[str]:
    """What the boards at some ports say that they are, or why nothing is known of one. Takes at most `ALL_SECONDS`.

    Each is asked in a thread of its own, which nobody waits for at the end: opening a port may hang in the system.
    """
    answers = [f"skipped: port {port} could not be opened within {ALL_SECONDS:g} s" for port in ports]

    def ask_one(number: int) -> None:
        answers[number] = asyncio.run(ask(ports[number]))

    threads = [threading.Thread(target=ask_one, args=(number,), daemon=True) for number in range(len(ports))]
    deadline = time.monotonic() + ALL_SECONDS
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return list(answers)


async def ask(port: str) -> str:
    """What the board at a port says that it is."""
    uri = f"serial:{port}"
    link = Link(SerialTransport(uri, port, 115_200, slow=False), ASK_SECONDS, PORT_SECONDS)
    try:
        await link.connect()
        async with asyncio.timeout(PORT_SECONDS):
            description = await _description(link)
    except TimeoutError:
        return f"skipped: {uri}: what is there has not said within {PORT_SECONDS:g} s what it is"
    except DeviceError as error:
        return f"no answer: {error}"
    finally:
        await link.disconnect()
    model, identity = printable(description.model), printable(description.identity)
    return f"{model}, {identity}: {description.head.n_parameters:,} parameters"


async def _description(link: Link) -> Description:
    """What the board says of itself; taken into operation it is not."""
    hello = Identify(secrets.randbits(32) or 1, 0, link.connection.max_payload, 0)
    (answer,) = await link.ask([(Type.IDENTIFY, hello.pack())])
    identity = Identity.unpack(answer)
    step = min(identity.max_payload, link.connection.max_payload) - Chunk.form.size
    if identity.max_payload < SMALLEST_PAYLOAD or identity.description_size > LONGEST:
        raise LinkCorrupt("what it says of its sizes makes no sense", uri=link.uri)
    link.connection.verified(identity.window)
    size = identity.description_size
    requests = [Read(Area.DESCRIPTION, start, min(step, size - start)) for start in range(0, size, step)]
    parts = await link.ask([(Type.READ, read.pack()) for read in requests])
    description = Description.unpack(b"".join(part[Chunk.form.size :] for part in parts))
    check_description(description)
    return description
