"""Whether the board that answers is the one that answered before, and has been restarted meanwhile."""

from __future__ import annotations

import logging

from mgdhw.errors import DeviceFault, DeviceUnavailable
from mgdhw_drivers.protocol.messages import Identity
from mgdhw_drivers.protocol.numbers import Reason, State

log = logging.getLogger("mgdhw.link")


def check_same_board(before: Identity, now: Identity, uri: str, *, forgets: bool) -> None:
    """Compare two answers to IDENTIFY, and log what has happened to the board between them.

    Args:
        before, now: its answers to IDENTIFY.
        uri: the device's address.
        forgets: whether a restart loses something that cannot be sent again.

    Raises:
        DeviceUnavailable: it is another board.
        DeviceFault: a restart has lost that.
    """
    if now.description_crc != before.description_crc:
        raise DeviceUnavailable(
            "another board answers than the one that training began with; connect that one, and resume", uri=uri
        )
    if now.boot != before.boot and forgets:
        raise DeviceFault(
            "the board was restarted, and its cells have lost their state; resume from the last checkpoint",
            uri=uri,
        )
    if now.boot != before.boot:
        log.warning("%s: the board was restarted; it is sent again what it has lost", uri)
    elif now.state != State.READY:
        reason = Reason(now.reason).name.lower().replace("_", "-") if now.reason in tuple(Reason) else now.reason
        log.warning("%s: the board had gone to its safe state (%s); it goes on", uri, reason)
