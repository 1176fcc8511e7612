from __future__ import annotations

import asyncio
import struct
from pathlib import Path

import numpy as np
import pytest

from mgdhw.errors import ConfigError
from mgdhw_drivers.bench.load import parse_rack
from mgdhw_drivers.bench.rack import Place
from mgdhw_drivers.bench.simulate.chip import SimulatedChip
from mgdhw_drivers.bench.simulate.digitizer import Digitizer, Scope
from mgdhw_drivers.bench.simulate.faults import Faults
from mgdhw_drivers.bench.simulate.generator import WaveformGenerator
from mgdhw_drivers.bench.simulate.meter import Multimeter
from mgdhw_drivers.bench.simulate.recorder import Cause, Recorder, read_moves
from mgdhw_drivers.bench.simulate.sources import MultichannelSource, SourceMeasureUnit
from mgdhw_drivers.scpi.blocks import definite_block
from tests.drivers.bench.simulate.racks import NAMES, SMALL, Bench, Counting, bench, example


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("source-and-scope", [MultichannelSource, Scope]),
        ("source-measure-units", [*[SourceMeasureUnit] * 9, MultichannelSource, Multimeter]),
        ("generator-and-digitizer", [WaveformGenerator, Digitizer]),
    ],
)
async def test_what_an_instrument_is_follows_from_its_use(name: str, kinds: list[type]) -> None:
    rack = example(name)
    async with bench(rack) as rig:
        assert [type(one) for one in rig.instruments.values()] == kinds
        for member, (_, settings) in rack.resources().items():
            assert settings.identity in (await rig.ask(member, "*IDN?")).decode()
            for message in settings.initialise:
                await rig.ask(member, message)
            assert rig.errors(member) == []
            assert await rig.ask(member, "*ESR?;:SYST:ERR?") in (b'0;0,"No error"', b'128;0,"No error"')


@pytest.mark.parametrize("name", NAMES)
async def test_every_step_of_the_example_racks_is_understood(name: str) -> None:
    rack = example(name)
    async with bench(rack) as rig:
        for step in (*rack.trigger, *rack.safe):
            if step.instrument is not None:
                for member in rack.members(step.instrument):
                    await rig.ask(member, step.write or step.query or "")
                    assert rig.errors(member) == []


async def test_levels_become_outputs() -> None:
    async with bench(SMALL) as rig:
        assert await rig.ask("source", "SOUR:VOLT 0.5,1,-0.25,(@1:3);:SOUR4:VOLT 1;:OUTP ON,(@1:4)") == b""
        # reading = (output - offset) / scale; the level 1 V is the input 0
        assert float(await rig.ask("meter", "READ?")) == (1.25 - 1.0) / 2.0
        await rig.ask("source", "SOUR4:VOLT 3")
        assert float(await rig.ask("meter", "MEAS:VOLT:DC?")) == (2.25 - 1.0) / 2.0
        assert await rig.ask("source", "SOUR:VOLT? (@1:4)") == b"0.5,1.0,-0.25,3.0"
        assert await rig.ask("source", "SOUR2:VOLT?;:OUTP? (@4:5)") == b"1.0;1,0"
        await rig.ask("source", "OUTP OFF,(@1:3)")
        assert float(await rig.ask("meter", "READ?")) == 0.0
        await rig.ask("meter", "INIT")
        await rig.ask("source", "OUTP ON,(@1:3)")
        assert float(await rig.ask("meter", "FETC?")) == 0.0
        assert rig.errors("source") == rig.errors("meter") == []


async def test_nothing_is_computed_twice() -> None:
    async with bench(SMALL) as rig:
        await rig.ask("source", "OUTP ON,(@1:4)")
        for level in (1, 2, 3, 1, 2, 3):
            await rig.ask("source", f"SOUR4:VOLT {level}")
            await rig.ask("meter", "READ?")
        assert rig.device.inferences == 3
        await rig.ask("source", "SOUR1:VOLT 0.5")  # from now on, samples that are known are computed together
        for level in (1, 2, 3):
            await rig.ask("source", f"SOUR4:VOLT {level}")
            await rig.ask("meter", "READ?")
        assert rig.device.inferences == 4


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("SOUR:VOLT 1,2,(@1:3)", -109),
        ("SOUR:VOLT 1,2,3,(@1:2)", -108),
        ("SOUR:VOLT 2000", -222),
        ("SOUR:VOLT 1,2", -128),
        ("SOUR:VOLT 1,(@5000)", -222),
        ("OUTP MAYBE", -224),
    ],
)
async def test_what_a_source_refuses(message: str, code: int) -> None:
    async with bench(SMALL) as rig:
        await rig.ask("source", message)
        assert rig.errors("source") == [code]


async def test_power_cycles_and_resets_are_told_apart(tmp_path: Path) -> None:
    async with bench(SMALL, record=tmp_path / "moves.csv") as rig:
        await rig.ask("source", "OUTP ON,(@1);:SOUR1:VOLT 2;:SOUR1:VOLT 2;*RST;:OUTP ON;:SOUR:VOLT 0.5")
        rig.instruments["source"].power_cycle()
        assert await rig.ask("source", "*ESR?;:SOUR1:VOLT?;:OUTP?") == b"128;0.0;0"
        assert rig.chip.recorder.largest == {Place("source", "1"): 2.0}
    moves = [(move.level, move.cause) for move in read_moves(tmp_path / "moves.csv")]
    assert moves == [(2.0, Cause.COMMAND), (0.0, Cause.COMMAND), (0.5, Cause.COMMAND), (0.0, Cause.POWER)]


async def test_a_change_has_no_effect_before_it_has_settled() -> None:
    async with bench(SMALL, settling=3600.0) as rig:
        before = await rig.ask("meter", "READ?")
        await rig.ask("source", "OUTP ON,(@1:4);:SOUR:VOLT 1,(@1:4)")
        assert await rig.ask("meter", "READ?") == before
        rig.chip.settling = 1e-9
        assert await rig.ask("meter", "READ?") != before


def block(values: list[float]) -> bytes:
    return definite_block(np.array(values, "<f4").tobytes())


async def prepared(rig: Bench) -> None:
    """The generator and the digitizer as the example has them."""
    await rig.ask("generator", "*CLS;:OUTP ON,(@1:11)")
    await rig.ask("digitizer", "*RST;*CLS;:FORM:DATA REAL,32;BORD SWAP")


async def test_a_record_at_once_begins_with_what_was_there_before() -> None:
    async with bench(example("generator-and-digitizer")) as rig:
        await prepared(rig)
        await rig.ask("generator", "SOUR1:VOLT 0.5")
        await rig.ask("digitizer", "ACQ:POIN 16;:TRIG:SOUR IMM;:INIT")
        assert await rig.ask("digitizer", "*OPC?") == b"1"
        values = np.frombuffer((await rig.ask("digitizer", "FETC? (@1)"))[4:], "<f4")
        np.testing.assert_array_equal(values, [0.0] * 4 + [0.5] * 12)
        assert rig.errors("digitizer") == rig.errors("generator") == []


async def test_waveforms_are_played_once_and_recorded(tmp_path: Path) -> None:
    async with bench(example("generator-and-digitizer"), record=tmp_path / "moves.csv") as rig:
        await prepared(rig)
        for channel in range(1, 12):
            await rig.ask("generator", b"SOUR%d:DATA:VOL " % channel + block([0.0] * 12))
        await rig.ask("generator", b"SOUR1:DATA:VOL " + block([0.0] * 4 + [0.25] * 4 + [0.0] * 4))
        await rig.ask("generator", "SOUR:ARB:SRAT 1E5;:SOUR:FUNC ARB,(@1:11)")
        await rig.ask("digitizer", "ACQ:SRAT 1E5;:ACQ:POIN 12;:TRIG:SOUR EXT;:INIT")
        waiting = asyncio.ensure_future(rig.ask("digitizer", "*OPC?"))
        await asyncio.sleep(0)
        assert not waiting.done()
        await rig.ask("generator", "*TRG")
        assert await waiting == b"1"
        values = np.frombuffer((await rig.ask("digitizer", "FETC? (@1)"))[4:], "<f4")
        # Channels settle in 20 us: two points.
        np.testing.assert_array_equal(values, [0.0] * 6 + [0.25] * 4 + [0.0] * 2)
        assert rig.errors("digitizer") == rig.errors("generator") == []
        assert rig.device.inferences == 2
    moves = list(read_moves(tmp_path / "moves.csv"))
    assert [(move.place.channel, move.level, move.cause) for move in moves] == [
        ("1", 0.25, Cause.WAVEFORM),
        ("1", 0.0, Cause.WAVEFORM),
    ]
    assert moves[1].seconds - moves[0].seconds == pytest.approx(4e-5, abs=2e-6)


async def test_named_waveforms() -> None:
    async with bench(example("generator-and-digitizer")) as rig:
        await prepared(rig)
        await rig.ask("generator", b"SOUR10:DATA:NAME S3," + block([0.0, 0.75]))
        await rig.ask("generator", "SOUR10:FUNC:USER S3;:SOUR10:FUNC:USER S4")
        assert rig.errors("generator") == [-256]
        assert rig.chip.levels()[9] == 0.75
        await rig.ask("generator", "SOUR:FUNC DC,(@10:11)")
        assert rig.chip.levels()[9] == 0.0


@pytest.mark.parametrize(
    ("name", "message", "code"),
    [
        ("generator", b"*TRG", -211),
        ("generator", b"SOUR1:DATA:VOL #13abc", -161),
        ("generator", b"SOUR1:DATA:VOL " + definite_block(struct.pack("<f", float("inf"))), -222),
        ("digitizer", b"FETC?", -230),
        ("digitizer", b"TRIG:SOUR EXT;:INIT;:INIT", -213),
        ("digitizer", b"TRIG:SOUR EXT;:READ?", -221),
        ("digitizer", b"ACQ:POIN 0", -222),
    ],
)
async def test_what_generators_and_digitizers_refuse(name: str, message: bytes, code: int) -> None:
    async with bench(example("generator-and-digitizer")) as rig:
        await prepared(rig)
        await rig.ask(name, message)
        assert rig.errors(name) == [code]


async def test_a_trigger_that_never_comes_can_be_given_up() -> None:
    async with bench(example("generator-and-digitizer")) as rig:
        await prepared(rig)
        await rig.ask("digitizer", "TRIG:SOUR EXT;:INIT;*OPC")
        waiting = asyncio.ensure_future(rig.ask("digitizer", "*OPC?"))
        await asyncio.sleep(0)
        rig.instruments["digitizer"].reset()
        assert await waiting == b"1"


async def test_readings_go_wrong_on_purpose() -> None:
    async with bench(SMALL, Faults(overload=1.0)) as rig:
        assert await rig.ask("meter", "READ?") == b"9.9E+37"
    async with bench(SMALL, Faults(spike=1.0)) as rig:
        assert float(await rig.ask("meter", "READ?")) > 5
    async with bench(SMALL, Faults(error=1.0, interlock=1.0)) as rig:
        assert await rig.ask("source", "OUTP:PROT:TRIP?") == b"1"
        assert rig.errors("source") == [-310]


async def test_an_instrument_that_measures_the_cost() -> None:
    text = """
[instruments.source]
address = "TCPIP::10.0.0.1::5025::SOCKET"
[instruments.detector]
address = "TCPIP::10.0.0.2::5025::SOCKET"
[instruments.meter]
address = "TCPIP::10.0.0.3::5025::SOCKET"
[[parameters]]
instrument = "source"
write = "SOUR{channel}:VOLT {value}"
min = "-4 V"
max = "4 V"
lsb = "1 mV"
safe = "0 V"
[[inputs]]
instrument = "source"
channels = "2"
write = "SOUR{channel}:VOLT {value}"
low = "0 V"
high = "1 V"
[[targets]]
instrument = "source"
channels = "3"
write = "SOUR{channel}:VOLT {value}"
low = "0 V"
high = "2 V"
[[outputs]]
instrument = "meter"
query = "READ?"
[cost]
kind = "mse"
instrument = "detector"
query = "MEAS:ERR?"
scale = 0.5
[[safe]]
instrument = "source"
write = "OUTP OFF,(@1:3)"
"""
    async with bench(parse_rack(text, "cost")) as rig:
        await rig.ask("source", "OUTP ON,(@1:3);:SOUR:VOLT 0.5,0.25,2,(@1:3)")
        assert float(await rig.ask("detector", "MEAS:ERR?")) == 2 * (0.75 - 1.0) ** 2
        assert rig.errors("detector") == []


async def test_a_chip_of_another_size() -> None:
    with Recorder() as recorder:
        async with Counting(2, 1) as device:
            with pytest.raises(ConfigError, match="has 2 parameters, the rack has 3"):
                SimulatedChip(device, SMALL, recorder)


async def test_levels_beyond_the_chip_are_scaled() -> None:
    with Recorder() as recorder:
        async with Counting(3, 1, low=-1.0, high=1.0) as device:
            chip = SimulatedChip(device, SMALL, recorder)
            chip.set(Place("source", "1"), 2.0)
            chip.set(Place("source", "4"), 1.0)
            np.testing.assert_allclose(await chip.outputs(chip.levels()[None]), [[0.5]], atol=1e-5)
