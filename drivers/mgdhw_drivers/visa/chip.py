"""Chips that speak SCPI: `visa:TCPIP::127.0.0.1::5025::SOCKET`, `visa:ASRL/dev/ttyUSB0::INSTR`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mgdhw_drivers.client.options import LinkOptions, option
from mgdhw_drivers.transports.transport import Transport
from mgdhw_drivers.visa.chip_link import ScpiLink
from mgdhw_drivers.visa.settings import CHIP_IDENTITY, ResourceSettings

if TYPE_CHECKING:
    from mgdhw.device import Device

PATIENCE = 3
"""How often in the time of its timeout a chip that is busy has to say so."""

INLINE_WAIT = 2e-3
"""Seconds: a block of a hundred probes of a fast chip."""


@dataclass(frozen=True, slots=True)
class VisaOptions(LinkOptions):
    """What a `visa:` address may say."""

    backend: str = option("@py", "backend of pyvisa: @py, or @ivi for the library of an instrument maker")
    open_timeout: float = option(5.0, "seconds that opening may take", limits=(0.05, 600.0))
    baud: int = option(0, "speed of a serial line; 0: as the backend has it", limits=(0, 100_000_000))


class VisaTransport(Transport[VisaOptions]):
    """Chips at VISA resources."""

    def open_device(self, uri: str) -> Device:
        """The chip at an address (entry point of group `mgdhw.devices`). Raises ConfigError."""
        from mgdhw_drivers.client.device import LinkedDevice

        address, options = self.parse(uri)
        settings = ResourceSettings(
            backend=options.backend,
            open_timeout=options.open_timeout,
            timeout=options.timeout,
            baud_rate=options.baud or None,
            identity=CHIP_IDENTITY,
            initialise=(f"*CLS;:MGD:PAT {options.timeout / PATIENCE:.3g}",),
            check_errors=False,
            inline_wait=INLINE_WAIT,
        )
        return LinkedDevice(uri, lambda: ScpiLink(uri, address, settings, options.progress), options)


def _discover() -> dict[str, str]:
    """Each VISA resource that is found, and what it says that it is."""
    from mgdhw_drivers.visa.discovery import discover

    return discover()


VISA = VisaTransport(
    scheme="visa",
    about="a chip that speaks SCPI, such as `mgdhw serve … --scpi PORT`",
    options=VisaOptions,
    place="RESOURCE",
    lacks="resource",
    discover=_discover,
    example="a VISA resource, for example visa:TCPIP::192.168.0.7::5025::SOCKET or visa:ASRL/dev/ttyUSB0::INSTR",
)
