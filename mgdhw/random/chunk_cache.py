"""A cache of recently computed chunks of unbounded streams."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from numpy.typing import NDArray

Stream = TypeVar("Stream", bound=Hashable)

CHUNKS = 2
"""Chunks kept of each stream: access is sequential, and a request may span a border."""


class ChunkCache(Generic[Stream]):
    """The latest chunks of each stream, for as many streams as fit the limit. Thread-safe.

    Replicas take turns, each with its own streams, so that a limit on the number of chunks alone would not do.

    Args:
        make: computes a chunk of a stream by number.
        most: limit in bytes; the stream used last is kept in any case.
    """

    def __init__(self, make: Callable[[Stream, int], NDArray[Any]], most: int) -> None:
        self._make = make
        self._most = most
        self._bytes = 0
        self._kept: OrderedDict[Stream, OrderedDict[int, NDArray[Any]]] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, stream: Stream, number: int) -> NDArray[Any]:
        """A chunk, read-only."""
        with self._lock:
            chunks = self._kept.get(stream)
            if chunks is not None and number in chunks:
                self._kept.move_to_end(stream)
                return chunks[number]
        made = self._make(stream, number)  # without the lock: computing it twice is harmless
        made.flags.writeable = False
        with self._lock:
            self._keep(stream, number, made)
        return made

    def cache_clear(self) -> None:
        """Empty the cache."""
        with self._lock:
            self._kept.clear()
            self._bytes = 0

    def _keep(self, stream: Stream, number: int, made: NDArray[Any]) -> None:
        chunks = self._kept.setdefault(stream, OrderedDict())
        self._kept.move_to_end(stream)
        if number not in chunks:
            self._bytes += made.nbytes
            chunks[number] = made
        if len(chunks) > CHUNKS:
            self._bytes -= chunks.popitem(last=False)[1].nbytes
        while self._bytes > self._most and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._bytes -= sum(chunk.nbytes for chunk in dropped.values())
