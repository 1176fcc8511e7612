"""From an address of VISA to a connection."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from mgdhw_drivers.visa.backend import low_level_session, open_resource, opening
from mgdhw_drivers.visa.message_session import MessageSession
from mgdhw_drivers.visa.session import Session
from mgdhw_drivers.visa.settings import ResourceSettings
from mgdhw_drivers.visa.stream_session import SerialSession, SocketSession

if TYPE_CHECKING:
    from pyvisa.resources import MessageBasedResource


def open_session(address: str, settings: ResourceSettings, uri: str, interrupted: Callable[[], bool]) -> Session:
    """A connection to an instrument. Blocks. Raises DeviceAbsent, DeviceUnavailable."""
    resource = open_resource(settings.backend, address, settings.open_timeout, uri)
    try:
        with opening(address, uri):
            return _kind_of(resource)(resource, settings, interrupted)
    except BaseException:
        with contextlib.suppress(Exception):
            resource.close()
        raise


def _kind_of(resource: MessageBasedResource) -> type[SocketSession | SerialSession | MessageSession]:
    """Which of the sessions moves a resource's bytes."""
    behind = low_level_session(resource)
    if behind is None:
        return MessageSession
    name = type(behind).__name__
    if name == "TCPIPSocketSession" and isinstance(behind.interface, socket.socket):
        return SocketSession
    if name == "SerialSession" and hasattr(behind.interface, "in_waiting"):
        return SerialSession
    return MessageSession
