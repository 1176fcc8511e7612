"""The Python that the documents show."""

from __future__ import annotations

import re

from tests.helpers.paths import DOCS


def python_blocks(document: str, containing: str = "") -> list[str]:
    """All blocks of Python in a document of `docs/`, or those that contain some text."""
    text = (DOCS / document).read_text(encoding="utf-8")
    return [block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if containing in block]


def python_block(document: str, containing: str) -> str:
    """The one block of Python in a document of `docs/` that contains some text."""
    (block,) = python_blocks(document, containing)
    return block
