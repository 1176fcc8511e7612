"""Finding a driver by an address, and what to say to those who write one."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mgdhw.device import device_schemes, open_device
from mgdhw.errors import ConfigError, ConformanceError, DeviceFault
from mgdhw_sim.device import SimDevice

# --- finding drivers --------------------------------------------------------------------------------------------------


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Installs a third party's driver package, as pip would: a module, and metadata with its entry point."""

    def package(source: str, entry: str) -> None:
        (tmp_path / "thirdparty_bowl.py").write_text(source, encoding="utf-8")
        folder = tmp_path / "thirdparty_bowl-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: thirdparty-bowl\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text(f"[mgdhw.devices]\n{entry}\n")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "thirdparty_bowl", raising=False)

    return package


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("sim", "device 'sim' has no scheme; expected SCHEME:ADDRESS, for example sim:analog-8bit"),
        ("", "device '' has no scheme; expected"),
        (
            "simm:analog-8bit",
            "device 'simm:analog-8bit': no driver for scheme 'simm'; did you mean 'sim'? (installed: ",
        ),
        (":x", "device ':x': no driver for scheme '' (installed: "),
        ("qqqqqq:1", "device 'qqqqqq:1': no driver for scheme 'qqqqqq' (installed: "),
        ("sim:analog-9bit", "sim:analog-9bit: no preset 'analog-9bit'; did you mean 'analog-8bit'?"),
    ],
)
def test_an_address_that_leads_nowhere_says_what_was_expected(uri: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        open_device(uri)
    assert str(error.value).startswith(message)


def test_a_simulated_chip_is_found_by_its_scheme() -> None:
    assert "sim" in device_schemes()
    device = open_device("sim:analog-8bit?layers=4-3-2")
    assert isinstance(device, SimDevice)
    assert device.info.n_parameters == 23


async def test_a_third_party_driver_is_on_the_same_footing(install: Callable[[str, str], None]) -> None:
    install(
        "from mgdhw_sim.device import open_uri\ndef make(uri):\n    return open_uri('sim:analog-8bit?layers=2-1')\n",
        "bowl = thirdparty_bowl:make",
    )
    assert "bowl" in device_schemes()
    async with open_device("bowl:whatever") as device:
        assert device.info.n_parameters == 3
    with pytest.raises(ConfigError, match="did you mean 'bowl'"):
        open_device("bowll:1")


@pytest.mark.parametrize(
    ("source", "entry"),
    [
        ("", "bowl = thirdparty_nowhere:make"),
        ("", "bowl = thirdparty_bowl:make"),
        ("import thirdparty_missing_library", "bowl = thirdparty_bowl:make"),
    ],
)
def test_a_driver_that_cannot_be_loaded_is_a_config_error(
    install: Callable[[str, str], None], source: str, entry: str
) -> None:
    install(source, entry)
    with pytest.raises(
        ConfigError, match=r"^device 'bowl:1': its driver, .* of thirdparty-bowl 1\.0, cannot be loaded: .*thirdparty_"
    ):
        open_device("bowl:1")


INCOMPLETE = """
from mgdhw.device import {base}

class Bowl({base}):
    async def connect(self): ...
    async def disconnect(self): ...
    async def apply(self, theta, step): ...

def make(uri):
    return Bowl(uri)
"""


@pytest.mark.parametrize(("base", "missing"), [("Device", "infer, probe"), ("HostCodes", "infer")])
def test_a_driver_that_forgets_a_method_is_told_which(
    install: Callable[[str, str], None], base: str, missing: str
) -> None:
    install(INCOMPLETE.format(base=base), "bowl = thirdparty_bowl:make")
    with pytest.raises(ConformanceError) as raised:
        open_device("bowl:1")
    assert str(raised.value) == (
        f"device 'bowl:1': driver thirdparty_bowl.Bowl does not implement {missing}; see docs/drivers.md"
        f" and: python -m pydoc mgdhw.device.{base}"
    )


RENAMED = """
from mgdhw.device import HostCodes

class Bowl(HostCodes):
    async def open(self): ...
    async def close(self): ...
    async def write(self, theta, step=0): ...
    async def infer(self, samples, step=0): ...

def make(uri):
    return Bowl(uri)
"""


def test_a_driver_that_defines_what_every_device_does_is_told_what_to_rename(
    install: Callable[[str, str], None],
) -> None:
    install(RENAMED, "bowl = thirdparty_bowl:make")
    with pytest.raises(
        ConformanceError, match=r"Bowl overrides methods .* open to connect, close to disconnect, write to apply \("
    ):
        open_device("bowl:1")


def test_a_driver_that_gives_no_device_is_at_fault(install: Callable[[str, str], None]) -> None:
    install("def make(uri):\n    return 3\n", "bowl = thirdparty_bowl:make")
    with pytest.raises(DeviceFault, match=r"^bowl:1: its driver returned an object of type int, not a Device"):
        open_device("bowl:1")


# --- codes made by the host -------------------------------------------------------------------------------------------


WITHOUT_STEP = """
from mgdhw.device import HostCodes

class Bowl(HostCodes):
    async def connect(self): ...
    async def disconnect(self): ...
    async def apply(self, theta, step): ...
    async def infer(self, samples): ...

def make(uri):
    return Bowl(uri)
"""


def test_a_driver_is_told_what_its_methods_have_to_take(install: Callable[[str, str], None]) -> None:
    install(WITHOUT_STEP, "bowl = thirdparty_bowl:make")
    with pytest.raises(ConformanceError, match=r"Bowl: infer has to accept \(self, samples, step\); see"):
        open_device("bowl:1")
