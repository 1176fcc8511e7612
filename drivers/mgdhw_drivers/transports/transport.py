"""A transport, declared once: everything that has to do with one reads its declaration.

An entry point of group `mgdhw.transports` names it, so that `mgdhw serve --listen` knows it; two more lines make it a
driver, and have `mgdhw devices` list its addresses:

    [project.entry-points."mgdhw.transports"]
    tcp = "mgdhw_drivers.transports.tcp:TCP"

    [project.entry-points."mgdhw.devices"]
    tcp = "mgdhw_drivers.transports.tcp:TCP.open_device"

    [project.entry-points."mgdhw.presets"]
    tcp = "mgdhw_drivers.transports.tcp:TCP.presets"
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Generic, cast

from mgdhw.device.uri import shorten_uri, split_uri
from mgdhw.errors import ConfigError
from mgdhw.parsing import did_you_mean, short_repr
from mgdhw.plugins import Broken, distribution_of, load
from mgdhw_drivers.client.byte_stream import ByteStream
from mgdhw_drivers.client.options import LinkOptions, Options, option_names, read_options

if TYPE_CHECKING:
    from mgdhw.device import Device
    from mgdhw_drivers.server.endpoint import Endpoint
    from mgdhw_drivers.server.listener import Listener

GROUP = "mgdhw.transports"


@dataclass(frozen=True, kw_only=True)
class Transport(Generic[Options]):
    """How a host and a board are connected.

    Args:
        scheme: in front of the first colon of its addresses.
        about: what its addresses lead to, for people.
        options: class of what an address may say beside the place.
        place: how people write a board's place; "": hosts come by addresses of another scheme.
        lacks: what an address without a place does not say.
        example: an address, for errors.
        connect: makes the stream of bytes to a board from (uri, place, options); connects nothing yet, and raises
            ConfigError where the place cannot be one.
        discover: what is found on this machine: text of each address. Called by `mgdhw devices`; may take seconds.
        listen_place: how people write where a listener is; "": nothing can be served by this transport.
        listen: makes the listener from (endpoint, place, options); raises ConfigError where it cannot be.
        listen_about: what that is, in a few words.
    """

    scheme: str
    about: str
    options: type[Options]
    place: str = ""
    lacks: str = "place"
    example: str = ""
    connect: Callable[[str, str, Options], ByteStream] | None = None
    discover: Callable[[], dict[str, str]] = dict
    listen_place: str = ""
    listen: Callable[[Any, str, Options], Listener] | None = None
    listen_about: str = ""

    def open_device(self, uri: str) -> Device:
        """The board at an address (entry point of group `mgdhw.devices`). Raises ConfigError."""
        from mgdhw_drivers.client.device import LinkedDevice
        from mgdhw_drivers.client.link import Link

        place, options = self.parse(uri)
        stream = self.stream(uri, place, options)
        return LinkedDevice(uri, lambda: Link(stream, options.timeout, options.progress), options)

    def parse(self, uri: str) -> tuple[str, Options]:
        """Where a board is, and the options. Raises ConfigError where one is unknown or not of its kind."""
        _, place, given = split_uri(uri)
        if not place:
            raise ConfigError(f"{shorten_uri(uri)}: says no {self.lacks}; expected {self.example}")
        return place, self.read_options(uri, given)

    def read_options(self, uri: str, given: dict[str, str]) -> Options:
        """Options of an address from their texts. Raises ConfigError."""
        known = option_names(self.options)
        for key in given:
            if key not in known:
                raise ConfigError(f"{shorten_uri(uri)}: {_unknown_option(key, known)}")
        return read_options(uri, given, self.options)

    def stream(self, uri: str, place: str, options: Options) -> ByteStream:
        """The stream of bytes to a board. Raises ConfigError where there is no such place."""
        if self.connect is None:
            raise ConfigError(f"{shorten_uri(uri)}: {self.scheme}: is only served; {self.about}")
        return self.connect(uri, place, options)

    def presets(self) -> dict[str, str]:
        """Addresses worth knowing, and what each is (entry point of group `mgdhw.presets`)."""
        return {f"{self.scheme}:{self.place}": self.about, **self.discover()}

    def listener(self, endpoint: Endpoint, place: str, options: Options) -> Listener:
        """What lets hosts in. Raises ConfigError where it cannot be there."""
        if self.listen is None:
            raise ConfigError(f"--listen {self.scheme}: nothing can be served there; expected {listen_forms()}")
        return self.listen(endpoint, place, options)


def transport_for(scheme: str) -> Transport[Any]:
    """The installed transport of a scheme. Raises ConfigError where there is none, or none that can be loaded."""
    points = _points()
    if scheme not in points:
        hint = did_you_mean(scheme, points)
        raise ConfigError(f"no transport answers to {short_repr(scheme)}{hint} (installed: {', '.join(points)})")
    offered = {(point.value, distribution_of(point)) for point in entry_points(group=GROUP, name=scheme)}
    if len(offered) > 1:
        names = ", ".join(f"{distribution} ({value})" for value, distribution in sorted(offered))
        raise ConfigError(f"several transports answer to {scheme!r}; uninstall all but one of {names}")
    try:
        return _loaded(points[scheme])
    except Broken as error:
        where = f"{points[scheme].value} of {distribution_of(points[scheme])}"
        raise ConfigError(f"transport {scheme!r}, {where}, cannot be loaded: {error}") from error.__cause__


def installed_transports() -> dict[str, Transport[Any]]:
    """Every transport that can be loaded on this system, by its scheme."""
    found = {}
    for scheme, point in _points().items():
        try:
            found[scheme] = _loaded(point)
        except Broken:  # pseudo-terminals on Windows; another distribution's
            continue
    return found


def listen_forms() -> str:
    """Every form of an address to listen at, for errors."""
    return ", ".join(_listen_forms())


def listen_help() -> str:
    """The same with what each is, for help."""
    return "; ".join(f"{form} ({about})" for form, about in _listen_forms().items())


def _listen_forms() -> dict[str, str]:
    found = installed_transports().values()
    return {f"{one.scheme}:{one.listen_place}": one.listen_about for one in found if one.listen is not None}


def _points() -> dict[str, EntryPoint]:
    return dict(sorted((point.name, point) for point in entry_points(group=GROUP)))


def _loaded(point: EntryPoint) -> Transport[Any]:
    """What an entry point names. Raises Broken."""
    found = load(point)
    if not isinstance(found, Transport):
        raise Broken(f"is a {type(found).__name__}; expected a {Transport.__module__}.{Transport.__name__}")
    return cast("Transport[LinkOptions]", found)


def _unknown_option(key: str, known: list[str]) -> str:
    """What to say of an option that this transport lacks; another one may have it."""
    others = [one.scheme for one in installed_transports().values() if key in option_names(one.options) and one.place]
    listed = ", ".join(known)
    if others:
        return f"option {key!r} is for {' and '.join(f'{scheme}:' for scheme in others)} addresses only ({listed})"
    return f"no option {short_repr(key)}{did_you_mean(key, known)} ({listed})"
