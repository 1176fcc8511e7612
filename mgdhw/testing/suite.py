"""The contract as a pytest class."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, ClassVar

from mgdhw.device import open_device
from mgdhw.testing.check import Check, NotApplicable, Opener
from mgdhw.testing.checks import CHECKS

if TYPE_CHECKING:
    import pytest


class DeviceConformance:
    """A driver's tests: derive from it, say where the device is, and pytest holds it to the contract.

        class TestMyBench(DeviceConformance):
            uri = "mybench:7"

    Each clause is a test of its own, `test_contract[probe-has-no-side-effects]`, in an event loop of its own. Tests are
    plain functions: no plugin is needed. Whatever a device needs around it is an autouse fixture of the class, which
    may set `self.uri`; a device that has no address, or needs a server in the same event loop, overrides `opener`.
    """

    uri: str = ""
    """The device's address, for `mgdhw.open_device`."""

    known_failures: ClassVar[Mapping[str, str]] = {}
    """Checks, by name, that the device is known to fail, and why. One that passes after all fails the test."""

    @contextlib.asynccontextmanager
    async def opener(self) -> AsyncIterator[Opener]:
        """What makes the device, closed, for as long as a test takes."""
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
        """The device keeps one clause of the contract."""
        import pytest

        async def run() -> None:
            async with self.opener() as opener:
                await check.run(opener)

        try:
            asyncio.run(run())
        except NotApplicable as reason:
            pytest.skip(str(reason))
