"""How an instrument is spoken to."""

from __future__ import annotations

from dataclasses import dataclass

CHIP_IDENTITY = "mgdhw,"
"""What the answer of a chip to `*IDN?` begins with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceSettings:
    """How an instrument is spoken to. All times in seconds.

    Args:
        backend: of pyvisa: "@py", "@ivi" (a library of NI or Keysight), "@sim" or "FILE.yaml@sim".
        open_timeout: how long opening may take, until it has identified itself.
        timeout: how long it may send nothing while an answer is awaited.
        read_termination: after each of its answers.
        write_termination: after each message to it.
        min_interval: from the end of a message to the begin of the next one.
        baud_rate: of a serial line; None: as the backend has it (9600).
        identify: the query that it answers by its identity, whose answer changes nothing and is always the same. It is
            also sent to find out whether it is in step.
        identity: text that the answer has to contain.
        initialise: messages sent after every opening, and after it was switched off and on.
        check_errors: whether its error queue and event status are asked for. If not, it is not noticed that it was
            switched off and on behind an adapter that keeps the connection.
    """

    backend: str = "@py"
    open_timeout: float = 5.0
    timeout: float = 2.0
    read_termination: str = "\n"
    write_termination: str = "\n"
    min_interval: float = 0.0
    baud_rate: int | None = None
    identify: str = "*IDN?"
    identity: str = ""
    initialise: tuple[str, ...] = ()
    check_errors: bool = True
    inline_wait: float = 0.0
