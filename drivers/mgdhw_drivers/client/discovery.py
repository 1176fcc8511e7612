"""What boards say that they are, without being taken into operation: for lists of them."""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import Sequence

from mgdhw.errors import DeviceError, LinkCorrupt
from mgdhw.report.console import printable
from mgdhw_drivers.client.byte_stream import ByteStream
from mgdhw_drivers.client.link import Link
from mgdhw_drivers.protocol.claims import check_description
from mgdhw_drivers.protocol.description import LONGEST, Description
from mgdhw_drivers.protocol.frames import SMALLEST_PAYLOAD
from mgdhw_drivers.protocol.messages import Chunk, Identify, Identity, Read
from mgdhw_drivers.protocol.numbers import Area, Type

ASK_SECONDS = 0.3
"""How long a peer may take to say that it is a board."""
BOARD_SECONDS = 2.0
"""How long one board may take for everything."""
ALL_SECONDS = 3.0
"""How long all of them may take, side by side; the system itself may hang in opening one."""


def describe_boards(streams: Sequence[ByteStream]) -> list[str]:
    """What the boards at some places say that they are, or why nothing is known of one. Takes at most `ALL_SECONDS`.

    Each is asked in a thread of its own, which is not joined at the end: opening a port may hang in the system.
    """
    answers = [f"skipped: {stream.uri} could not be opened within {ALL_SECONDS:g} s" for stream in streams]

    def ask_one(number: int) -> None:
        answers[number] = asyncio.run(describe_board(streams[number]))

    threads = [threading.Thread(target=ask_one, args=(number,), daemon=True) for number in range(len(streams))]
    deadline = time.monotonic() + ALL_SECONDS
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return list(answers)


async def describe_board(stream: ByteStream) -> str:
    """What the board at the other end of a stream says that it is, or why nothing is known of it."""
    link = Link(stream, ASK_SECONDS, BOARD_SECONDS)
    try:
        await link.connect()
        async with asyncio.timeout(BOARD_SECONDS):
            description = await _description(link)
    except TimeoutError:
        return f"skipped: {stream.uri}: what is there has not said within {BOARD_SECONDS:g} s what it is"
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
