"""Code families by name: every one that a module of this package defines."""

from __future__ import annotations

from functools import lru_cache

from mgdhw.block import CodeSpec
from mgdhw.codes.base import CodeFamily
from mgdhw.errors import ConfigError
from mgdhw.variants import variants

FAMILIES: dict[str, type[CodeFamily]] = variants("mgdhw.codes", CodeFamily)  # type: ignore[type-abstract]


def family_of(spec: CodeSpec) -> CodeFamily:
    """The family of a spec, with the spec's parameters.

    Raises:
        ConfigError: there is none of that name.
    """
    if spec.family not in FAMILIES:
        raise ConfigError(f"codes.family: no family {spec.family!r}; one of {', '.join(FAMILIES)}")
    return _made(FAMILIES[spec.family], spec.parameters)


@lru_cache(maxsize=64)
def _made(kind: type[CodeFamily], parameters: tuple[float, ...]) -> CodeFamily:
    return kind(*parameters)
