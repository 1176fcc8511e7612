"""Parts of other people that are instruments: their servers, in processes of their own."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.helpers.sockets import free_port
from tests.helpers.waiting import wait_until

PERSONALITY = '''
"""A source for sinstruments, as its documentation has devices: one method, which is given lines."""

import gevent
from sinstruments.simulator import BaseDevice


class Source(BaseDevice):
    newline = b"\\n"
    volts, errors = "0", ()

    def handle_message(self, line):
        command, _, value = line.decode().strip().partition(" ")
        if command == "*IDN?":
            return b"sinstruments,source,1,1.0\\n"
        if command == "*CLS":
            self.errors = ()
        elif command == "SYST:ERR?":
            code = self.errors[0] if self.errors else b'0,"No error"'
            self.errors = self.errors[1:]
            return code + b"\\n"
        elif command == "VOLT":
            self.volts = value
        elif command == "VOLT?":
            return self.volts.encode() + b"\\n"
        elif command == "TRAC?":
            return b"#3256" + bytes(range(256)) + b"\\n"
        elif command == "SLOW?":
            gevent.sleep(float(value))
            return b"slow\\n"
        else:
            self.errors += (b'-113,"Undefined header"',)
        return None
'''
SCPIPY = """
import asyncio, sys
from scpipy.server import Router, Server

router = Router()

@router.register("*IDN?")
def identify(context):
    return "scpipy,source,1,1.0"

@router.register("VOLTage <value>")
def set_voltage(context, value):
    context.state["volts"] = value

@router.register("VOLTage?")
def voltage(context):
    return context.state.get("volts", "0")

@router.register("SLOW? <value>")
async def slow(context, value):
    await asyncio.sleep(float(value))
    return "slow"

server = Server("127.0.0.1", int(sys.argv[1]), shared_context=True)
server.include_router(router)
server.run()
"""
SIMULATED = """
spec: "1.1"
devices:
  source:
    eom:
      ASRL INSTR: {q: "\\n", r: "\\n"}
      TCPIP SOCKET: {q: "\\n", r: "\\n"}
      USB INSTR: {q: "\\n", r: "\\n"}
    error:
      error_queue:
        - q: "SYST:ERR?"
          default: '0,"No error"'
          command_error: '-113,"Undefined header"'
    dialogues:
      - {q: "*IDN?", r: "pyvisa-sim,source,1,1.0"}
      - {q: "*CLS"}
    properties:
      voltage:
        default: 0.0
        getter: {q: "VOLT?", r: "{:.3f}"}
        setter: {q: "VOLT {:.3f}"}
        specs: {min: 0, max: 10, type: float}
resources:
  ASRL1::INSTR: {device: source}
  TCPIP0::localhost::5025::SOCKET: {device: source}
  USB0::0x1111::0x2222::0x1::0::INSTR: {device: source}
"""


@contextlib.contextmanager
def sinstruments(folder: Path) -> Iterator[tuple[str, str]]:
    """VISA addresses of one of sinstruments' servers: TCP, and a pseudo-terminal."""
    port, link = free_port(), folder / "source"
    (folder / "personality.py").write_text(PERSONALITY)
    transports = [{"type": "tcp", "url": ["127.0.0.1", port]}, {"type": "serial", "url": str(link)}]
    devices = [{"name": "source", "class": "Source", "package": "personality", "transports": transports}]
    (folder / "config.json").write_text(json.dumps({"devices": devices}))
    with _process("-m", "sinstruments", "-c", str(folder / "config.json"), folder=folder):
        assert wait_until(link.is_symlink)
        _wait_for(port)
        yield f"TCPIP::127.0.0.1::{port}::SOCKET", f"ASRL{link}::INSTR"


@contextlib.contextmanager
def scpipy(folder: Path) -> Iterator[str]:
    """VISA address of one of scpipy's servers."""
    port = free_port()
    (folder / "server.py").write_text(SCPIPY)
    with _process(str(folder / "server.py"), str(port), folder=folder):
        _wait_for(port)
        yield f"TCPIP::127.0.0.1::{port}::SOCKET"


@contextlib.contextmanager
def _process(*arguments: str, folder: Path) -> Iterator[None]:
    process = subprocess.Popen([sys.executable, *arguments], cwd=folder)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _wait_for(port: int) -> None:
    def answers() -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
        except OSError:
            return False
        return True

    assert wait_until(answers)
