"""How a served device measures holds behind a link, too, and so does what is no measurement."""

from dataclasses import replace

import numpy as np
import pytest

from mgdhw.arrays import IntArray
from mgdhw.block import Block, CodeSpec, Costs, Part
from mgdhw.datasets import load
from mgdhw.device import Acquisition, open_device
from mgdhw.errors import DeviceFault
from mgdhw.random.sample_order import SampleOrder
from mgdhw.testing import FunctionDevice
from mgdhw_drivers.server.endpoint import Endpoint, Line
from mgdhw_drivers.server.serving import serving
from mgdhw_drivers.transports.tcp import TcpListener

BLOCK = Block(0, 2, CodeSpec(), SampleOrder(0, 4, 1, 9))


class Counting(FunctionDevice):
    """Answers 1, 2, 3, ... to measurements, and an overload to some."""

    def __init__(self, acquisition: Acquisition | None = None, overloads: tuple[int, ...] = ()) -> None:
        super().__init__(lambda theta: 0.0, 3)
        self.info = replace(self.info, acquisition=acquisition)
        self.measured, self.overloads = 0, overloads

    async def measure(self, samples: IntArray, step: int, part: Part) -> int | float:
        self.measured += 1
        return 9.9e37 if self.measured in self.overloads else self.measured


async def costs_over_a_link(served: FunctionDevice) -> Costs:
    station = Endpoint(served, Line())
    listener = TcpListener(station, 0)
    async with serving(station, listener), open_device(listener.address) as device:
        await device.load(load("xor"))
        await device.write(np.zeros(3))
        return await device.probe(BLOCK)


async def test_readings_are_averaged_where_the_device_is() -> None:
    costs = await costs_over_a_link(Counting(Acquisition(0.001, 3)))
    assert costs.reference.tolist() == [2.0, 2.0]
    assert costs.perturbed.tolist() == [5.0, 8.0]


async def test_overloads_are_repeated_where_the_device_is() -> None:
    costs = await costs_over_a_link(Counting(overloads=(1, 3, 4)))
    assert costs.reference.tolist() == [2.0, 2.0]
    assert costs.perturbed.tolist() == [5.0, 6.0]
    with pytest.raises(DeviceFault, match=r"the cost of probe 0 is 9\.9e\+37, an overload.*measured 4 times"):
        await costs_over_a_link(Counting(overloads=tuple(range(9))))
