"""A few of the flipped bits of `flips.py`, which flips a thousand."""

from __future__ import annotations

import pytest

from .flips import main


def test_a_flipped_bit_never_gives_another_result() -> None:
    told: list[str] = []
    assert main(24, told.append, killed=False) == 0, told


@pytest.mark.long
def test_many_flipped_bits_never_give_another_result() -> None:
    told: list[str] = []
    assert main(300, told.append, seed=1) == 0, told
