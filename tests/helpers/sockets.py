"""Sockets to boards, for tests that speak the link themselves."""

from __future__ import annotations

import socket

from mgdhw_drivers.protocol.greeting import HostGreeting
from mgdhw_drivers.transports import secret

PATIENCE_S = 120.0


def connect(address: str) -> socket.socket:
    """A socket to a server at a `tcp:` or `unix:` address, which has let this host in."""
    scheme, _, where = address.partition(":")
    if scheme == "unix":
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(PATIENCE_S)
        connection.connect(where)
        return connection
    connection = raw(address)
    file = secret.find(int(where.rpartition(":")[2]))
    assert file is not None, "no secret"
    greeting = HostGreeting(secret.read(file))
    while not greeting.proven:
        data = connection.recv(4096)
        assert data, "the server has ended the connection"
        connection.sendall(greeting.receive(data))
    return connection


def raw(address: str) -> socket.socket:
    """A socket to a server at a `tcp:` address, to which nobody has said anything."""
    host, port = address.removeprefix("tcp:").split(":")
    connection = socket.create_connection((host, int(port)), timeout=PATIENCE_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def is_ended(connection: socket.socket) -> bool:
    """Whether the peer ends a connection, whatever it says before, within the time that anything may take."""
    try:
        while connection.recv(4096):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
