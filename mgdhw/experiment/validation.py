"""What pydantic finds wrong with values, in words: the key, what was expected, what was given, and who gave it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from mgdhw.experiment.overrides import describe_override
from mgdhw.parsing import did_you_mean, short_repr

LONGEST_KEY = 200
"""Characters of a key that an error shows."""


def explain(problem: Any, model: Any, source: str, changed: Mapping[str, str]) -> str:
    """One problem that pydantic has found, in a line.

    Args:
        problem: an entry of `ValidationError.errors()`.
        model: the class that was to be made.
        source: what errors call the values.
        changed: the override that an error is about instead, by the dotted key that it changed.
    """
    location = [str(part) for part in problem["loc"]]
    key = ".".join(location) or "the file"
    message = _message(problem, location, key, model)
    override = _blamed(key, message, changed)
    short = key if len(key) <= LONGEST_KEY else f"{key[:LONGEST_KEY]}…"
    return f"{source if override is None else describe_override(override)}: {short}: {message}"


def _blamed(key: str, message: str, changed: Mapping[str, str]) -> str | None:
    """The override that an error about a key is due to; None if it is the file's."""
    for name, override in changed.items():
        last = name.rpartition(".")[2]  # what a whole section says of one of its keys
        if f"{key}.".startswith(f"{name}.") or (
            name.startswith(f"{key}.") and re.search(rf"\b{re.escape(last)}\b", message)
        ):
            return override
    return None


def _message(problem: Any, location: list[str], key: str, model: Any) -> str:
    given = problem["input"]
    got = f" (got {short_repr(given)})"
    match problem["type"]:
        case "extra_forbidden":
            return f"no such key; {_elsewhere(location, model)}"
        case "model_type":
            return f"expected a section, [{key}], with keys of its own{got}"
        case "string_pattern_mismatch":
            return f"expected letters, digits, '.', '_' and '-' only{got}"
    message = str(problem["msg"]).removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if problem["type"] == "literal_error":
        choices = [c.strip(" '") for c in problem["ctx"]["expected"].replace(" or ", ",").split(",")]
        message += did_you_mean(str(given), choices) if isinstance(given, str) else ""
    return message if isinstance(given, dict | BaseModel) else message + got


def _elsewhere(location: list[str], whole: Any) -> str:
    """Where the key that does not exist may have been meant to stand."""
    sections = {
        name: field.annotation
        for name, field in whole.model_fields.items()
        if hasattr(field.annotation, "model_fields")
    }
    model = whole
    for part in location[:-1]:
        model = model.model_fields[part].annotation
    elsewhere = [f"{name}.{location[-1]}" for name, section in sections.items() if location[-1] in _keys(section)]
    if len(elsewhere) == 1:
        return f"did you mean {elsewhere[0]!r}?"
    names = _keys(model)
    return did_you_mean(location[-1], names).removeprefix("; ") or f"expected one of {', '.join(names)}"


def _keys(section: Any) -> list[str]:
    """The keys of a section, those of its variants among them."""
    return [*section.model_fields, *getattr(section, "variant_keys", ())]
