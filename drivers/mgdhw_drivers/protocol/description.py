"""What a board says of itself: area DESCRIPTION."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Self

from mgdhw.errors import LinkCorrupt
from mgdhw_drivers.protocol.layout import Layout

LONGEST = 1 << 20
"""Longest description that a host reads: whatever a board claims, memory is bounded."""
SLEW_UNIT = 1e-4
"""Seconds of one unit of `slew_interval`."""


@dataclass(frozen=True, slots=True)
class Head(Layout):
    """The part of fixed size.

    Args:
        max_slew, max_stress: limits on how parameters move, in `theta_lsb`; 0: none.
        slew_interval: least time between two steps of a ramp, in 0.1 ms; 0: none.
    """

    form: ClassVar[struct.Struct] = struct.Struct("<6I7diibBBBBBHHHI16I")
    tuples: ClassVar[dict[str, int]] = {"area_sizes": 16}
    capabilities: int
    features: int
    n_parameters: int
    n_inputs: int
    n_outputs: int
    n_sizes: int
    theta_min: float
    theta_max: float
    theta_lsb: float
    cost_lsb: float
    output_lsb: float
    max_slew: float
    max_stress: float
    input_low: int
    input_high: int
    input_fraction: int
    input_kind: int
    parameter_kind: int
    cost_kind: int
    float_costs: int
    per_parameter: int
    model_size: int
    identity_size: int
    slew_interval: int
    details_size: int
    area_sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Description:
    """All of it.

    Args:
        head: numbers.
        sizes: of the network's layers, inputs first; empty if nobody knows them.
        model, identity, details: texts; details is a JSON object or empty.
    """

    head: Head
    sizes: tuple[int, ...]
    model: str
    identity: str
    details: str

    @property
    def ramp_seconds(self) -> float:
        """How long parameters take through all of their range, where the board limits how fast they move; else 0."""
        head = self.head
        if not (head.max_slew and head.slew_interval):
            return 0.0
        return (head.theta_max - head.theta_min) / head.theta_lsb / head.max_slew * head.slew_interval * SLEW_UNIT

    def pack(self) -> bytes:
        """The area's bytes. The head must say how long the rest is."""
        sizes = struct.pack(f"<{len(self.sizes)}I", *self.sizes)
        return self.head.pack() + sizes + self.model.encode() + self.identity.encode() + self.details.encode()

    @classmethod
    def unpack(cls, content: bytes) -> Self:
        """From the area's bytes. Raises LinkCorrupt where they make no sense."""
        head = Head.parse(content)
        texts = Head.form.size + 4 * head.n_sizes
        if texts + head.model_size + head.identity_size + head.details_size != len(content):
            raise LinkCorrupt("the description is not as long as it says")
        sizes = struct.unpack_from(f"<{head.n_sizes}I", content, Head.form.size)
        ends = (texts, texts + head.model_size, texts + head.model_size + head.identity_size, len(content))
        try:
            model, identity, details = (content[a:b].decode() for a, b in pairwise(ends))
        except UnicodeDecodeError:
            raise LinkCorrupt("the description's texts are not UTF-8") from None
        return cls(head, sizes, model, identity, details)
