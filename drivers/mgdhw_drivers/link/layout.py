"""How a dataclass becomes bytes of a fixed layout: one struct item for each of its fields, in their order."""

from __future__ import annotations

import struct
from dataclasses import fields
from typing import Any, ClassVar, Self

from mgdhw.errors import ConfigError, LinkCorrupt


class Layout:
    """Base of messages of fixed size. A field that is a tuple of n numbers takes n struct items."""

    form: ClassVar[struct.Struct]
    tuples: ClassVar[dict[str, int]] = {}

    def pack(self) -> bytes:
        """Bytes, little-endian. Raises ConfigError where a number is larger than its field."""
        items: list[Any] = []
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if field.name in self.tuples:
                items.extend(value)
            else:
                items.append(value)
        try:
            return self.form.pack(*items)
        except struct.error as error:
            raise ConfigError(f"{self} does not fit into {type(self).__name__} of the link: {error}") from None

    @classmethod
    def unpack(cls, payload: bytes) -> Self:
        """The message from its bytes. Raises LinkCorrupt if there are too many or too few."""
        if len(payload) != cls.form.size:
            raise LinkCorrupt(f"{cls.__name__} has {len(payload)} bytes instead of {cls.form.size}")
        return cls.parse(payload)

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """The message at the beginning of some bytes. Raises LinkCorrupt if there are too few."""
        if len(payload) < cls.form.size:
            raise LinkCorrupt(f"{cls.__name__} has {len(payload)} bytes instead of {cls.form.size}")
        items = list(cls.form.unpack_from(payload))
        values: list[Any] = []
        for field in fields(cls):  # type: ignore[arg-type]
            count = cls.tuples.get(field.name)
            if count is None:
                values.append(items.pop(0))
            else:
                values.append(tuple(items[:count]))
                del items[:count]
        return cls(*values)
