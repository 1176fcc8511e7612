"""What waiting and averaging take, by what a device declares and an experiment says otherwise."""

from dataclasses import replace

import pytest

from mgdhw.device import Acquisition, Capability
from mgdhw.experiment.load import check_experiment
from mgdhw.experiment.measurement import acquisition_of, usage_of, uses_host_codes
from mgdhw.testing import FunctionDevice
from mgdhw.timing import Timing, count_operations

INFO = FunctionDevice(lambda theta: 0.0, 3).info
OVERRIDDEN = check_experiment({"readings": {"settling": 0.5, "average": 4}}, source="test")
PLAIN = check_experiment({}, source="test")
COUNTED = count_operations(
    probes=10, evaluations=20, updates=5, batch=2, tau_x=1, n_parameters=3, n_inputs=2, host_codes=True
)


def test_an_experiment_overrides_where_the_host_measures() -> None:
    assert acquisition_of(PLAIN, INFO, host_codes=True) is None
    assert acquisition_of(OVERRIDDEN, INFO, host_codes=True) == Acquisition(0.5, 4)
    assert acquisition_of(OVERRIDDEN, INFO, host_codes=False) is None
    declared = replace(INFO, acquisition=Acquisition(0.1, 2, 0.01, (7.0,)))
    assert acquisition_of(PLAIN, declared, host_codes=True) == declared.acquisition
    assert acquisition_of(OVERRIDDEN, declared, host_codes=True) == Acquisition(0.5, 4, 0.01, (7.0,))


def test_the_host_makes_the_codes_of_a_device_that_cannot() -> None:
    assert uses_host_codes(PLAIN, INFO)
    capable = replace(INFO, capabilities=INFO.capabilities | Capability.PROBE)
    assert not uses_host_codes(PLAIN, capable)
    assert uses_host_codes(check_experiment({"run": {"level": "host-codes"}}, source="test"), capable)


def test_waiting_and_averaging_are_in_the_budget() -> None:
    assert usage_of(COUNTED, INFO, None) is None
    waits = usage_of(COUNTED, INFO, Acquisition(0.5, 4, 0.01))
    assert waits is not None
    assert waits.items["settling"].seconds == 10.0
    assert waits.items["dead time"].seconds == pytest.approx(0.6)
    assert waits.seconds == pytest.approx(10.6)
    timed = replace(INFO, timing=Timing(probe_seconds=1.0, baseline_seconds=1.0))
    once, four = usage_of(COUNTED, timed, None), usage_of(COUNTED, timed, Acquisition(readings=4))
    assert once is not None
    assert four is not None
    assert (once.seconds, four.seconds) == (40.0, 160.0)
    assert "dead time" not in once.items
