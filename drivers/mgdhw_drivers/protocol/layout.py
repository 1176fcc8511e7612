"""How a dataclass becomes bytes of a fixed layout: one struct item for each of its fields, in their order."""

from __future__ import annotations

import struct
from itertools import islice
from typing import Any, ClassVar, Self

from mgdhw.errors import ConfigError, LinkCorrupt


class Layout:
    """Base of messages of fixed size, which are dataclasses. A field that is a tuple of n numbers takes n items."""

    form: ClassVar[struct.Struct]
    tuples: ClassVar[dict[str, int]] = {}
    __match_args__: ClassVar[tuple[str, ...]]
    """Names of the fields, in their order: `dataclass` sets it."""

    def pack(self) -> bytes:
        """Bytes, little-endian. Raises ConfigError where a number is larger than its field."""
        items: list[Any] = [getattr(self, name) for name in self.__match_args__]
        if self.tuples:
            items = [
                item
                for name, value in zip(self.__match_args__, items, strict=True)
                for item in (value if name in self.tuples else (value,))
            ]
        try:
            return self.form.pack(*items)
        except struct.error as error:
            raise ConfigError(f"{self} does not fit into {type(self).__name__} of the link: {error}") from None

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """The message from its bytes. Raises LinkCorrupt if there are too many or too few."""
        if len(payload) != cls.form.size:
            raise LinkCorrupt(f"{cls.__name__} has {len(payload)} bytes instead of {cls.form.size}")
        return cls(*cls.form.unpack(payload)) if not cls.tuples else cls.parse(payload)

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """The message at the beginning of some bytes. Raises LinkCorrupt if there are too few."""
        if len(payload) < cls.form.size:
            raise LinkCorrupt(f"{cls.__name__} has {len(payload)} bytes instead of {cls.form.size}")
        items = cls.form.unpack_from(payload)
        if not cls.tuples:
            return cls(*items)
        values: list[Any] = []
        rest = iter(items)
        for name in cls.__match_args__:
            count = cls.tuples.get(name)
            values.append(next(rest) if count is None else tuple(islice(rest, count)))
        return cls(*values)
