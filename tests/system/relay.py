"""A cable between a host and a board's TCP port, which can be cut, or fall silent without either end noticing."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from types import TracebackType
from typing import Self

LOOK_SECONDS = 0.02
BUFFER = 1 << 16
STUCK_SECONDS = 5.0
"""An end that takes nothing for so long is given up."""


class Relay:
    """Carries connections to a port of this machine, and keeps what hosts have sent.

    Args:
        port: the board's.
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.heard = bytearray()
        """What hosts have sent, for whoever would like to say it again."""
        self._peers: dict[socket.socket, socket.socket] = {}
        self._silent: set[socket.socket] = set()
        self._orders: list[str] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._carry, name="relay")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        for connection in [self._listener, *self._peers, *self._silent]:
            connection.close()

    def cut(self) -> None:
        """End all connections."""
        self._orders.append("cut")

    def fall_silent(self) -> None:
        """Carry nothing more of the connections that there are; both ends believe that they last."""
        self._orders.append("silent")

    def _carry(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            while not self._ended.is_set():
                for key, _ in selector.select(LOOK_SECONDS):
                    assert isinstance(key.fileobj, socket.socket)
                    if key.fileobj is self._listener:
                        self._accept(selector)
                    elif key.fileobj in self._peers:
                        self._pass_on(selector, key.fileobj)
                while self._orders:
                    order = self._orders.pop(0)
                    for end in list(self._peers):
                        selector.unregister(end)
                        if order == "silent":
                            self._silent.add(end)
                        else:
                            end.close()
                    self._peers.clear()

    def _accept(self, selector: selectors.BaseSelector) -> None:
        host, _ = self._listener.accept()
        try:
            board = socket.create_connection(("127.0.0.1", self._to))
        except OSError:
            host.close()
            return
        self._peers |= {host: board, board: host}
        for end in (host, board):
            end.settimeout(STUCK_SECONDS)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(end, selectors.EVENT_READ, host)

    def _pass_on(self, selector: selectors.BaseSelector, end: socket.socket) -> None:
        other = self._peers[end]
        data = b""
        with contextlib.suppress(OSError):
            data = end.recv(BUFFER)
            if data:
                other.sendall(data)
                if selector.get_key(end).data is end:
                    self.heard += data
                return
        for gone in (end, other):
            selector.unregister(gone)
            del self._peers[gone]
            gone.close()
