"""A device that is open, one that is closed, and data that do not fit."""

import numpy as np
import pytest

from mgdhw.datasets import Dataset
from mgdhw.device import open_device
from mgdhw.errors import ConfigError, DeviceUnavailable
from tests.device.bowl import ONE_SAMPLE, Bowl, block, opened

# --- finding drivers --------------------------------------------------------------------------------------------------


async def test_a_closed_device_refuses_whatever_its_driver_does() -> None:
    device = await opened(Bowl())
    await device.load(ONE_SAMPLE)
    await device.close()
    for request in (device.write(np.zeros(5)), device.probe(block()), device.probe_with_host_codes(block())):
        with pytest.raises(DeviceUnavailable, match=r"^bowl:1: the device is not open"):
            await request
    assert device.sent == []


# --- being open -------------------------------------------------------------------------------------------------------


async def test_leaving_closes_the_device_however_it_happens() -> None:
    device = Bowl()
    async with device as same:
        assert same is device
        assert device.is_open
    assert not device.is_open
    with pytest.raises(ZeroDivisionError):
        async with device:
            raise ZeroDivisionError
    assert not device.is_open


async def test_a_closed_chip_says_so() -> None:
    device = open_device("sim:analog-8bit?layers=2-1")
    await device.close()
    with pytest.raises(DeviceUnavailable, match=r"^sim:analog-8bit\?layers=2-1: the device is not open; use it inside"):
        await device.read()


async def test_data_that_does_not_fit_is_refused_with_a_way_out() -> None:
    async with open_device("sim:analog-8bit?layers=2-3-1") as device:
        with pytest.raises(ConfigError, match=r"^sim:.*2-3-1 do not fit dataset 'd'.*for example layers=5-3-4$"):
            await device.load(Dataset("d", np.zeros((3, 5)), 1.0, np.zeros((3, 4)), 3))
