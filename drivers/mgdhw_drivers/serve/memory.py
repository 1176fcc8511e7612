"""A board's areas."""

from __future__ import annotations

from mgdhw.errors import LinkCorrupt
from mgdhw_drivers.link.messages import Area, Thing

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
SAFELY_READABLE = frozenset((Area.DESCRIPTION, Area.LIMITS))


class Mismatch(Exception):
    """The board holds something other than what a request depends on."""

    def __init__(self, thing: Thing) -> None:
        super().__init__(thing.name)
        self.thing = thing


class Memory:
    """Stretches of bytes of bounded size, taken when they are needed.

    Args:
        capacities: bytes of each area.
    """

    def __init__(self, capacities: tuple[int, ...]) -> None:
        self._capacities = capacities
        self._content = {area: bytearray() for area in Area}

    def write(self, number: int, offset: int, content: bytes) -> Area:
        """Bytes from the host. Raises LinkCorrupt where they have no place."""
        area = self._area(number, WRITABLE)
        end = offset + len(content)
        if not content or end > self._capacities[area]:
            raise LinkCorrupt(f"bytes {offset} ... {end} of area {area.name} do not exist")
        held = self._content[area]
        if len(held) < end:
            held.extend(bytes(end - len(held)))
        held[offset:end] = content
        return area

    def read(self, number: int, offset: int, length: int) -> bytes:
        """Bytes for the host. Raises LinkCorrupt where there are none."""
        area = self._area(number, READABLE)
        if offset + length > self._capacities[area]:
            raise LinkCorrupt(f"bytes {offset} ... {offset + length} of area {area.name} do not exist")
        return self.first(area, offset + length)[offset:]

    def first(self, area: Area, size: int) -> bytes:
        """The first bytes of an area, zeros where nothing was written."""
        content = bytes(memoryview(self._content[area])[:size])
        return content + bytes(size - len(content))

    def fill(self, area: Area, content: bytes) -> None:
        """What the board itself puts there."""
        self._content[area] = bytearray(content)

    def whole(self, area: Area) -> bytes:
        """All bytes of an area of fixed size."""
        return self.first(area, self._capacities[area])

    def _area(self, number: int, allowed: frozenset[Area]) -> Area:
        if number not in allowed:
            raise LinkCorrupt(f"area {number} cannot be had")
        return Area(number)
