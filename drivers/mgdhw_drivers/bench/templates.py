"""Commands with placeholders: "SOUR{channel}:VOLT {value}"."""

from __future__ import annotations

from collections.abc import Collection
from string import Formatter

from mgdhw.parsing import did_you_mean


def placeholders(template: str) -> list[str]:
    """Names of the placeholders of a command, in order. Raises ValueError if it is malformed."""
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"{error}; write {{{{ and }}}} for braces that are sent") from None
    found = []
    for _, name, spec, conversion in parts:
        if name is None:
            continue
        if spec or conversion:
            raise ValueError(f"{{{name}}} takes no format here; use the key format")
        found.append(name)
    return found


def check_placeholders(
    template: str, allowed: Collection[str], needed: Collection[Collection[str]] = (), last: str | None = None
) -> None:
    """Raise ValueError if a command has other placeholders than it may, or not those it must.

    Args:
        template: the command.
        allowed: names that it may have.
        needed: sets of names, one of which has to be there completely.
        last: a name that has to be at its end.
    """
    found = placeholders(template)
    listed = ", ".join(f"{{{name}}}" for name in allowed) or "none"
    for name in found:
        if name not in allowed:
            raise ValueError(f"unknown placeholder {{{name}}}; expected {listed}{did_you_mean(name, allowed)}")
    if needed and not any(set(names) <= set(found) for names in needed):
        choices = " or ".join(" and ".join(f"{{{name}}}" for name in names) for names in needed)
        raise ValueError(f"needs {choices}")
    if last is not None and not template.rstrip().endswith(f"{{{last}}}"):
        raise ValueError(f"has to end with {{{last}}}")


def fill(template: str, **values: str) -> str:
    """A command with its placeholders replaced."""
    return "".join(text + ("" if name is None else values[name]) for text, name, _, _ in Formatter().parse(template))


def header(template: str, **values: str) -> str:
    """What precedes {block} in a command, with its other placeholders replaced."""
    return fill(template.rstrip().removesuffix("{block}"), **values)
