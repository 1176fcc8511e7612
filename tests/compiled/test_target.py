"""What numba compiles for, and when it isn't asked to."""

from __future__ import annotations

import pytest
from llvmlite import binding as llvm
from numba.core import config

from mgdhw.compiled import target
from mgdhw.compiled.target import NEEDED, Unusable, has_feature, require_numba

require = require_numba.__wrapped__
"""Without what was found out before."""
HOST = llvm.get_host_cpu_name()


def test_this_processor() -> None:
    require()
    here = llvm.get_host_cpu_features()
    assert {feature: has_feature(feature) for feature in NEEDED} == {
        feature: bool(here.get(feature)) for feature in NEEDED
    }


@pytest.mark.parametrize(
    ("told", "has"),
    [
        ("", False),
        ("+avx2", False),
        ("+avx512f", True),
        (" +avx512f , +avx512bw", True),
        ("-avx512f,+avx512f", True),
        ("+avx512f,-avx512f", False),
        ("+avx512f,-avx2", False),
        ("avx512f", False),
    ],
)
def test_what_is_told_feature_by_feature(monkeypatch: pytest.MonkeyPatch, told: str, has: bool) -> None:
    monkeypatch.setattr(config, "CPU_FEATURES", told)
    assert has_feature("avx512f") is has


def test_no_wide_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "ENABLE_AVX", 0)
    assert not any(has_feature(feature) for feature in NEEDED)
    require()


def test_what_is_built_on_a_feature_goes_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for feature, needed in NEEDED.items():
        for name in needed:
            monkeypatch.setattr(config, "CPU_FEATURES", f"+{feature},-{name}")
            assert not has_feature(feature)


@pytest.mark.parametrize(("name", "features"), [("haswell", None), ("generic", ""), (HOST, ""), (None, "")])
def test_targets_that_run_here(monkeypatch: pytest.MonkeyPatch, name: str | None, features: str | None) -> None:
    monkeypatch.setattr(config, "CPU_NAME", name)
    monkeypatch.setattr(config, "CPU_FEATURES", features)
    require()


@pytest.mark.parametrize(
    ("name", "features", "why"),
    [
        ("of-tomorrow", "", "'of-tomorrow' has is not known"),
        (None, "+sse2,+time-travel", "this processor has no time-travel"),
        ("generic", "+time-travel", "this processor has no time-travel"),
    ],
)
def test_targets_that_may_not_run_here(
    monkeypatch: pytest.MonkeyPatch, name: str | None, features: str, why: str
) -> None:
    monkeypatch.setattr(config, "CPU_NAME", name)
    monkeypatch.setattr(config, "CPU_FEATURES", features)
    with pytest.raises(Unusable, match=why):
        require()


def test_no_compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "DISABLE_JIT", 1)
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    with pytest.raises(Unusable, match="told to compile nothing; the environment has NUMBA_DISABLE_JIT=1"):
        require()


def test_settings_name_what_decides_code(monkeypatch: pytest.MonkeyPatch) -> None:
    before = target.settings()
    assert all(hasattr(config, name) for name in target.SETTINGS)
    monkeypatch.setattr(config, "OPT", 0)
    assert target.settings() != before
