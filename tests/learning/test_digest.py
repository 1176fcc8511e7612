"""The digest: the same for the same trajectory, another for any other."""

import hashlib
import struct
from typing import Any

import numpy as np
import pytest

from mgdhw.experiment.load import parse_experiment
from mgdhw.learning import digest

BASE: dict[str, Any] = {
    "step": 5,
    "evaluations": 9,
    "theta": np.array([0.1, -2.0]),
    "theta_actual": np.array([0.125, -2.0]),
}


def test_it_begins_with_experiment_and_data() -> None:
    decisive = parse_experiment("", source="x").decisive()
    begun = digest.begin(decisive, "data")
    assert len(begun) == 32
    assert begun == digest.begin(dict(reversed(decisive.items())), "data")
    assert begun != digest.begin(decisive, "other data")
    assert begun != digest.begin({**decisive, "seed": 1}, "data")


@pytest.mark.parametrize(
    "change",
    [
        {"step": 6},
        {"evaluations": 10},
        {"theta": np.array([0.1, np.nextafter(-2.0, 0)])},
        {"theta_actual": np.array([0.125, np.nextafter(-2.0, 0)])},
        {"theta": np.array([-2.0, 0.1])},
        {"theta": BASE["theta_actual"], "theta_actual": BASE["theta"]},
        {"theta": np.array([0.1, -2.0, 0.0])},
    ],
)
def test_every_bit_counts(change: dict[str, Any]) -> None:
    assert digest.advance(b"chain", **{**BASE, **change}) != digest.advance(b"chain", **BASE)


def test_what_went_before_counts() -> None:
    assert digest.advance(b"another", **BASE) != digest.advance(b"chain", **BASE)


def test_how_an_array_lies_in_memory_does_not_count() -> None:
    swapped = BASE["theta"].astype(">f8")
    strided = np.repeat(BASE["theta_actual"], 3)[::3]
    assert digest.advance(b"chain", **{**BASE, "theta": swapped, "theta_actual": strided}) == digest.advance(
        b"chain", **BASE
    )


def test_a_mark_is_a_hash_of_known_bytes() -> None:
    """Little-endian, so that a digest that is written down somewhere is found again on any machine."""
    link = bytes(32) + struct.pack("<QQ4d", 5, 9, 0.1, -2.0, 0.125, -2.0)
    assert digest.advance(bytes(32), **BASE) == hashlib.sha256(link).digest()
