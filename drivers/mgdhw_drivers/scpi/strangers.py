"""Lines that no SCPI client sends: a web page, a port scanner or another protocol has found the port.

A browser can be made to send any text to a port of the same computer, but only behind the line of its request: who
hangs up at that line executes nothing. Everything here looks at the beginning of a message only, so that the verdict
does not depend on the pieces in which it arrives.
"""

from __future__ import annotations

import re
from typing import Final

LONGEST_HEADER: Final = 256
"""Bytes up to the first space or semicolon of a message; no command is half as long."""
LOOKED_AT: Final = 512
"""Bytes of a message that tell a stranger."""
CONTROL_BYTES: Final = rb"\x00-\x08\x0b\x0c\x0e-\x1f\x7f"
"""Never in a message outside of a block: NULs, a TLS handshake. For a character class of a regular expression."""

_HEADER = re.compile(rb"[ \t\r]*(?:;|[^\s;]+[\s;])")
_STRANGE = re.compile(
    rb"[A-Z]+ +(?:/|\*|[a-z]+://)"  # GET /, OPTIONS *, GET http://…
    rb"|[^\"'\n]* (?:HTTP|RTSP|SIP)/\d"  # … HTTP/1.1
    rb"|(?:HTTP|RTSP|SIP|SSH)[/-]\d"  # answers and greetings
    rb"|[A-Za-z][A-Za-z0-9-]*:(?:\s|$)"  # Host: …
)


def is_strange(message: bytes | bytearray) -> bool:
    """Whether a complete message begins as none that an SCPI client sends."""
    return _STRANGE.match(message[:LOOKED_AT].lstrip()) is not None


def has_endless_header(message: bytes | bytearray) -> bool:
    """Whether the first header of a message, complete or not, is longer than any."""
    return len(message) > LONGEST_HEADER and _HEADER.match(message, 0, LONGEST_HEADER + 1) is None
