"""Any resource, by pyvisa alone: USBTMC, VXI-11, HiSLIP, GPIB, libraries of instrument makers, pyvisa-sim."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from mgdhw_drivers.visa.owner_thread import Interrupted
from mgdhw_drivers.visa.session import CHUNK, Session
from mgdhw_drivers.visa.settings import ResourceSettings

if TYPE_CHECKING:
    from pyvisa.resources import MessageBasedResource


class MessageSession(Session):
    """Any resource, by pyvisa alone."""

    def __init__(
        self, resource: MessageBasedResource, settings: ResourceSettings, interrupted: Callable[[], bool]
    ) -> None:
        from pyvisa.constants import InterfaceType
        from pyvisa.resources import SerialInstrument, TCPIPSocket

        super().__init__(settings, interrupted)
        self._resource = resource
        self._serial = isinstance(resource, SerialInstrument)
        self.is_stream = self._serial or isinstance(resource, TCPIPSocket)
        if isinstance(resource, SerialInstrument) and settings.baud_rate is not None:
            resource.baud_rate = settings.baud_rate
        resource.timeout = 1000 * settings.timeout
        self._terminated = bool(settings.read_termination) and (
            self.is_stream or resource.interface_type in (InterfaceType.tcpip, InterfaceType.gpib)
        )
        self._set_termination(self._terminated)
        self._is_cleared = False
        """Whether a device clear has made sure that nothing is left to be read."""

    def write(self, data: bytes) -> None:
        self.write_interrupted = True
        self._resource.write_raw(data)
        self.write_interrupted = False

    def close(self) -> None:
        self._resource.close()

    def clear(self) -> None:
        from pyvisa import VisaIOError

        super().clear()
        self._is_cleared = False
        with contextlib.suppress(VisaIOError, NotImplementedError, AttributeError):  # not every one can
            self._resource.clear()
            self._is_cleared = not self.is_stream

    def is_quiet(self, seconds: float) -> bool:
        from pyvisa import VisaIOError

        if self._is_cleared:  # to ask for an answer that is not there would be an error of the query
            return True
        self._resource.timeout = 1000 * seconds
        try:
            self._fill(None)
        except VisaIOError:
            return True
        finally:
            self._resource.timeout = 1000 * self.timeout
        return not self._buffer.strip()

    def _fill(self, wanted: int | None) -> bool:
        if self._interrupted():
            raise Interrupted
        if wanted is None:
            self._set_termination(self._terminated)
            self._buffer += self._resource.read_raw(CHUNK)
            return True
        if not self.is_stream:
            self._set_termination(False)
            self._buffer += self._resource.read_raw(CHUNK)
            return True
        self._set_termination(False)
        self._buffer += self._resource.read_bytes(wanted, chunk_size=CHUNK)
        return False

    def _set_termination(self, wanted: bool) -> None:
        """Whether reading ends at the termination: within blocks it must not."""
        from pyvisa.constants import SerialTermination

        if getattr(self, "_set", None) == wanted:
            return
        self._set = wanted
        self._resource.read_termination = self._end.decode() if wanted else None
        if self._serial:
            end = SerialTermination.termination_char if wanted else SerialTermination.none
            self._resource.end_input = end  # type: ignore[attr-defined]
