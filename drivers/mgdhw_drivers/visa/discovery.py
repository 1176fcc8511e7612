"""What is found at VISA, and what it says that it is: for lists of it. Takes bounded time, whatever hangs."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TypeVar

from mgdhw.errors import DeviceError
from mgdhw.report.console import printable
from mgdhw_drivers.transports.serial import VENDORS
from mgdhw_drivers.visa.backend import resource_manager
from mgdhw_drivers.visa.instrument import Instrument
from mgdhw_drivers.visa.lock import AddressLock
from mgdhw_drivers.visa.settings import CHIP_IDENTITY, ResourceSettings

Result = TypeVar("Result")

LIST_SECONDS = 4.0
"""How long a backend may look for resources: it waits for answers from the network."""
ASK_SECONDS = 2.0
"""How long all of them may take, side by side, to say what they are; connecting to an absent host hangs."""
ASKING = ResourceSettings(open_timeout=1.0, timeout=0.5, check_errors=False)


def discover() -> dict[str, str]:
    """Each VISA resource of this machine and its network: text of each address. Changes nothing at any instrument."""
    found: dict[str, str] = {}
    for backend in _backends():
        names = _bounded({backend: partial(_list, backend)}, LIST_SECONDS)[backend]
        if isinstance(names, str):
            found[f"visa:…{_option(backend)}"] = names
        else:
            found |= _describe(backend, [name for name in names if f"visa:{name}" not in found])
    return found


def _describe(backend: str, names: list[str]) -> dict[str, str]:
    """What is at some resources."""
    ports = _ports()
    texts: dict[str, str] = {}
    asked: dict[str, Callable[[], str]] = {}
    for name in names:
        port = ports.get(name)
        if port is not None and not port[1]:
            texts[name] = f"{port[0]}, not asked what is there"
        else:
            asked[name] = partial(_ask, backend, name)
    for name, answer in _bounded(asked, ASK_SECONDS).items():
        texts[name] = f"{answer} ({ports[name][0]})" if name in ports else answer
    return {f"visa:{name}{_option(backend)}": texts[name] for name in names}


def _option(backend: str) -> str:
    """What an address says of its backend."""
    return "" if backend == "@py" else f"?backend={backend}"


def _ask(backend: str, name: str) -> str:
    """What an instrument says that it is, or why nothing is known of it."""
    lock = AddressLock(name, "")
    instrument = Instrument(name, name, replace(ASKING, backend=backend), "", lambda: False)
    try:
        lock.take()
        instrument.open()
    except DeviceError as error:
        return f"skipped: {error}"
    finally:
        instrument.close()
        lock.release()
    identity = printable(instrument.identity)
    return (
        identity if identity.startswith(CHIP_IDENTITY) else f"{identity}: an instrument, for a rack (bench:FILE.toml)"
    )


def _list(backend: str) -> tuple[str, ...]:
    """Names of a backend's resources."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of packages that would find more
        return tuple(resource_manager(backend, "").list_resources())


def _backends() -> list[str]:
    """pyvisa-py, and the library of an instrument maker if there is one."""
    from pyvisa.ctwrapper.highlevel import IVIVisaLibrary

    return ["@py", "@ivi"] if IVIVisaLibrary.get_library_paths() else ["@py"]


def _ports() -> dict[str, tuple[str, bool]]:
    """What the system says of each serial port, by its VISA name, and whether to ask what is there.

    A port that is no USB device may be anything, and boards that people flash restart when their port is opened.
    """
    from serial.tools.list_ports import comports

    return {
        f"ASRL{port.device.removeprefix('COM')}::INSTR": (
            printable(str(port.description or "serial port")),
            port.vid is not None and port.vid not in VENDORS,
        )
        for port in comports()
    }


def _bounded(work: Mapping[str, Callable[[], Result]], seconds: float) -> dict[str, Result | str]:
    """Results of some work, or why there is none. Each is done in a thread that is not waited for any longer."""
    results: dict[str, Result | str] = dict.fromkeys(work, f"skipped: no answer within {seconds:g} s")

    def run(name: str, call: Callable[[], Result]) -> None:
        result: Result | str
        try:
            result = call()
        except Exception as error:  # of a backend, anything
            result = f"skipped: {' '.join(str(error).split())}"
        if not done.is_set():
            results[name] = result

    done = threading.Event()
    threads = [threading.Thread(target=run, args=item, daemon=True) for item in work.items()]
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    done.set()
    return dict(results)
