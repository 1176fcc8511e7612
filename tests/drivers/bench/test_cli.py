"""`mgdhw bench`: check, try, new."""

from pathlib import Path

import pytest

from mgdhw.errors import ConfigError
from mgdhw_drivers.bench import wizard
from mgdhw_drivers.bench.dry_run import TIMED, transcript_of
from mgdhw_drivers.bench.load import load_rack
from mgdhw_drivers.bench.new_rack import rack_text
from tests.helpers.paths import ROOT

BENCHES = ROOT / "examples" / "benches"


async def test_check_shows_what_would_be_sent() -> None:
    path = BENCHES / "source-and-scope.toml"
    lines = await transcript_of(load_rack(path), path)
    phases = list(dict.fromkeys(line.phase for line in lines))
    expected = ["opening", "before each block", "writing θ", "one probe, with its baseline", "a ramp", "the safe state"]
    assert phases == expected
    safe = [line.message for line in lines if line.phase == "the safe state" and not line.answered]
    assert safe == ["SOUR:VOLT 0,(@31:32)", "OUTP OFF,(@1:32)"]
    ramp = [line.message for line in lines if line.phase == "a ramp"]
    assert [message.split(",")[0] for message in ramp] == [
        f"SOUR:VOLT {n}" for n in ("0.5100", "1.0100", "1.5100", "2.0000")
    ]


async def test_check_shows_a_hardware_timed_block() -> None:
    path = BENCHES / "generator-and-digitizer.toml"
    lines = [line.message for line in await transcript_of(load_rack(path), path) if line.phase == TIMED]
    assert lines[0] == "SOUR1:DATA:VOL #3240… (240 bytes)"
    assert "*TRG" in lines
    assert "ACQ:SRAT 100000;:ACQ:POIN 60;:TRIG:SOUR EXT;:INIT" in lines


ONE = "TCPIP::192.168.0.20::5025::SOCKET"
METER = "TCPIP::192.168.0.21::5025::SOCKET"


@pytest.mark.parametrize("inputs", [None, "TCPIP::192.168.0.22::5025::SOCKET"])
@pytest.mark.parametrize("layers", ["2-3-1", "4-3"])
async def test_a_new_rack_is_complete(inputs: str | None, layers: str, tmp_path: Path) -> None:
    answers = wizard.gather(None, {}, layers, [ONE], inputs, METER)
    path = tmp_path / "rack.toml"
    path.write_text(rack_text(answers), "utf-8")
    rack = load_rack(path)
    assert str(rack.network.topology(0)) == layers
    assert await transcript_of(rack, path)


async def test_a_new_rack_with_a_unit_for_each_parameter(tmp_path: Path) -> None:
    units = [f"TCPIP::192.168.0.{n}::5025::SOCKET" for n in range(30, 39)]
    answers = wizard.gather(None, {}, "2-2-1", units, ONE, METER)
    path = tmp_path / "rack.toml"
    path.write_text(rack_text(answers), "utf-8")
    assert len(load_rack(path).resources()) == 11


def test_questions_are_answered_by_number_or_address() -> None:
    said = iter(["2-3-1", "1", ONE, "2"])
    found = {ONE: "a source", METER: "a meter"}
    answers = wizard.gather(lambda question: next(said), found, None, [], None, None)
    assert (answers.parameters, answers.inputs, answers.output) == ((ONE,), ONE, METER)


@pytest.mark.parametrize(
    ("layers", "parameters", "output", "message"),
    [
        (None, [ONE], METER, "--layers: missing"),
        ("2", [ONE], METER, "such as 2-3-1"),
        ("2-3-1", [], METER, "--parameters: missing; instrument with the 13 parameters"),
        ("2-3-1", [ONE, METER], METER, "expected 1 or 13"),
        ("2-3-1", [ONE], None, "--output: missing"),
        ("2-3-1", [ONE], ONE, "has the output and something else"),
    ],
)
def test_what_is_missing_is_named(layers: str | None, parameters: list[str], output: str | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        wizard.gather(None, {}, layers, parameters, None, output)
