"""Racks keep the contract of a device."""

import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from mgdhw.device import Device
from mgdhw.testing import DeviceConformance
from tests.drivers.bench.fake import FakeBench, example

NO_WAITING = (('step_time = "', 'step_time = "0 s" # "'), ('settle = "', 'settle = "0 s" # "'))


class OnInstrumentsInMemory(DeviceConformance):
    example: str
    changes: tuple[tuple[str, str], ...] = ()

    @contextlib.asynccontextmanager
    async def opener(self) -> AsyncIterator[Callable[[], Device]]:
        # Without waiting: the contract has tests of its own for that.
        bench = FakeBench(example(self.example, *NO_WAITING, *self.changes))
        yield bench.device


class TestSourceAndScope(OnInstrumentsInMemory):
    example = "source-and-scope"


@pytest.mark.long
class TestSourceMeasureUnits(OnInstrumentsInMemory):
    example = "source-measure-units"


class TestGeneratorAndDigitizer(OnInstrumentsInMemory):
    example = "generator-and-digitizer"
    # Without noise, costs that differ by rounding alone are different: no float32, and means of 2ⁿ equal numbers.
    changes = (('dtype = "float32"', 'dtype = "float64"'), ("windows = [[4, 16]]", "windows = [[8, 16]]"))


del DeviceConformance, OnInstrumentsInMemory
