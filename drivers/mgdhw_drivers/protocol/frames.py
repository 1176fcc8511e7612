"""Frames: a header, a payload and a checksum, between zeros."""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

from mgdhw.errors import LinkCorrupt
from mgdhw_drivers.protocol import cobs

VERSION = 1
HEADER = struct.Struct("<BBHI")
CHECKSUM = struct.Struct("<I")
RESIDUE = 0x2144DF1C
"""CRC-32 of anything that ends with its own CRC-32."""
OVERHEAD = HEADER.size + CHECKSUM.size
END = b"\0"

_PAYLOAD = slice(HEADER.size, -CHECKSUM.size)

SMALLEST_PAYLOAD = 256
"""What every receiver takes, whatever it is."""
LARGEST_PAYLOAD = 0xFFFF


class Frame(NamedTuple):
    """One message on the wire.

    Args:
        type: a request's, or its answer's (bit 7 set).
        sequence: of the request; its answer repeats it.
        payload: the message.
        version: of the protocol.
    """

    type: int
    sequence: int
    payload: bytes = b""
    version: int = VERSION


def encode(frame: Frame) -> bytes:
    """A frame as it goes over the wire, ended by a zero."""
    raw = HEADER.pack(frame.version, frame.type, 0, frame.sequence) + frame.payload
    return cobs.encode(raw + CHECKSUM.pack(zlib.crc32(raw))) + END


def decode(stuffed: bytes) -> Frame:
    """A frame from what lay between two zeros. Raises LinkCorrupt; `BadChecksum` if it is COBS, and long enough."""
    raw = cobs.decode(stuffed)
    if len(raw) < OVERHEAD:
        raise LinkCorrupt(f"a frame of {len(raw)} bytes is too short")
    if zlib.crc32(raw) != RESIDUE:
        raise BadChecksum("a frame's checksum is wrong")
    version, kind, _, sequence = HEADER.unpack_from(raw)
    return Frame(kind, sequence, raw[_PAYLOAD], version)


class BadChecksum(LinkCorrupt):
    """A frame whose content has changed on the way."""


class FrameReader:
    """Finds frames in a stream of bytes. Whatever arrives, it keeps no more than one frame's bytes.

    Args:
        max_payload: longest payload that is taken; longer frames are skipped and counted.
    """

    def __init__(self, max_payload: int) -> None:
        self.max_payload = max_payload
        self.frames = 0
        self.bad_crc = 0
        self.bad_frames = 0
        self._limit = cobs.encoded_size(OVERHEAD + max_payload)
        self._partial = bytearray()
        self._skipping = False

    @property
    def kept(self) -> int:
        """Bytes of an unfinished frame that are kept."""
        return len(self._partial)

    def feed(self, data: bytes) -> list[Frame]:
        """The good frames that end in `data`; bad ones are counted."""
        found: list[Frame] = []
        start = 0
        while (end := data.find(END, start)) >= 0:
            if self._skipping or len(self._partial) + end - start > self._limit:
                self.bad_frames += 1
            elif self._partial or end > start:
                self._decode(bytes(self._partial + data[start:end]), found)
            self._partial.clear()
            self._skipping = False
            start = end + 1
        if start < len(data) and not self._skipping:
            if len(self._partial) + len(data) - start > self._limit:
                self._skipping = True
                self._partial.clear()
            else:
                self._partial += data[start:]
        return found

    def _decode(self, stuffed: bytes, found: list[Frame]) -> None:
        try:
            frame = decode(stuffed)
        except BadChecksum:
            self.bad_crc += 1
        except LinkCorrupt:
            self.bad_frames += 1
        else:
            self.frames += 1
            found.append(frame)
