"""The contract as a pytest class."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, ClassVar

from mgdhw.device import open_device
from mgdhw.testing.check import Check, NotApplicable, Opener
from mgdhw.testing.clauses import CHECKS

if TYPE_CHECKING:
    import pytest


class DeviceConformance:
    """Conformance tests of a driver: derive from it and set `uri`.

        class TestMyBench(DeviceConformance):
            uri = "mybench:7"

    Each clause is a test of its own, `test_contract[probe-has-no-side-effects]`, in an event loop of its own. No pytest
    plugin is needed. If a device needs something else (a server, a pair of ports), an autouse fixture of the class can
    provide it and set `self.uri`; override `opener` for a device without an address, or a server in the same event
    loop.
    """

    uri: str = ""
    """The device's address, for `mgdhw.open_device`."""

    known_failures: ClassVar[Mapping[str, str]] = {}
    """Checks, by name, that the device is known to fail, with the reason. The test fails if such a check passes."""

    @contextlib.asynccontextmanager
    async def opener(self) -> AsyncIterator[Opener]:
        """Yields a function that makes the device, closed, for the duration of a test."""
        yield lambda: open_device(self.uri)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One test for each check."""
        import pytest

        if "check" not in metafunc.fixturenames:
            return
        unknown = set(self.known_failures) - {check.name for check in CHECKS}
        if unknown:
            raise ValueError(f"{type(self).__name__}.known_failures: no check {', '.join(sorted(unknown))}")
        parameters = []
        for check in CHECKS:
            why = self.known_failures.get(check.name)
            marks = [] if why is None else [pytest.mark.xfail(reason=why, strict=True)]
            parameters.append(pytest.param(check, id=check.name, marks=marks))
        metafunc.parametrize("check", parameters)

    def test_contract(self, check: Check) -> None:
        """The device satisfies one clause of the contract."""
        import pytest

        async def run() -> None:
            async with self.opener() as opener:
                await check.run(opener)

        try:
            asyncio.run(run())
        except NotApplicable as reason:
            pytest.skip(str(reason))
