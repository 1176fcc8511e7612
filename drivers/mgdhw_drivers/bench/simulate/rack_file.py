"""The rack file of a rehearsal: the user's own, with the addresses of simulated instruments."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from mgdhw.errors import ConfigError
from mgdhw_drivers.bench.load import parse_rack

_TEXT = r"""(?:"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
_CONNECTION = re.compile(
    rf"^(\s*(?:.*[{{,]\s*)?(?:backend|read_termination|write_termination)\s*=\s*){_TEXT}", re.MULTILINE
)
_OWN = {"backend": '"@py"', "read_termination": r'"\n"', "write_termination": r'"\n"'}


def with_addresses(text: str, source: str, addresses: Mapping[str, str]) -> str:
    """A rack file with other addresses, and the backend and terminations that belong to them.

    Args:
        text: of the file.
        source: its name, for errors.
        addresses: new address of every instrument, by its name in the rack.

    Raises:
        ConfigError: an address is written in a way that cannot be replaced.
    """
    rack = parse_rack(text, source)
    changed = _CONNECTION.sub(_own_setting, text)
    for name, (address, _) in rack.resources().items():
        pattern = re.compile(rf"""(["']){re.escape(address)}\1""")
        changed = pattern.sub(lambda match, new=addresses[name]: json.dumps(new), changed, count=1)  # type: ignore[misc]
    found = {name: address for name, (address, _) in parse_rack(changed, source).resources().items()}
    wrong = [name for name, address in addresses.items() if found.get(name) != address]
    if wrong:
        raise ConfigError(
            f"{source}: the address of {wrong[0]} cannot be replaced; write it in one piece and once, as in"
            ' address = "TCPIP::192.168.0.5::5025::SOCKET"'
        )
    return changed


def simulated_path(rack: Path, folder: Path) -> Path:
    """Where the file of a rehearsal is written."""
    return folder / f"{rack.stem}.simulated.toml"


def _own_setting(match: re.Match[str]) -> str:
    key = next(key for key in _OWN if re.search(rf"{key}\s*=\s*$", match[1]))
    return match[1] + _OWN[key]
