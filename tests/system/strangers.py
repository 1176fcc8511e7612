"""Who comes to a board's port without being asked: a web page, somebody with a recording, too many."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import threading

from mgdhw_drivers.protocol import frames
from mgdhw_drivers.protocol.frames import Frame
from mgdhw_drivers.protocol.messages import Identify
from mgdhw_drivers.protocol.numbers import Type


def post(port: int) -> None:
    """What a web page can make a browser send: a request whose body holds frames that would take the board."""
    hello = frames.encode(Frame(Type.IDENTIFY, 1, Identify(7, 0, 4096, 1).pack()))
    safe = frames.encode(Frame(Type.SAFE, 2))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("POST", "/", b"\0" + hello + safe)
        connection.getresponse()
    connection.close()


def say(port: int, data: bytes) -> None:
    """Bytes, and then waiting for whatever comes of it."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
        connection.sendall(data)
        while connection.recv(4096):
            pass


def attack(port: int, heard: bytes, ended: threading.Event) -> None:
    """Strangers come until it is enough, with what the host has said, too, and more connections than anybody needs."""
    held: list[socket.socket] = []
    while not ended.is_set():
        post(port)
        say(port, heard)
        say(port, os.urandom(4096))
        with contextlib.suppress(OSError):
            held.append(socket.create_connection(("127.0.0.1", port), timeout=2))
        if len(held) > 40:
            held.pop(0).close()
    for connection in held:
        connection.close()
