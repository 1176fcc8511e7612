"""Addresses of devices: their parts, and what to say to somebody who wrote something near one."""

from __future__ import annotations

from pathlib import Path

import pytest

from mgdhw.device import open_device
from mgdhw.device.uri import LONGEST_SHOWN, LONGEST_URI, expand_path, split_uri
from mgdhw.errors import ConfigError
from mgdhw.estimate import address


def refusal(uri: str) -> str:
    with pytest.raises(ConfigError) as raised:
        open_device(uri)
    return str(raised.value)


def test_the_parts_of_an_address() -> None:
    assert split_uri("sim:chip") == ("sim", "chip", {})
    assert split_uri("tcp:[::1]:5510?timeout=3&secret=%2Fa%3Fb") == (
        "tcp",
        "[::1]:5510",
        {"timeout": "3", "secret": "/a?b"},
    )
    assert split_uri("sim:x?endurance=1e+06&flag&&seed=") == (
        "sim",
        "x",
        {"endurance": "1e+06", "flag": "", "seed": ""},
    )


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("/dev/ttyACM0", "serial:/dev/ttyACM0"),
        ("/dev/ttyUSB0?baud=921600&line=uart", "serial:/dev/ttyUSB0?baud=921600&line=uart"),
        ("/dev/cu.usbmodem14101", "serial:/dev/cu.usbmodem14101"),
        ("COM3", "serial:COM3"),
        ("com12:", "serial:com12"),
        (r"\\.\COM10", r"serial:\\.\COM10"),
        ("192.168.0.7:5510", "tcp:192.168.0.7:5510"),
        ("localhost:5510", "tcp:localhost:5510"),
        ("lab.example.org:5510?secret=s", "tcp:lab.example.org:5510?secret=s"),
        ("pi:5510", "tcp:pi:5510"),
        ("[::1]:5510", "tcp:[::1]:5510"),
        ("board.sock", "unix:board.sock"),
        ("/run/user/1000/board.socket", "unix:/run/user/1000/board.socket"),
        ("mine.toml?seed=1", "sim:mine.toml?seed=1"),
        (r"C:\chips\mine.toml", r"sim:C:\chips\mine.toml"),
        ("rram", "sim:rram"),
        ("rram?weight_bits=8", "sim:rram?weight_bits=8"),
        ("SIM:rram", "sim:rram"),
        (" tcp:h:1", "tcp:h:1"),
    ],
)
def test_an_address_without_its_scheme_is_told_whole(given: str, meant: str) -> None:
    assert f"; did you mean {meant}?" in refusal(given)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("tcp://192.168.0.7:5510", "tcp:192.168.0.7:5510"),
        ("serial:///dev/ttyACM0", "serial:/dev/ttyACM0"),
        ("unix:///tmp/board.sock", "unix:/tmp/board.sock"),
        ("sim://rram?seed=1", "sim:rram?seed=1"),
    ],
)
def test_slashes_of_the_web_are_not_wanted(given: str, meant: str) -> None:
    assert refusal(given) == f"{given}: device addresses have no //; write {meant}"


@pytest.mark.parametrize("given", ["gpib:7", "vxi:TCPIP::1::INSTR", "http://x", ":x", "x:y:z"])
def test_who_knows_what_is_meant_is_not_guessed_at(given: str) -> None:
    scheme = given.partition(":")[0]
    assert refusal(given).startswith(
        f"device {given!r}: no driver for scheme {scheme!r} (installed: bench, serial, sim"
    )


def test_near_names_are_told() -> None:
    assert "; did you mean 'rram'?" in refusal("rran")
    assert "; did you mean 'sim'?" in refusal("simm:rram")
    assert "; did you mean 'rram'?" in refusal("sim:rran")
    assert refusal("").endswith("has no scheme; expected SCHEME:ADDRESS, for example sim:analog-8bit")


@pytest.mark.parametrize(
    "uri", ["sim:rram?seed=1&seed=2", "tcp:h:1?timeout=1&slew=1&timeout=1", "unix:x?slew=1&%73lew=2"]
)
def test_an_option_that_is_given_twice_is_refused(uri: str) -> None:
    assert "is given twice; remove one" in refusal(uri)


def test_options_begin_with_one_question_mark_and_follow_with_ampersands() -> None:
    assert refusal("sim:rram?seed=1?layers=2-3-1").endswith("separate options with &, as in sim:rram?a=1&b=2")
    assert "; options begin with a ?: sim:rram?seed=1 (" in refusal("sim:rram&seed=1")


@pytest.mark.parametrize("character", ["\0", "\n", "\x1b", "\x7f"])
def test_control_characters_are_refused(character: str) -> None:
    for uri in (
        f"sim:ch{character}ip.toml",
        f"tcp:h{character}:1",
        f"serial:{character}",
        f"unix:{character}x",
        character,
    ):
        assert f"invalid character {character!r} in the address" in refusal(uri)
    assert "invalid character" in refusal("tcp:h:1?secret=a%00b")


def test_an_endless_address_is_shown_in_part() -> None:
    endless = refusal(f"tcp:h:{'9' * LONGEST_URI}")
    assert "address has 4,102 characters; expected at most 4,096" in endless
    long = refusal(f"sim:rram?seed={'9' * 400}")
    assert "seed=an integer of some 400 digits: expected 0 ..." in long
    assert max(len(endless), len(long)) < 2 * LONGEST_SHOWN


def test_what_is_no_text_is_no_address() -> None:
    for given in (7, None, Path("x"), b"sim:rram"):
        with pytest.raises(ConfigError, match=r"^device: expected an address, such as sim:analog-8bit"):
            open_device(given)  # type: ignore[arg-type]


def test_a_home_that_nobody_has() -> None:
    with pytest.raises(ConfigError, match=r"^x: ~nosuchuser/a: "):
        expand_path("x", "~nosuchuser/a")
    assert refusal("sim:~nosuchuser/mine.toml").startswith("sim:~nosuchuser/mine.toml: ~nosuchuser/mine.toml: ")
    assert "~nosuchuser/secret: " in refusal("tcp:127.0.0.1:5510?secret=~nosuchuser/secret")


def test_presets_by_name_may_have_options() -> None:
    assert address("rram?weight_bits=8") == "sim:rram?weight_bits=8"
    with pytest.raises(ConfigError, match=r"^no preset 'rran'; did you mean 'rram'\?"):
        address("rran?weight_bits=8")
