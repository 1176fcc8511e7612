"""What numba compiles for: this processor, unless the environment says something else (NUMBA_CPU_NAME and its like).

Code for instructions that the target lacks ends the process in the midst of compiling, and so do instructions that
this processor lacks in the midst of running; so both are found out before.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any, cast

NEEDED = {
    "avx512f": ("avx", "avx2", "f16c", "fma"),
    "avx512bw": ("avx", "avx2", "avx512f", "f16c", "fma"),
    "avx512vbmi": ("avx", "avx2", "avx512bw", "avx512f", "f16c", "fma"),
    "avx512vnni": ("avx", "avx2", "avx512f", "f16c", "fma"),
}
"""Features of processors that kernels ask for, and those that each is built on: LLVM takes it away with any of them."""
SETTINGS = (
    *("BOUNDSCHECK", "DEBUGINFO_DEFAULT", "DISABLE_INTEL_SVML", "ENABLE_PROFILING", "EXTEND_VARIABLE_LIFETIMES"),
    *("LLVM_REFPRUNE_FLAGS", "LLVM_REFPRUNE_PASS", "LOOP_VECTORIZE", "OPT", "SLP_VECTORIZE"),
)
"""numba's settings that decide what code it makes."""


class Unusable(ImportError):
    """numba is not there, or not to be used as the environment has it; says why."""


@cache
def require_numba() -> None:
    """Make sure that kernels can be compiled here. Takes as long as importing numba, the first time.

    Raises:
        Unusable: they cannot be.
    """
    try:
        config = _config()
    except ImportError as error:
        raise Unusable(str(error)) from error
    except Exception as error:  # its settings come from the environment, and whatever is wrong with them is raised
        raise Unusable(f"{_line(error)}{_named()}") from error
    if config.DISABLE_JIT:
        raise Unusable(f"it is told to compile nothing{_named('NUMBA_DISABLE_JIT')}")
    _require_processor(config.CPU_NAME, config.CPU_FEATURES)


def has_feature(feature: str) -> bool:
    """Whether code is made for a processor with a feature, by LLVM's name for it (one of `NEEDED`).

    Only what numba tells LLVM feature by feature counts, as it does of this processor: what a name stands for, it
    does not say.
    """
    from numba.core import codegen

    features, asked = _config().CPU_FEATURES, cast(Any, codegen).get_host_cpu_features
    given = _parse_features(asked() if features is None else features)
    return given.get(feature, False) and all(given.get(name, True) for name in NEEDED[feature])


def settings() -> tuple[str, ...]:
    """numba's settings that decide what code it makes for a processor."""
    return tuple(f"{name}={getattr(_config(), name, None)}" for name in SETTINGS)


def _config() -> Any:
    """numba's settings: a module that fills itself, so that type checkers know nothing of what is in it."""
    from numba.core import config

    return config


def _require_processor(name: str | None, features: str | None) -> None:
    """What this processor has not is not to be compiled for: it would end the process when it runs."""
    from llvmlite import binding as llvm

    if features is None:  # then numba tells LLVM what this processor has and what it has not, whatever its name
        return
    if name not in (None, "generic", llvm.get_host_cpu_name()):
        raise Unusable(
            f"what a processor of the name {name!r} has is not known, and it is not this one; leave one of"
            " NUMBA_CPU_NAME and NUMBA_CPU_FEATURES out, or say NUMBA_CPU_NAME=generic"
        )
    here: dict[str, bool] = dict(llvm.get_host_cpu_features())
    missing = [
        feature for feature, given in _parse_features(features).items() if given and not here.get(feature, False)
    ]
    if missing:
        raise Unusable(f"this processor has no {', '.join(missing)}{_named('NUMBA_CPU_FEATURES')}")


def _parse_features(features: str) -> dict[str, bool]:
    """What a list such as +avx2,-avx512f says; the last word counts."""
    words = [word.strip() for word in features.split(",")]
    return {word[1:]: word[0] == "+" for word in words if word[:1] in ("+", "-")}


def _named(*names: str) -> str:
    """Which variables of the environment may be why."""
    given = [f"{name}={os.environ[name]}" for name in sorted(os.environ) if name.startswith("NUMBA_")]
    given = [word for word in given if not names or word.partition("=")[0] in names]
    return f"; the environment has {', '.join(given)}" if given else ""


def _line(error: Any) -> str:
    """What an error says, in one line: its last, since numba reports its way there first."""
    said = next((line for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)
    return said.strip().removesuffix(".")
