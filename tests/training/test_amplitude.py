"""The default Δ: from the range, never below a step, never more than the device allows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mgdhw.device import DeviceInfo
from mgdhw.device.motion import Motion
from mgdhw.training.amplitude import RANGE_SHARE, default_amplitude
from mgdhw_sim.device import SimDevice
from mgdhw_sim.spec import ChipSpec


def info_of(bits: int, weight_range: float = 4.0) -> DeviceInfo:
    return SimDevice("sim:mine", ChipSpec(layers=(2, 3, 1), weight_bits=bits, weight_range=weight_range)).info


@pytest.mark.parametrize("weight_range", [1.0, 4.0, 8.0])
@pytest.mark.parametrize("family", ["random", "rank1", "sequential", "sinusoidal", "sparse", "walsh"])
def test_bits_do_not_decide_it(family: str, weight_range: float) -> None:
    for bits in range(9 if family == "sinusoidal" else 6, 17):
        info = info_of(bits, weight_range)
        assert default_amplitude(family, info) * float(info.theta_lsb) == RANGE_SHARE * 2 * weight_range


def test_it_is_one_step_at_least_and_a_sine_has_eight() -> None:
    for bits in (4, 5):
        assert default_amplitude("random", info_of(bits)) == 1
        assert default_amplitude("sinusoidal", info_of(bits)) == 8


def test_it_swings_no_further_than_the_device_allows() -> None:
    info = info_of(12)
    lsb = float(info.theta_lsb)
    assert default_amplitude("random", replace(info, motion=Motion(9 * lsb))) == 4
    assert default_amplitude("random", replace(info, motion=Motion(lsb))) == 1
    assert default_amplitude("random", replace(info, motion=Motion(2.0))) == default_amplitude("random", info)


def test_where_parameters_differ_the_one_with_the_fewest_steps_decides() -> None:
    info = info_of(12)
    coarse = np.full(info.n_parameters, float(info.theta_lsb))
    coarse[3] *= 16
    assert default_amplitude("random", replace(info, theta_lsb=coarse)) == default_amplitude("random", info_of(8))


def test_no_device_takes_larger_codes_than_the_largest() -> None:
    assert default_amplitude("random", replace(info_of(16), theta_lsb=1e-9)) == 32767
