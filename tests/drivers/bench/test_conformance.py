"""Racks keep the contract of a device."""

import contextlib
from collections.abc import AsyncIterator, Callable

import pytest

from mgdhw.device import Device
from mgdhw.testing import DeviceConformance
from tests.drivers.bench.fake import FakeBench, example


class OnInstrumentsInMemory(DeviceConformance):
    example: str

    @contextlib.asynccontextmanager
    async def opener(self) -> AsyncIterator[Callable[[], Device]]:
        # Without waiting between the steps of a ramp: the contract has tests of its own for that.
        bench = FakeBench(example(self.example, ('step_time = "1', 'step_time = "0')))
        yield bench.device


class TestSourceAndScope(OnInstrumentsInMemory):
    example = "source-and-scope"


class TestSourceMeasureUnits(OnInstrumentsInMemory):
    example = "source-measure-units"


class TestGeneratorAndDigitizer(OnInstrumentsInMemory):
    example = "generator-and-digitizer"


del DeviceConformance, OnInstrumentsInMemory
