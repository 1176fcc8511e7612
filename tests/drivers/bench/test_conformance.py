"""Racks keep the contract of a device."""

import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from mgdhw.device import Device
from mgdhw.testing import CHECKS, DeviceConformance
from tests.drivers.bench.fake import FakeBench, example
from tests.drivers.bench.simulated import simulated

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


class OverSockets(DeviceConformance):
    example: str
    changes: tuple[tuple[str, str], ...] = ()

    @contextlib.asynccontextmanager
    async def opener(self) -> AsyncIterator[Callable[[], Device]]:
        with tempfile.TemporaryDirectory() as folder:
            async with simulated(self.example, Path(folder), *NO_WAITING, *self.changes) as rack:
                yield rack.device


@pytest.mark.long
class TestSimulatedSourceAndScope(OverSockets):
    example = "source-and-scope"


@pytest.mark.long
@pytest.mark.parametrize(
    "name",
    [
        "cancelled-blocks-leave-theta",
        "cancelled-requests-leave-a-usable-device",
        "held-baseline-is-carried",
        "perturbations-that-are-moves-too-far-are-refused",
        "probe-has-no-side-effects",
    ],
)
async def test_hardware_timed_blocks_over_sockets_keep_the_contract(name: str, tmp_path: Path) -> None:
    (check,) = (check for check in CHECKS if check.name == name)
    async with simulated("generator-and-digitizer", tmp_path, *NO_WAITING) as rack:
        await check.run(rack.device)


del DeviceConformance, OnInstrumentsInMemory, OverSockets
