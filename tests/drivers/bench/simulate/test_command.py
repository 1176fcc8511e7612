from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mgdhw.errors import ConfigError
from mgdhw_drivers.bench.simulate.command import simulate
from tests.drivers.bench.simulate.racks import BENCHES

EXAMPLE = BENCHES / "source-and-scope.toml"
DEFAULTS: dict[str, Any] = {
    "rack": EXAMPLE,
    "chip": "analog-8bit?engine=reference",
    "latency": "0 s",
    "settling": "0 s",
    "faults": "",
    "seed": 0,
    "pty": False,
    "record": None,
    "output": None,
}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"rack": Path("missing.toml")}, "missing.toml: no such file"),
        ({"latency": "fast"}, "--latency fast: expected a quantity in s"),
        ({"settling": "120 s"}, "--settling 120 s: expected 0 s to 60 s"),
        ({"faults": "smoke=1"}, "no fault 'smoke'"),
        ({"chip": "sim:analog-8bit?layers=4-1"}, "has 5 parameters, the rack has 13"),
        ({"output": Path("nowhere/rack.toml")}, "nowhere/rack.toml: No such file"),
        ({"record": Path("nowhere/moves.csv")}, "nowhere/moves.csv: No such file"),
    ],
)
def test_what_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        simulate(**DEFAULTS | changed)
    assert message in str(caught.value)
