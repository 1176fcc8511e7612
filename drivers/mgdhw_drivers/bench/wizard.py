"""`mgdhw bench new`: asks for what is not given."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence

from mgdhw.errors import ConfigError, DeviceError
from mgdhw.parsing import short_repr
from mgdhw.topology import Topology
from mgdhw_drivers.bench.new_rack import Answers
from mgdhw_drivers.visa.resource import Resource, ResourceSettings

Prompt = Callable[[str], str]
"""Asks a question; answers what was typed."""
SETTINGS = ResourceSettings(open_timeout=2.0, timeout=1.0, check_errors=False)


def parse_layers(text: str) -> tuple[int, ...]:
    """Layers from "2-3-1". Raises ConfigError."""
    try:
        layers = tuple(int(part) for part in text.split("-"))
    except ValueError:
        layers = ()
    if len(layers) < 2 or min(layers) < 1 or max(layers) > 100_000:
        raise ConfigError(f"layers {short_repr(text)}: expected numbers of neurons, inputs first, such as 2-3-1")
    return layers


def asking() -> Prompt | None:
    """How to ask; None if nobody is there to answer."""
    if not sys.stdin.isatty():
        return None
    import typer

    return lambda question: str(typer.prompt(question))


def discovered() -> dict[str, str]:
    """VISA resources of this machine and its network: text of each address. Takes bounded time."""
    from mgdhw_drivers.visa.discovery import discover

    return {address.removeprefix("visa:").partition("?")[0]: text for address, text in discover().items()}


def gather(
    ask: Prompt | None,
    found: Mapping[str, str],
    layers: str | None,
    parameters: Sequence[str],
    inputs: str | None,
    output: str | None,
) -> Answers:
    """What a new rack is made of.

    Args:
        ask: how to ask for what is not given; None: what is not given is an error.
        found: instruments that were found: address and text.
        layers, parameters, inputs, output: what was given.

    Raises:
        ConfigError: something is missing, or does not fit.
    """

    def answer(option: str, question: str, given: str | None) -> str:
        if given is not None:
            return given
        if ask is None:
            raise ConfigError(f"{option}: missing; {question}")
        return ask(question)

    def address(text: str) -> str:
        addresses = list(found)
        if text.isdigit() and 1 <= int(text) <= len(addresses):
            return addresses[int(text) - 1]
        return text.strip()

    sizes = parse_layers(answer("--layers", "layers of the network, such as 2-3-1", layers))
    count = Topology.dense(sizes).n_parameters
    question = f"instrument with the {count} parameters (address, or {count} addresses with commas between them)"
    given = ",".join(parameters) if parameters else None
    instruments = tuple(address(part) for part in answer("--parameters", question, given).split(","))
    if len(instruments) not in (1, count):
        raise ConfigError(f"--parameters: {len(instruments)} addresses for {count} parameters; expected 1 or {count}")
    default = None if ask is not None or len(instruments) > 1 else instruments[0]
    question = f"instrument with the {sizes[0]} inputs (address)"
    applied = address(answer("--inputs", question, inputs if inputs is not None else default))
    read = address(answer("--output", "instrument that reads the output (address)", output))
    for one in (*instruments, applied, read):
        if not one:
            raise ConfigError("an address is empty; expected one such as TCPIP::192.168.0.20::5025::SOCKET")
    if read in (*instruments, applied):
        raise ConfigError(f"{read} has the output and something else; describe that by hand, after docs/bench.md")
    return Answers(layers=sizes, parameters=instruments, inputs=applied, output=read)


async def identify(addresses: Sequence[str]) -> dict[str, str]:
    """Answers to *IDN?, by address, of instruments that answer; nothing else is asked or sent."""
    found: dict[str, str] = {}
    for address in dict.fromkeys(addresses):
        resource = Resource(address, address, SETTINGS, "bench new")
        try:
            await resource.open()
            found[address] = resource.identity
        except DeviceError:
            continue
        finally:
            await resource.close()
    return found
