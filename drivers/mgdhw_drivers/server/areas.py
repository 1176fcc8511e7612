"""A board's memory areas."""

from __future__ import annotations

import mmap
from collections.abc import Iterable

from mgdhw.errors import LinkCorrupt
from mgdhw_drivers.protocol.numbers import Area, MismatchedItem

READABLE = frozenset(
    (
        Area.DESCRIPTION,
        Area.REQUESTED,
        Area.HELD,
        Area.THETA,
        Area.SLOT1,
        Area.SLOT2,
        Area.CROSS,
        Area.ENERGY,
        Area.GRADIENT,
        Area.LIMITS,
        Area.CELLS,
    )
)
WRITABLE = frozenset(Area) - {Area.DESCRIPTION, Area.HELD, Area.LIMITS}
STATE = frozenset((Area.THETA, Area.SLOT1, Area.SLOT2, Area.CROSS, Area.ENERGY, Area.GRADIENT))
DATASET = frozenset((Area.INPUTS, Area.TARGETS))
SAFELY_READABLE = frozenset((Area.DESCRIPTION, Area.LIMITS))


class Mismatch(Exception):
    """The board holds something other than what a request depends on."""

    def __init__(self, item: MismatchedItem) -> None:
        super().__init__(item.name)
        self.item = item


class Areas:
    """Stretches of bytes of fixed sizes. The operating system gives the memory page by page, as it is written.

    Args:
        capacities: bytes of each area.
    """

    def __init__(self, capacities: tuple[int, ...]) -> None:
        self._capacities = capacities
        self._content: dict[Area, mmap.mmap] = {}
        self._written = dict.fromkeys(Area, 0)

    def write(self, number: int, offset: int, content: bytes) -> Area:
        """Bytes from the host. Raises LinkCorrupt where they have no place."""
        area = self._area(number, WRITABLE)
        self._check(area, offset, len(content))
        if not content:
            raise LinkCorrupt("no bytes to write")
        self._put(area, offset, content)
        self._written[area] += len(content)
        return area

    def read(self, number: int, offset: int, length: int) -> bytes:
        """Bytes for the host. Raises LinkCorrupt where there are none."""
        area = self._area(number, READABLE)
        self._check(area, offset, length)
        return bytes(self._view(area, offset, length))

    def written(self, area: Area) -> int:
        """Bytes that the host has written since the area was empty. One that came twice counts twice."""
        return self._written[area]

    def view(self, area: Area, size: int) -> memoryview:
        """The first bytes of an area, as they are and as they will be: not copied, and not to be written to."""
        return self._view(area, 0, size)

    def first(self, area: Area, size: int) -> bytes:
        """A copy of the first bytes of an area; zeros where nothing was written."""
        return bytes(self._view(area, 0, size))

    def whole(self, area: Area) -> bytes:
        """A copy of an area."""
        return self.first(area, self._capacities[area])

    def fill(self, area: Area, content: bytes) -> None:
        """What the board itself puts there."""
        self._put(area, 0, content)

    def clear(self, areas: Iterable[Area]) -> None:
        """Areas are all zeros again, and their memory is freed once no view of it is left."""
        for area in areas:
            self._content.pop(area, None)
            self._written[area] = 0

    def _put(self, area: Area, offset: int, content: bytes) -> None:
        if not content:
            return
        held = self._content.get(area)
        if held is None:
            held = self._content[area] = _pages(self._capacities[area])
        held[offset : offset + len(content)] = content

    def _view(self, area: Area, offset: int, length: int) -> memoryview:
        held = self._content.get(area)
        whole = memoryview(bytes(length) if held is None else held).toreadonly()
        return whole if held is None else whole[offset : offset + length]

    def _check(self, area: Area, offset: int, length: int) -> None:
        if offset + length > self._capacities[area]:
            raise LinkCorrupt(f"bytes {offset} ... {offset + length} of area {area.name} do not exist")

    def _area(self, number: int, allowed: frozenset[Area]) -> Area:
        if number not in allowed:
            raise LinkCorrupt(f"area {number} cannot be had")
        return Area(number)


def _pages(size: int) -> mmap.mmap:
    """Zeros, of which only those pages take memory that are written to."""
    if hasattr(mmap, "MAP_PRIVATE"):
        return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return mmap.mmap(-1, size)
