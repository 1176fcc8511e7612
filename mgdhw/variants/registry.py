"""Variants by name: every class of a kind that a package's modules define.

A new variant is one file in the package: there is no list to keep beside it.
"""

from __future__ import annotations

import inspect
import pkgutil
from importlib import import_module
from typing import TypeVar

Kind = TypeVar("Kind")


def variants(package: str, kind: type[Kind]) -> dict[str, type[Kind]]:
    """The concrete subclasses of a class that the modules of a package define, by their `name`, in order of the names.

    Args:
        package: its dotted name; the modules directly in it are imported.
        kind: an abstract class with an attribute `name`.

    Raises:
        TypeError: two have the same name.
    """
    paths = import_module(package).__path__
    known: dict[str, type[Kind]] = {}
    for info in pkgutil.iter_modules(paths):
        if info.name == "registry":
            continue  # the module that asks
        module = import_module(f"{package}.{info.name}")
        for item in vars(module).values():
            if not _is_defined(item, module.__name__, kind):
                continue
            if item.name in known:
                raise TypeError(f"{module.__name__} and {known[item.name].__module__} both define {item.name!r}")
            known[item.name] = item
    return dict(sorted(known.items()))


def _is_defined(item: object, module: str, kind: type) -> bool:
    """Whether it is a class of a kind, a concrete one, of this module rather than imported by it."""
    if not isinstance(item, type) or not issubclass(item, kind):
        return False
    return item.__module__ == module and not inspect.isabstract(item)
