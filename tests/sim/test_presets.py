"""Presets: every number has a source. Chips as TOML files: there and back."""

from __future__ import annotations

import random
from dataclasses import fields, replace
from pathlib import Path

import pytest

from mgdhw.device import open_device
from mgdhw.errors import ConfigError
from mgdhw.timing import Timing
from mgdhw_sim.chip_file import load_chip, to_toml
from mgdhw_sim.nonidealities import Nonidealities
from mgdhw_sim.numbers import UNITS, numbers, values
from mgdhw_sim.presets import CATALOGUE, PRESETS
from mgdhw_sim.spec import ChipSpec
from mgdhw_sim.uri import parse

PHYSICAL = [name for name in PRESETS if name not in ("analog-8bit", "ideal-16bit")]
PLAIN = values(ChipSpec())


def test_the_presets_that_are_promised() -> None:
    assert PHYSICAL == [
        "thermo-optic",
        "mixed-signal",
        "superconducting",
        "rram",
        "pcm",
        "capacitor",
        "floating-gate",
        "microring",
    ]


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_number_of_a_preset_has_a_source_and_every_source_a_number(name: str) -> None:
    preset = CATALOGUE[name]
    given = {
        key.removeprefix("nonidealities.")
        for key, value in values(preset.spec).items()
        if value != PLAIN.get(key) and key != "name"
    }
    assert given == set(preset.sources)
    assert all(len(source) >= len("assumed") for source in preset.sources.values())
    assert all(number.source for number in numbers(preset.spec) if number.unit)


@pytest.mark.parametrize("name", PHYSICAL)
def test_a_physical_preset_has_a_timing(name: str) -> None:
    timing = PRESETS[name].timing
    assert timing is not None
    for item in ("baseline", "probe", "input"):
        assert getattr(timing, f"{item}_seconds") > 0
        assert getattr(timing, f"{item}_joules") > 0
    assert timing.update_seconds + timing.write_seconds > 0
    assert timing.write_joules > 0


@pytest.mark.parametrize(
    ("name", "probe", "update", "sample"),
    [
        ("thermo-optic", 1e-3, 1e-3, 100e-9),
        ("mixed-signal", 10e-9, 1e-6, 1e-9),
        ("superconducting", 200e-12, 200e-12, 10e-12),
    ],
)
def test_the_times_of_the_2023_paper(name: str, probe: float, update: float, sample: float) -> None:
    timing = PRESETS[name].timing
    assert timing is not None
    assert (timing.probe_seconds, timing.update_seconds, timing.input_seconds) == (probe, update, sample)
    assert (timing.settling_seconds, timing.write_seconds) == (0, 0)


def test_timing_decides_no_bit() -> None:
    spec = PRESETS["pcm"]
    assert replace(spec, timing=None).identity() == spec.identity()


def test_every_number_has_a_unit() -> None:
    sections = {f"timing.{f.name}" for f in fields(Timing)} | {f"nonidealities.{f.name}" for f in fields(Nonidealities)}
    assert sections == {name for name in UNITS if "." in name}


# --- TOML -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_survives_its_file(name: str, tmp_path: Path) -> None:
    file = tmp_path / "chip.toml"
    file.write_text(to_toml(PRESETS[name]), encoding="utf-8")
    assert load_chip(file) == PRESETS[name]


def test_any_chip_survives_its_file(tmp_path: Path) -> None:
    draw = random.Random(7)
    for _ in range(100):
        timing = Timing(
            **{f.name: draw.choice([0.0, draw.random() * 10.0 ** -draw.randrange(20)]) for f in fields(Timing)}
        )
        nonidealities = Nonidealities(
            dac_offset=draw.uniform(-1, 1), stuck=draw.random() / 2, drift_every=draw.randrange(1, 99), endurance=1e12
        )
        spec = ChipSpec(
            name=draw.choice(["x", "α β", 'quoted "so"', "back\\slash"]),
            layers=tuple(draw.randrange(1, 99) for _ in range(draw.randrange(2, 5))),
            weight_bits=draw.randrange(8, 17),
            weight_range=2.0 ** draw.randrange(-2, 7),
            input_bipolar=draw.random() < 0.5,
            seed=draw.randrange(1 << 64),
            nonidealities=draw.choice([Nonidealities(), nonidealities]),
            timing=draw.choice([None, timing]),
        )
        file = tmp_path / "chip.toml"
        file.write_text(to_toml(spec), encoding="utf-8")
        assert load_chip(file) == spec


def test_what_a_file_leaves_out_is_as_usual(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("weight_range = 2\n[timing]\nprobe_seconds = 1\n")
    assert load_chip(file) == ChipSpec(name="mine", weight_range=2.0, timing=Timing(probe_seconds=1.0))


async def test_an_address_opens_a_file_and_changes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "chip.toml"
    file.write_text(to_toml(PRESETS["pcm"]), encoding="utf-8")
    assert parse(f"sim:{file}?layers=2-3-1") == replace(PRESETS["pcm"], layers=(2, 3, 1))
    monkeypatch.chdir(tmp_path)
    device = open_device("sim:chip.toml?layers=2-3-1")
    assert device.uri == f"sim:{file}?layers=2-3-1", "a run that is kept can be repeated from anywhere"
    async with device:
        assert device.info.n_parameters == 13
        assert device.info.timing == PRESETS["pcm"].timing


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("weight_bits = ", "not valid TOML"),
        ("weight_bit = 8", "weight_bit: no such key; did you mean 'weight_bits'?"),
        ("x = 8", "x: no such key; expected one of name, layers"),
        ("weight_bits = 8.5", "weight_bits: expected a whole number (got 8.5)"),
        ("weight_bits = true", "weight_bits: expected a whole number (got True)"),
        ('weight_range = "wide"', "weight_range: expected a number (got 'wide')"),
        ("layers = 64", "layers: expected sizes: [64, 16, 10] (got 64)"),
        ('layers = [64, "16"]', "layers: expected sizes: [64, 16, 10] (got [64, '16'])"),
        ("input_bipolar = 1", "input_bipolar: expected true or false (got 1)"),
        ("activation = 1", "activation: expected a string (got 1)"),
        ("weight_bits = 99", "weight_bits=99: expected 4 ... 16"),
        ("[nonidealities]\nwrite_noize = 1", "nonidealities.write_noize: no such key; did you mean 'write_noise'?"),
        ("[nonidealities]\nwrite_noise = -1", "write_noise=-1: expected 0 ... 8"),
        ("[nonidealities]\ndrift_every = 1.5", "nonidealities.drift_every: expected a whole number (got 1.5)"),
        ("timing = 3", "timing: expected a section, [timing], with keys of its own"),
        ("[timing]\nprobe_second = 1", "timing.probe_second: no such key; did you mean 'probe_seconds'?"),
        ("[timing]\nprobe_seconds = -1", "timing.probe_seconds=-1: expected a number of 0 or more"),
        ("[timing]\nprobe_seconds = nan", "timing.probe_seconds=nan: expected a number of 0 or more"),
    ],
)
def test_a_file_that_is_no_chip_says_why(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "chip.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        load_chip(file)
    assert str(error.value).startswith(f"{file}: ")
    assert message in str(error.value)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_editors_and_shells_that_mark_their_files(tmp_path: Path, encoding: str) -> None:
    """What `mgdhw sim show --toml > mine.toml` makes in Windows PowerShell is UTF-16."""
    file = tmp_path / "mine.toml"
    file.write_bytes(to_toml(PRESETS["pcm"]).replace("\n", "\r\n").encode(encoding))
    assert load_chip(file) == PRESETS["pcm"]


def test_a_file_whose_name_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "caf\udce9.toml"
    try:
        file.write_text("layers = [2, 3, 1]")
    except (OSError, UnicodeError):
        pytest.skip("there are no such names on this file system")
    assert load_chip(file).name == r"caf\udce9"


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such file; `mgdhw sim show analog-8bit --toml > .*` writes one"):
        load_chip(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_chip(tmp_path)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not a text file"):
        load_chip(tmp_path / "binary.toml")


def test_the_old_name_of_the_section_is_read_with_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "old.toml"
    file.write_text("name = 'old'\n[effects]\nwrite_noise = 0.1\n")
    assert load_chip(file).nonidealities.write_noise == 0.1
    assert "[effects] is now called [nonidealities]" in caplog.text
    file.write_text("[effects]\nwrite_noise = 0.1\n[nonidealities]\nstuck = 0.1\n")
    with pytest.raises(ConfigError, match=r"\[effects\] is the old name of \[nonidealities\]"):
        load_chip(file)
