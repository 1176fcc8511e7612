"""The section `readings` of an experiment."""

import pytest

from mgdhw.errors import ConfigError
from mgdhw.experiment.load import check_experiment


def test_outliers_that_are_repeated_need_repetitions() -> None:
    with pytest.raises(ConfigError, match=r'readings: outliers: "repeat" is of no use with repeat = 0'):
        check_experiment({"readings": {"outliers": "repeat", "repeat": 0}}, source="test")
    assert check_experiment({"readings": {"outliers": "clip", "repeat": 0}}, source="test").readings.repeat == 0
