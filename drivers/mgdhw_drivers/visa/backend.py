"""pyvisa's backends: opened once per process, and what they raise, as errors of mgdhw."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mgdhw.errors import DeviceAbsent, DeviceError, DeviceUnavailable, LinkLost, LinkTimeout

if TYPE_CHECKING:
    from pyvisa import ResourceManager
    from pyvisa.resources import MessageBasedResource

_managers: dict[str, ResourceManager] = {}
_lock = threading.Lock()


def resource_manager(backend: str, uri: str) -> ResourceManager:
    """This process' resource manager of a backend.

    Raises:
        DeviceUnavailable: the backend, or the library that it needs, is not installed.
    """
    import pyvisa

    with _lock:
        manager = _managers.get(backend)
        if manager is None:
            try:
                manager = pyvisa.ResourceManager(backend)
            except Exception as error:  # whatever a library of a vendor does when it is loaded
                raise DeviceUnavailable(_why_no_backend(backend, error), uri=uri) from error
            _managers[backend] = manager
        return manager


def open_resource(backend: str, address: str, open_timeout: float, uri: str) -> MessageBasedResource:
    """An open resource of pyvisa. Blocks.

    Raises:
        DeviceAbsent: nothing is there, or not yet.
        DeviceUnavailable: it cannot be opened.
    """
    from pyvisa.resources import MessageBasedResource

    manager = resource_manager(backend, uri)
    with opening(address, uri):
        opened = manager.open_resource(address, open_timeout=max(1, round(1000 * open_timeout)))
    if not isinstance(opened, MessageBasedResource):
        opened.close()
        raise DeviceUnavailable(f"{address} is no instrument that messages can be sent to", uri=uri)
    return opened


@contextlib.contextmanager
def opening(address: str, uri: str) -> Iterator[None]:
    """Raise what pyvisa and its backends raise on opening as DeviceUnavailable or DeviceAbsent."""
    from pyvisa import VisaIOError
    from pyvisa.constants import StatusCode

    final = {
        StatusCode.error_invalid_resource_name: "is no VISA address; for example TCPIP::192.168.0.7::5025::SOCKET,"
        " TCPIP::192.168.0.7::INSTR, ASRL/dev/ttyUSB0::INSTR or USB0::0x1AB1::0x04CE::DS1ZA1::INSTR",
        StatusCode.error_resource_locked: "is used by another program; close that",
        StatusCode.error_resource_busy: "is used by another program; close that",
        StatusCode.error_no_permission: "may not be opened by you; see the permissions of the port or USB device",
    }
    try:
        yield
    except DeviceError:
        raise
    except VisaIOError as error:
        reason = final.get(StatusCode(error.error_code))
        if reason is not None:
            raise DeviceUnavailable(f"{address} {reason}", uri=uri) from None
        raise DeviceAbsent(
            f"cannot open {address}: {error.description}; is it connected and switched on?", uri=uri
        ) from None
    except Exception as error:  # backends let escape what their libraries raise: OSError, SerialException, ...
        import errno

        text = " ".join(str(error).split()) or type(error).__name__
        number = getattr(error, "errno", None)
        if number in (errno.EACCES, errno.EPERM):
            raise DeviceUnavailable(f"you may not open {address}: {text}; see the permissions", uri=uri) from None
        if number in (errno.EBUSY, errno.EAGAIN) or "lock" in text.lower():
            raise DeviceUnavailable(f"{address} is used by another program ({text}); close that", uri=uri) from None
        raise DeviceAbsent(f"cannot open {address}: {text}; is it connected and switched on?", uri=uri) from None


@contextlib.contextmanager
def link_errors(name: str, uri: str) -> Iterator[None]:
    """Raise what pyvisa and its backends raise in the middle of their work as LinkTimeout or LinkLost."""
    try:
        yield
    except Exception as error:
        raise _link_error(error, name, uri) from None


def _link_error(error: Exception, name: str, uri: str) -> Exception:
    """The error of mgdhw for one of pyvisa, a socket or a serial port; any other one as it is."""
    from pyvisa import VisaIOError
    from pyvisa.constants import StatusCode

    if isinstance(error, TimeoutError):
        return LinkTimeout(f"{name} {error}", uri=uri)
    if isinstance(error, VisaIOError):
        if error.error_code == StatusCode.error_timeout:
            return LinkTimeout(f"{name} does not answer in time", uri=uri)
        return LinkLost(f"the connection to {name} is lost: {error.description}", uri=uri)
    if isinstance(error, OSError | EOFError):
        text = " ".join(str(error).split()) or type(error).__name__
        return LinkLost(f"the connection to {name} is lost: {text}", uri=uri)
    return error


def _why_no_backend(backend: str, error: Exception) -> str:
    """Why a backend is not there, and what to install."""
    lines = str(error).replace("\\n", "\n").split("\n")
    text = next((line.strip(" '\"") for line in reversed(lines) if line.strip(" '\"")), type(error).__name__)
    if backend.endswith("@py"):
        return f"pyvisa-py cannot be loaded ({text}): pip install pyvisa-py"
    if backend.endswith("@sim"):
        return f"backend {backend} cannot be loaded ({text}): pip install pyvisa-sim, or correct the file's name"
    return (
        f"backend {backend} needs the VISA library of an instrument maker, and there is none ({text}): install NI-VISA"
        " or Keysight IO Libraries, or use backend @py"
    )


def low_level_session(resource: MessageBasedResource) -> Any:
    """The session of pyvisa-py behind a resource; None where another backend has opened it."""
    sessions = getattr(resource.visalib, "sessions", None)
    kind = type(resource.visalib).__module__
    if sessions is None or not kind.startswith("pyvisa_py."):
        return None
    return sessions.get(resource.session)
