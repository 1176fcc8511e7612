"""The greeting of a TCP connection: both ends prove that they know the server's secret, before any frame.

    board  mgdhw-link 1 <board's nonce>
    host   <host's nonce> <HMAC-SHA256(secret, "mgdhw host" + board's nonce + host's nonce)>
    board  ok <HMAC-SHA256(secret, "mgdhw board" + board's nonce + host's nonce)>

Each line ends in a line feed; nonces and proofs are 32 bytes in hexadecimal, and nonces are hashed as bytes. They are
new each time, so what was recorded proves nothing later. Bytes in, bytes out: no socket, no clock.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from mgdhw.errors import DeviceUnavailable, LinkCorrupt

NONCE_BYTES = 32
DIGITS = 2 * NONCE_BYTES
HELLO = b"mgdhw-link "
"""What every greeting begins with. No frame does: its second byte is 1."""
FIRST_LINE = HELLO + b"1 "
BUSY = b"busy\n"
"""Instead of `ok`: who asks may come in, but somebody else is there."""
LONGEST_LINE = 80
"""Bytes of a board's line, at most."""
_ANSWER_BYTES = DIGITS + 1 + DIGITS + 1
_HEXADECIMAL = frozenset(b"0123456789abcdef")


def prove(secret: bytes, end: bytes, board_nonce: bytes, host_nonce: bytes) -> bytes:
    """The proof, in hexadecimal, that an end ("host" or "board") knows the secret."""
    return hmac.new(secret, b"mgdhw " + end + board_nonce + host_nonce, hashlib.sha256).hexdigest().encode()


class BoardGreeting:
    """The board's end, which speaks first.

    Args:
        secret: what a host has to know.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._nonce = secrets.token_bytes(NONCE_BYTES)
        self._line = bytearray()

    @property
    def hello(self) -> bytes:
        """What to send at first."""
        return FIRST_LINE + self._nonce.hex().encode() + b"\n"

    def receive(self, data: bytes) -> bytes | None:
        """Bytes from the host.

        Returns:
            The line that lets it in, as soon as it has proven itself; None while its answer has not come to its end.

        Raises:
            LinkCorrupt: this is no answer, or it proves nothing: the connection has to be ended.
        """
        line = self._line
        start = len(line)
        line += data[: _ANSWER_BYTES + 1 - start]
        if len(line) > _ANSWER_BYTES or not all(_may_stand(line[i], i) for i in range(start, len(line))):
            raise LinkCorrupt("what came is no answer to the greeting")
        if len(line) < _ANSWER_BYTES:
            return None
        nonce = bytes.fromhex(line[:DIGITS].decode())
        if not hmac.compare_digest(bytes(line[DIGITS + 1 : -1]), prove(self._secret, b"host", self._nonce, nonce)):
            raise LinkCorrupt("the answer to the greeting was made with another secret")
        return b"ok " + prove(self._secret, b"board", self._nonce, nonce) + b"\n"


class HostGreeting:
    """The host's end.

    Args:
        secret: of the board's server.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._nonce = secrets.token_bytes(NONCE_BYTES)
        self._wanted = b""
        """The board's last line; known once it has greeted."""
        self._heard = bytearray()
        self.proven = False
        """Whether the board has let this host in and has proven itself: frames may follow."""

    @property
    def greeted(self) -> bool:
        """Whether the board has sent its nonce."""
        return bool(self._wanted)

    def receive(self, data: bytes) -> bytes:
        """Bytes from the board.

        Returns:
            What to send; once `proven`, what came after the greeting.

        Raises:
            LinkCorrupt: it doesn't greet, or doesn't know the secret.
            DeviceUnavailable: it is in use by another host.
        """
        self._heard += data
        line, end, rest = self._heard.partition(b"\n")
        if not end:
            if len(line) > LONGEST_LINE:
                raise LinkCorrupt("does not greet as `mgdhw serve` does")
            return b""
        self._heard.clear()
        if not self._wanted:
            return self._answer(bytes(line), bytes(rest))
        if line + end == BUSY:
            raise DeviceUnavailable("is in use by another host")
        if not hmac.compare_digest(line, self._wanted):
            raise LinkCorrupt("does not know the secret")
        self.proven = True
        return bytes(rest)

    def _answer(self, line: bytes, rest: bytes) -> bytes:
        digits = line.removeprefix(FIRST_LINE)
        if (
            len(line) != len(FIRST_LINE) + DIGITS
            or len(digits) != DIGITS
            or rest
            or not _HEXADECIMAL.issuperset(digits)
        ):
            raise LinkCorrupt("does not greet as `mgdhw serve` does")
        nonce = bytes.fromhex(digits.decode())
        self._wanted = b"ok " + prove(self._secret, b"board", nonce, self._nonce)
        return self._nonce.hex().encode() + b" " + prove(self._secret, b"host", nonce, self._nonce) + b"\n"


def _may_stand(byte: int, at: int) -> bool:
    """Whether a byte may stand at a place of a host's answer."""
    if at == DIGITS:
        return byte == ord(" ")
    if at == _ANSWER_BYTES - 1:
        return byte == ord("\n")
    return byte in _HEXADECIMAL
