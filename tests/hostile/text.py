"""Text as people, programs and damaged disks write it: what is right, with something gone wrong."""

from __future__ import annotations

import random
from collections.abc import Sequence

PIECES = (
    "", " ", "\t", "\n", "\0", "\x1b[2J", "\x7f", "\u202e", "é", "٣", "²", "😀", "\udc80", "\ufeff", "'", '"', '"""',
    "\\", "=", "==", ":", "//", "/", "..", ".", ",", ";", "&", "&&", "?", "??", "#", "%", "%00", "%zz", "+", "-", "--",
    "::", "[", "]", "[[", "]]", "{", "}", "()", "*", "$HOME", "~", "~nosuchuser/", "|",
    "0", "-1", "-0", "1e999", "1e-999", "nan", "-inf", "inf", "0x10", "0b1", "1_0", "1e5", "1.5", "1,5", "true", "None",
    "null", "9" * 30, "9" * 400, "-" + "9" * 400, "9" * 5000, "0." + "9" * 400, "18446744073709551616", "65536",
    "a" * 64, "a" * 300, "x" * 5000, "[" * 5000, "{a=" * 5000, ".a" * 5000, '{"a":' * 5000, "--seed", "name", "seed",
)  # fmt: skip
"""What is put in between, or instead."""


def gone_wrong(draw: random.Random, texts: Sequence[str]) -> str:
    """One of some texts, changed in one to three places."""
    text = draw.choice(texts)
    for _ in range(draw.randrange(1, 4)):
        start = draw.randrange(len(text) + 1)
        end = min(len(text), start + draw.choice((0, 0, 1, 2, 5, 20)))
        match draw.randrange(4):
            case 0:  # instead of a word
                words = [part for part in text.replace("=", " ").replace("&", " ").split() if part]
                text = text.replace(draw.choice(words), draw.choice(PIECES), 1) if words else draw.choice(PIECES)
            case 1:  # a part again
                text = text[:end] + text[start:]
            case 2:  # a part of another
                other = draw.choice(texts)
                text = text[:start] + other[draw.randrange(len(other) + 1) :]
            case _:  # in between, or instead
                text = text[:start] + draw.choice(PIECES) + text[end:]
    return text
