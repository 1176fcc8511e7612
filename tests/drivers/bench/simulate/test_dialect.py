"""Racks whose commands are none of the examples'."""

from __future__ import annotations

import numpy as np
import pytest

from mgdhw_drivers.bench.load import parse_rack
from mgdhw_drivers.bench.simulate.dialect import Role, forms
from mgdhw_drivers.bench.simulate.faults import Faults
from mgdhw_drivers.scpi.blocks import definite_block
from tests.drivers.bench.simulate.racks import bench

RACK = """
[instruments.dac]
address = "TCPIP::10.0.0.1::5025::SOCKET"
initialise = ["*CLS", "LOCK:FRONT ON;:DISP:TEXT 'mgdhw; training'", "GATE ON,(@1:5)"]
[instruments.laser]
address = "TCPIP::10.0.0.2::5025::SOCKET"
[instruments.adc]
address = "TCPIP::10.0.0.3::5025::SOCKET"
[instruments.daq]
address = "TCPIP::10.0.0.4::5025::SOCKET"

[[parameters]]
instrument = "dac"
channels = "1:2"
write = "DACH{channel}:LEV {value}"
read = "DACH{channel}:LEV?"
min = "-4 V"
max = "4 V"
lsb = "1 mV"
safe = "0 V"
max_step = "1 V"
[[parameters]]
instrument = "dac"
channels = "3:4"
write = "APPL (@{channels}),{values}"
read = "APPL? (@{channels})"
min = "-4 V"
max = "4 V"
lsb = "1 mV"
safe = "0 V"
max_step = "1 V"
[[inputs]]
instrument = "laser"
channels = "1"
write = "POWR CH{channel}, {value} W"
low = "0 W"
high = "1 W"
units = "W"
[[outputs]]
instrument = "adc"
query = "PHOT{channel}:VAL?"
[[outputs]]
instrument = "daq"
channels = "7:8"
query = "SCAN? (@{channels})"
format = "block"
byte_order = "big"
points = 2
windows = [[1, 2]]
[[trigger]]
instrument = "daq"
write = "SCAN:GO"
[[trigger]]
instrument = "daq"
query = "SCAN:STAT?"
expect = "READY"
[interlock]
instrument = "laser"
query = "COVER?"
expect = "SHUT"
[[safe]]
instrument = "dac"
write = "GATE OFF,(@1:5)"
"""


async def test_commands_are_derived_from_templates() -> None:
    rack = parse_rack(RACK, "dialect")
    async with bench(rack, n_outputs=3) as rig:
        for name, (_, settings) in rack.resources().items():
            for message in settings.initialise:
                await rig.ask(name, message)
            assert rig.errors(name) == []
        await rig.ask("dac", "OUTP ON,(@1:4)")
        await rig.ask("laser", "OUTP ON")
        await rig.ask("dac", "DACH1:LEV 0.5;:DACH2:LEV 0.25")
        await rig.ask("dac", "APPL (@3:4),1,2;:APPL (@4),1.5")
        await rig.ask("laser", "POWR CH1, 0.125 W")
        assert await rig.ask("dac", "DACH1:LEV?;:APPL? (@3:4)") == b"0.5;1.0,1.5"
        assert float(await rig.ask("adc", "PHOT1:VAL?")) == 0.5 + 0.25 + 1.0 + 1.5 + 0.125
        await rig.ask("daq", "ACQ:POIN 2;:FORM REAL,32")
        assert await rig.ask("daq", "SCAN:GO;STAT?") == b"READY"
        block = definite_block(np.array([0.0, 3.375, 0.0, 3.375], ">f4").tobytes())
        assert await rig.ask("daq", "SCAN? (@7:8)") == block
        assert await rig.ask("laser", "COVER?") == b"SHUT"
        rig.instruments["laser"].faults.faults = Faults(interlock=1.0)
        assert await rig.ask("laser", "COVER?") == b"OPEN"
        for name in rig.instruments:
            assert rig.errors(name) == []


@pytest.mark.parametrize(
    ("message", "code"),
    [("DACH1:LEV", -109), ("DACH1:LEV 1,2", -108), ("DACH1:LEV ON", -104), ("APPL 0,1", -224), ("APPL (@3)", -109)],
)
async def test_what_does_not_fit_a_template(message: str, code: int) -> None:
    async with bench(parse_rack(RACK, "dialect"), n_outputs=3) as rig:
        await rig.ask("dac", message)
        assert rig.errors("dac") == [code]


def test_forms() -> None:
    (form,) = forms("SOUR{channel}:DATA:NAME {name},{block}")
    assert (form.pattern, form.roles) == ("SOUR#:DATA:NAME", (Role.NAME, Role.BLOCK))
    assert [form.pattern for form in forms("ACQ:POIN {points};RATE?;:INIT")] == ["ACQ:POIN", "ACQ:RATE?", "INIT"]
    assert [form.pattern for form in forms("OUTP 1;=;INIT")] == ["OUTP"]
    assert list(forms("")) == []
