"""Experiments that most tests train."""

from __future__ import annotations

from typing import Any

from tests.helpers.chips import CHIP


def xor_experiment(probes: int, **sections: Any) -> dict[str, Any]:
    """XOR on a 2-3-1 chip, with an update every 20 probes; other sections and keys as given."""
    return {
        "name": "xor",
        "device": {"uri": CHIP},
        "data": {"name": "xor"},
        "training": {"probes": probes, "tau_theta": 20},
        **sections,
    }
