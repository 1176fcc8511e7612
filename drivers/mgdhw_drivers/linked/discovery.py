"""Boards at the serial ports of this machine (entry point of group `mgdhw.presets`)."""

from __future__ import annotations

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor

from mgdhw.errors import DeviceError
from mgdhw_drivers.link.description import Description
from mgdhw_drivers.link.messages import Area, Chunk, Identify, Identity, Read, Type
from mgdhw_drivers.linked.link import Link
from mgdhw_drivers.linked.serial import SerialTransport

ASK_SECONDS = 0.3
"""How long a port may take to say that it is a board."""

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
    if candidates:
        with ThreadPoolExecutor(1) as pool:  # whoever asks may have an event loop of its own
            answers = pool.submit(asyncio.run, _ask_all([port.device for port in candidates])).result()
        for port, answer in zip(candidates, answers, strict=True):
            found[f"serial:{port.device}"] = f"{answer} ({VENDORS[port.vid]}, {port.description})"
    return found


def servers() -> dict[str, str]:
    """What a `tcp:` address is."""
    return {"tcp:HOST:PORT": "a board, or `mgdhw serve`, that speaks the link over TCP"}


def sockets() -> dict[str, str]:
    """What a `unix:` address is."""
    return {
        "unix:PATH": "`mgdhw serve --unix PATH` on this machine, which speaks the link to whoever may write to PATH"
    }


async def _ask_all(ports: list[str]) -> list[str]:
    return list(await asyncio.gather(*(ask(port) for port in ports)))


async def ask(port: str) -> str:
    """What the board at a port says it is."""
    uri = f"serial:{port}"
    link = Link(SerialTransport(uri, port, 115_200, slow=False), ASK_SECONDS)
    try:
        await link.connect()
        hello = Identify(secrets.randbits(32) or 1, 0, link.connection.max_payload, 0)
        (answer,) = await link.ask([(Type.IDENTIFY, hello.pack())])
        identity = Identity.unpack(answer)
        link.connection.verified(identity.window)
        step = min(identity.max_payload, link.connection.max_payload) - Chunk.form.size
        size = min(identity.description_size, 1 << 16)
        parts = await link.ask(
            [
                (Type.READ, Read(Area.DESCRIPTION, start, min(step, size - start)).pack())
                for start in range(0, size, step)
            ]
        )
        description = Description.unpack(b"".join(part[Chunk.form.size :] for part in parts))
    except DeviceError as error:
        return f"no answer: {error}"
    finally:
        await link.disconnect()
    head = description.head
    return f"{description.model}, {description.identity}: {head.n_parameters} parameters"
