"""Limits of the parameters: nothing is sent that would leave them."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mgdhw.block import Baseline, CodeSpec
from mgdhw.datasets import Dataset
from mgdhw.device import HostCodes, open_device
from mgdhw.errors import ConfigError, LimitExceeded
from tests.device.bowl import Bowl, block, opened


@pytest.mark.parametrize(
    ("index", "value", "message"),
    [
        (3, 2.5, "bowl:1: parameter 3 would be 2.5, outside its limits -2 ... 2; nothing was sent"),
        (0, -2.001, "bowl:1: parameter 0 would be -2.001, outside its limits -2 ... 2; nothing was sent"),
        (1, float("nan"), "bowl:1: parameter 1 would be nan, outside its limits -2 ... 2; nothing was sent"),
        (4, float("inf"), "bowl:1: parameter 4 would be inf, outside its limits -2 ... 2; nothing was sent"),
    ],
)
async def test_a_parameter_beyond_its_limits_is_named_and_nothing_is_sent(
    index: int, value: float, message: str
) -> None:
    for device in (Bowl(), open_device("sim:analog-8bit?layers=4-1&weight_range=2")):
        theta = np.zeros(5)
        theta[index] = value
        async with device:
            before = await device.read()
            with pytest.raises(LimitExceeded) as error:
                await device.write(theta)
            assert_array_equal(await device.read(), before)
            assert error.value.uri == device.uri
            if isinstance(device, Bowl):
                assert str(error.value) == message
                assert device.sent == []


def test_limits_may_differ_from_parameter_to_parameter() -> None:
    device = Bowl()
    device.info = replace(device.info, theta_max=np.array([1.0, 2.0, 3.0, 4.0, 5.0]), theta_min=np.full(5, -1.0))
    device.check_limits(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    device.check_limits(np.full(5, -1.0))
    with pytest.raises(LimitExceeded, match=r"knob 2 would be 3\.5, outside its limits -1 \.\.\. 3;"):
        device.check_limits(np.array([0.0, 0.0, 3.5, 4.5, 0.0]), "knob")


@pytest.mark.parametrize("shape", [(), (4,), (6,), (5, 1)])
def test_parameters_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"bowl:1: parameters have shape .*, expected \(5,\)"):
        Bowl().check_limits(np.zeros(shape))


@pytest.mark.parametrize("baseline", Baseline)
@pytest.mark.parametrize("side", [1, -1])
async def test_a_block_that_would_leave_the_limits_is_refused_before_anything_is_sent(
    baseline: Baseline, side: int
) -> None:
    """At every level alike: by a device that takes blocks, and by the host for one that doesn't."""
    for device in (Bowl(2.0**-5), open_device("sim:analog-8bit?layers=4-1&weight_range=4")):
        lsb = float(np.max(device.info.theta_lsb))
        edge = float(np.max(device.info.theta_max if side > 0 else device.info.theta_min)) - side * 2 * lsb
        async with device:
            await device.load(Dataset("d", np.zeros((7, device.info.n_inputs)), 1.0, np.zeros((7, 1)), 7))
            theta = await device.write(np.array([0.0, 0.0, edge, 0.0, 0.0]))
            assert isinstance(device, HostCodes)
            if isinstance(device, Bowl):
                device.sent.clear()
            for probe in (device.probe, device.probe_with_host_codes):
                with pytest.raises(LimitExceeded, match=r"perturbed parameter 2 would be .* nothing was sent"):
                    await probe(block(baseline))
            assert_array_equal(await device.read(), theta)
            if isinstance(device, Bowl):
                assert device.sent == []
                assert device.measured == []
            within = block(baseline, codes=CodeSpec("random", 1, 2))
            await device.probe(within)
            await device.probe_with_host_codes(within)


@pytest.mark.parametrize(
    ("limit", "lsb"), [(3.3, 0.1), (2.5, 0.0001), (0.3, 0.1), (10.0, 0.005), (2.3, 0.1), (3.0, 0.1)]
)
async def test_a_decimal_step_may_be_taken_right_up_to_the_limit(limit: float, lsb: float) -> None:
    """3.2 + 0.1 is more than 3.3 in binary floating point, but no knob is turned too far by it."""
    device = await opened(Bowl(lsb, limit))
    highest = (round(limit / lsb) - 1) * lsb
    device.theta = np.array([highest, -highest, 0.0, highest, -highest])
    await device.probe_with_host_codes(block(codes=CodeSpec("random", 1, 1)))
    assert np.abs(device.sent).max() <= limit
    with pytest.raises(LimitExceeded):
        device.check_limits(np.full(5, limit + lsb / 1000))
