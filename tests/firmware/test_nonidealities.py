"""The catalogue of nonidealities in C is the one in Python."""

from __future__ import annotations

import re
from dataclasses import fields

from mgdhw_sim.nonidealities import OF_CELLS, OF_PULSES, RANGES, Nonidealities

from .core import FIRMWARE
from .structures import MOST_NONIDEALITIES

MOST_STEPS = "MOST_STEPS"
ROW = re.compile(r'^    \{"(\w+)", (\S+), (\S+), ([\w| ]+)\},$', re.MULTILINE)


def test_rows_are_the_same_in_the_same_order() -> None:
    text = (FIRMWARE / "core" / "nonideal.c").read_text()
    expected = []
    for field in fields(Nonidealities):
        kinds = {
            "OF_CELLS": field.name in OF_CELLS,
            "OF_PULSES": field.name in OF_PULSES,
            "WHOLE": isinstance(field.default, int) and not isinstance(field.default, float),
        }
        low, high = RANGES[field.name]
        expected.append((field.name, low, high, {kind for kind, on in kinds.items() if on}))
    found = [
        (name, float(low), 2.0**40 if high == MOST_STEPS else float(high), set(kinds.split(" | ")) - {"0"})
        for name, low, high, kinds in ROW.findall(text)
    ]
    assert found == expected
    assert len(found) <= MOST_NONIDEALITIES


def test_every_name_in_c_is_one_of_the_catalogue() -> None:
    """A strength is asked for by its name; a name that is misspelt would be off."""
    named = set()
    for path in (FIRMWARE / "core").glob("*.c"):
        text = path.read_text()
        named |= set(re.findall(r'strength\([^()"]*"(\w+)"\)', text))
        named |= set(re.findall(r'relative\([^()"]*"(\w+)"\)', text))
        named |= {f"{name}_std" for name in re.findall(r'"(\w+)_std"', text)}
    assert len(named) > 30
    assert named <= {field.name for field in fields(Nonidealities)}
