"""The line of a TOML file that a key is on: `tomllib` does not say."""

from __future__ import annotations

import re

Path = tuple[str | int, ...]
"""Of a key: names of tables, and the index in an array."""

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\]#]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")
_INLINE = re.compile(r"^\s*\{")


def key_lines(text: str) -> dict[Path, int]:
    """The line, from 1, of every table and key of a valid TOML document; of items of an array, if it has one a line."""
    found: dict[Path, int] = {}
    table: Path = ()
    counts: dict[Path, int] = {}
    array: Path | None = None
    item = depth = 0
    multiline = ""
    for number, line in enumerate(text.splitlines(), 1):
        if multiline:
            multiline = "" if multiline in line else multiline
            continue
        if array is not None and depth > 0:
            if _INLINE.match(line):
                found.setdefault((*array, item), number)
                item += 1
            depth += _balance(line)
            continue
        header = _HEADER.match(line)
        key = _KEY.match(line)
        if header:
            table = _table(_parts(header[2]), counts, array=header[1] == "[[")
            found.setdefault(table, number)
            if header[1] == "[[":
                found.setdefault(table[:-1], number)
        elif key:
            array = (*table, *_parts(key[1]))
            found.setdefault(array, number)
            value = line[key.end() :]
            item, depth = 0, _balance(value)
            for quotes in ('"""', "'''"):
                multiline = quotes if value.count(quotes) == 1 else multiline
    return found


def line_of(lines: dict[Path, int], key: Path) -> int:
    """The line of a key, or of the nearest table that it is in; 1 if there is none."""
    for length in range(len(key), 0, -1):
        if key[:length] in lines:
            return lines[key[:length]]
    return 1


def _table(parts: list[str], counts: dict[Path, int], *, array: bool) -> Path:
    path: Path = ()
    for part in parts[:-1]:
        path = (*path, part)
        if path in counts:  # in the last table of an array
            path = (*path, counts[path])
    path = (*path, parts[-1])
    if array:
        counts[path] = counts.get(path, -1) + 1
        path = (*path, counts[path])
    return path


def _parts(dotted: str) -> list[str]:
    return [part.strip("\"' ") for part in re.findall(r"""\s*("[^"]*"|'[^']*'|[^.]+)""", dotted)]


def _balance(text: str) -> int:
    """Brackets opened less those closed, outside of strings and comments."""
    bare = re.sub(r""""(?:\\.|[^"\\])*"|'[^']*'|#.*""", "", text)
    return bare.count("[") + bare.count("{") - bare.count("]") - bare.count("}")
