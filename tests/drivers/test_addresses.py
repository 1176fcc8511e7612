"""Addresses of boards that cannot be right, and ports that cannot be opened: what to do about it."""

from __future__ import annotations

import errno
import grp
import os
import pty
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mgdhw.device import open_device
from mgdhw.errors import ConfigError, DeviceUnavailable
from mgdhw_drivers.transports import serial_port as serial_link
from mgdhw_drivers.transports.serial_port import open_port
from mgdhw_drivers.transports.tcp import TcpStream, parse_place

LABEL = "a" * 63


@pytest.mark.parametrize(
    ("uri", "host", "port"),
    [
        ("tcp:192.168.0.7:5510", "192.168.0.7", 5510),
        ("tcp:[::1]:1", "::1", 1),
        ("tcp:[fe80::1%eth0]:65535", "fe80::1%eth0", 65535),
        (f"tcp:{LABEL}.{LABEL}:80", f"{LABEL}.{LABEL}", 80),
        ("tcp:lab.example.org.:80", "lab.example.org.", 80),
        ("tcp:bücher.example:80", "bücher.example", 80),
        ("tcp:my_board:80", "my_board", 80),
    ],
)
def test_hosts_that_may_be(uri: str, host: str, port: int) -> None:
    assert parse_place(uri, uri.removeprefix("tcp:")) == (host, port)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("tcp:host..name:5510", "host 'host..name' has two dots in a row, or begins with one"),
        ("tcp:.host:5510", "has two dots in a row, or begins with one"),
        (f"tcp:{LABEL}a.org:5510", "has 64 letters between two dots; expected 63 at most"),
        (f"tcp:{'ü' * 60}.org:5510", "has letters that no host's name may have"),
        ("tcp:a b:5510", "host 'a b' has letters that no host's name may have"),
        ("tcp:host/x:5510", "host 'host/x' has letters that no host's name may have"),
        ("tcp:host", "expected tcp:HOST:PORT, for example tcp:127.0.0.1:5510"),
        ("tcp::5510", "expected tcp:HOST:PORT"),
        ("tcp:host:", "expected tcp:HOST:PORT"),
        ("tcp:host:0", "port '0': expected 1 ... 65535"),
        ("tcp:host:65536", "port '65536': expected 1 ... 65535"),
        ("tcp:host:5510x", "port '5510x': expected 1 ... 65535"),
        ("tcp:host:٥٥", "port '٥٥': expected 1 ... 65535"),
        ("tcp:h:1?baud=9600", "option 'baud' is for serial: addresses only (timeout, "),
        ("unix:x?secret=s", "option 'secret' is for tcp: addresses only (timeout, "),
        ("serial:COM3?baud=fast", "baud='fast': expected a whole number"),
        ("serial:COM3?baud=0", "baud=0: expected 1 ... 1e+08"),
        (f"serial:COM3?baud={'9' * 400}", "baud=an integer of some 400 digits: expected 1 ... 1e+08"),
        ("serial:COM3?line=rs232", "line='rs232': expected usb or uart"),
        ("unix:x?timeout=0", "timeout=0: expected 0.05 ... 1e+06"),
        ("unix:x?reconnect=nan", "reconnect=nan: expected 0 ... 1e+06"),
        ("unix:x?slew=-1", "slew=-1: expected 0 ... 1e+06"),
        ("unix:x?stress=1e999", "stress=inf: expected 0 ... 1e+06"),
        ("unix:x?stres=1", "no option 'stres'; did you mean 'stress'? (timeout, "),
        ("unix:", "says no path; expected unix:PATH, for example unix:board.sock"),
    ],
)
def test_addresses_that_cannot_be(uri: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        open_device(uri)
    assert message in str(raised.value)
    assert str(raised.value).startswith(uri[:100])


async def test_a_name_that_python_asks_no_system_for() -> None:
    """Should one get past the address: it is no traceback either."""
    transport = TcpStream("tcp:x", "host..name", 5510)
    with pytest.raises(DeviceUnavailable, match=r"^tcp:x: cannot connect to host\.\.name port 5510: .*label"):
        await transport.open(None)  # type: ignore[arg-type]


async def test_a_socket_whose_path_is_too_long_is_not_waited_for(tmp_path: Path) -> None:
    with pytest.raises(DeviceUnavailable, match=r"too long; a shorter path will do$"):
        async with open_device(f"unix:{tmp_path}/{'x' * 100}.sock?reconnect=30"):
            pass


# --- serial ports -----------------------------------------------------------------------------------------------------


@pytest.fixture
def port() -> Iterator[str]:
    """A pseudo-terminal, which is a serial port to whoever opens it."""
    pytest.importorskip("serial")
    near, far = pty.openpty()
    yield os.ttyname(far)
    os.close(near)
    os.close(far)


def refusal(port: str) -> str:
    with pytest.raises(DeviceUnavailable) as raised:
        open_port("serial:x", port, 115_200)
    return str(raised.value)


@pytest.fixture
def as_nobody() -> Iterator[Callable[[], None]]:
    """Makes this process one whom permissions bind, where it is the superuser's."""
    before = os.geteuid()

    def begin() -> None:
        if before == 0:
            os.seteuid(65534)

    yield begin
    os.seteuid(before)


@pytest.mark.skipif(sys.platform != "linux", reason="where serial ports have a group")
def test_a_port_that_may_not_be_opened(
    port: str, as_nobody: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real EACCES; only this process's own groups are not as they are."""
    if os.geteuid() == 0:
        os.chown(port, 0, grp.getgrnam("dialout").gr_gid)
    os.chmod(port, 0o060)  # noqa: PTH101
    monkeypatch.setattr(os, "getgroups", list)
    monkeypatch.setattr(os, "getegid", lambda: 65534)
    as_nobody()
    group = grp.getgrgid(os.stat(port).st_gid).gr_name  # noqa: PTH116
    assert refusal(port) == (
        f"serial:x: cannot open port {port}: Permission denied; it is for the group {group}, and you are not in it:"
        f" `sudo usermod -aG {group} $USER`, log out and in again (or for now: `sudo chmod a+rw {port}`)"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="where serial ports have a group")
def test_a_port_of_no_group_of_its_own(port: str, as_nobody: Callable[[], None]) -> None:
    os.chmod(port, 0o000)  # noqa: PTH101
    as_nobody()
    assert refusal(port).endswith(f"Permission denied; you may not use it; `ls -l {port}` says who may")


def test_a_port_that_somebody_else_uses(port: str) -> None:
    holder = (
        "import serial, sys; held = serial.Serial(sys.argv[1], exclusive=True); print(flush=True); sys.stdin.read()"
    )
    line = [sys.executable, "-c", holder, port]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        said = refusal(port)
        process.communicate()
    assert f"cannot open port {port}: " in said
    assert "; another program uses it: close that" in said


def test_a_port_that_is_not_there_or_is_none(tmp_path: Path) -> None:
    pytest.importorskip("serial")
    assert "No such file or directory; is it plugged in? `mgdhw devices` lists" in refusal(str(tmp_path / "tty"))
    (tmp_path / "file").touch()
    assert refusal(str(tmp_path / "file")).endswith(
        "; that is no serial port; `mgdhw devices` lists the ports of boards"
    )
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        assert os.strerror(errno.ENXIO) in refusal(str(tmp_path / "socket"))


def test_where_ports_cannot_be_asked_whom_they_are_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert serial_link._how_to_get_permission(str(tmp_path / "gone")) == "you may not use it"
