"""Racks in which everything goes wrong: see `scenarios`."""

from pathlib import Path

import numpy as np
import pytest

from mgdhw.errors import DeviceError
from tests.drivers.bench.scenarios import GENERATOR, SOURCE, UNITS, trained


async def check(name: str, folder: Path, seeds: range) -> None:
    """Whoever finishes has the θ of a training without faults: no cost was ever wrong."""
    expected, _ = await trained(name, folder, None)
    assert expected is not None
    for seed in seeds:
        theta, error = await trained(name, folder, seed)
        if theta is not None:
            np.testing.assert_array_equal(theta, expected)
        else:
            assert isinstance(error, DeviceError)


async def test_faults_end_in_the_same_parameters_or_a_typed_error(tmp_path: Path) -> None:
    await check(SOURCE, tmp_path, range(4, 5))


@pytest.mark.long
@pytest.mark.parametrize(("name", "seeds"), [(SOURCE, 5), (UNITS, 2), (GENERATOR, 5)])
async def test_many_scenarios(name: str, seeds: int, tmp_path: Path) -> None:
    await check(name, tmp_path, range(100, 100 + seeds))
