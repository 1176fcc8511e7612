"""An instrument of pyvisa-sim, described in YAML, as a bench."""

from pathlib import Path

import numpy as np
import pytest

import mgdhw
from mgdhw.errors import DeviceFault
from mgdhw_drivers.bench.device import open_uri

YAML = """
spec: "1.1"
devices:
  source:
    eom:
      TCPIP SOCKET:
        q: "\\n"
        r: "\\n"
    error:
      status_register:
        - q: "*ESR?"
          command_error: 32
      error_queue:
        - q: "SYST:ERR?"
          default: '0,"No error"'
          command_error: '-113,"Undefined header"'
    dialogues:
      - q: "*IDN?"
        r: "pyvisa-sim,source,1,1.0"
      - q: "*CLS"
      - q: "*OPC?"
        r: "1"
    properties:
      level:
        default: 0.25
        getter:
          q: "VOLT1?"
          r: "{:.4f}"
        setter:
          q: "VOLT1 {}"
        specs:
          min: -2
          max: 2
          type: float
      other:
        default: -0.5
        getter:
          q: "VOLT2?"
          r: "{:.4f}"
        setter:
          q: "VOLT2 {}"
        specs:
          min: -2
          max: 2
          type: float
      input:
        default: 0.0
        getter:
          q: "INP?"
          r: "{:.4f}"
        setter:
          q: "INP {}"
        specs:
          min: 0
          max: 1
          type: float
resources:
  TCPIP0::localhost::5025::SOCKET:
    device: source
"""
RACK = """
[instruments.source]
address = "TCPIP0::localhost::5025::SOCKET"
backend = "BACKEND"
identity = "pyvisa-sim"
[[parameters]]
instrument = "source"
channels = "1:2"
write = "VOLT{channel} {value}"
separator = ""
read = "VOLT{channel}?"
format = ".4f"
min = "-1 V"
max = "1 V"
lsb = "1 mV"
safe = "0 V"
max_step = "100 mV"
[[inputs]]
instrument = "source"
channels = "3"
write = "INP {value}"
low = "0 V"
high = "1 V"
format = ".4f"
[[outputs]]
instrument = "source"
query = "INP?"
[[safe]]
instrument = "source"
write = "SAFE 0"
"""


def rack(folder: Path, safe: str) -> str:
    """Address of the bench."""
    yaml = folder / "source.yaml"
    yaml.write_text(YAML, "utf-8")
    path = folder / "rack.toml"
    path.write_text(RACK.replace("BACKEND", f"{yaml}@sim").replace("SAFE 0", safe), "utf-8")
    return f"bench:{path}"


async def test_an_instrument_in_yaml_is_a_bench(tmp_path: Path) -> None:
    data = mgdhw.Dataset("one", np.array([[0.0], [1.0]]), 1.0, np.array([[0.0], [1.0]]), 2)
    async with open_uri(rack(tmp_path, "INP 0.0000")) as device:
        np.testing.assert_array_equal(await device.read(), [0.25, -0.5])
        await device.load(data)
        theta = await device.write(np.array([0.7, 0.1]))
        np.testing.assert_array_equal(theta, [0.7, 0.1])
        np.testing.assert_array_equal(await device.infer(np.arange(2)), [[0.0], [1.0]])
    device = open_uri(f"bench:{tmp_path / 'rack.toml'}")
    async with device:
        np.testing.assert_array_equal(await device.read(), [0.0, 0.0])


async def test_an_error_of_the_instrument_has_its_code_and_text(tmp_path: Path) -> None:
    device = open_uri(rack(tmp_path, "NONSENSE"))
    await device.open()
    with pytest.raises(DeviceFault, match="not confirmed to be safe: source reports error -113, Undefined header"):
        await device.close()
