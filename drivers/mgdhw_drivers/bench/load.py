"""Racks from TOML files, with errors that name the file, the line, the key and the remedy."""

from __future__ import annotations

import typing
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from mgdhw.errors import ConfigError
from mgdhw.parsing import did_you_mean, parse_toml, short_repr
from mgdhw.report.text import decode
from mgdhw_drivers.bench import lines
from mgdhw_drivers.bench.check import problems_of
from mgdhw_drivers.bench.check_commands import Problem
from mgdhw_drivers.bench.rack import Rack

MISSING = {
    "min": 'the lowest value that it may have, such as min = "-5 V"; there is no default for a limit',
    "max": 'the highest value that it may have, such as max = "5 V"; there is no default for a limit',
    "lsb": 'the smallest step of a parameter, such as lsb = "1 mV"',
    "safe": 'the value at rest, such as safe = "0 V"; for the rack, the commands that make it safe: [[safe]] …',
    "write": 'the command that sets it, such as write = "SOUR{channel}:VOLT {value}"',
    "instrument": "the name of an [instruments.NAME]",
    "query": 'the query for what is read, such as query = "READ?"',
    "low": 'the level of the value 0, such as low = "0 V"',
    "high": 'the level of the value 1, such as high = "1 V"',
    "instruments": "at least one [instruments.NAME] with an address",
    "parameters": "at least one [[parameters]]",
    "outputs": "at least one [[outputs]]",
}
"""What a key that is needed holds."""


def load_rack(path: Path | str) -> Rack:
    """Read and check a rack file.

    Raises:
        ConfigError: one line for each problem: file, line, key, what is wrong, and the remedy.
    """
    path = Path(path)
    try:
        text = decode(path.read_bytes())
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; `mgdhw bench new {path}` writes one to begin with") from None
    except IsADirectoryError:
        raise ConfigError(f"{path} is a folder; expected a rack file, such as rack.toml") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not a text file; expected TOML in UTF-8") from None
    except ValueError as error:  # NUL
        raise ConfigError(f"{path}: is the name of no file: {error}") from None
    return parse_rack(text, str(path))


def parse_rack(text: str, source: str) -> Rack:
    """A rack from TOML text; `source` is what errors call it. Raises ConfigError."""
    values = parse_toml(text, source)
    try:
        rack = Rack.model_validate(values)
        problems = problems_of(rack)
    except ValidationError as error:
        problems = [_explain(one) for one in error.errors(include_url=False)]
    except RecursionError:
        raise ConfigError(f"{source}: values are nested too deeply") from None
    if problems:
        where = lines.key_lines(text)
        raise ConfigError("\n".join(_line(problem, where, source) for problem in problems))
    return rack


def _line(problem: Problem, where: dict[lines.Path, int], source: str) -> str:
    return f"{source}, line {lines.line_of(where, problem.key)}: {key_name(problem.key)}: {problem.message}"


def key_name(key: lines.Path) -> str:
    """A key as errors name it: parameters[0].min."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key)
    return text.removeprefix(".") or "the file"


def _explain(problem: Any) -> Problem:
    """What pydantic has found."""
    key: lines.Path = tuple(problem["loc"])
    given = problem["input"]
    got = "" if isinstance(given, dict | BaseModel) else f" (got {short_repr(given)})"
    match problem["type"]:
        case "missing":
            what = MISSING.get(str(key[-1]))
            return Problem(key, f"missing; expected {what}" if what else "missing")
        case "extra_forbidden":
            known = _keys(key[:-1])
            hint = did_you_mean(str(key[-1]), known).removeprefix("; ") or f"expected one of {', '.join(known)}"
            return Problem(key, f"no such key; {hint}")
        case "model_type" | "dict_type" | "tuple_type":
            return Problem(key, f"expected a section, with keys of its own{got}")
        case "too_short":
            return Problem(key, f"expected {MISSING.get(str(key[-1]), 'at least one')}")
    message = str(problem["msg"]).removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if problem["type"] == "literal_error" and isinstance(given, str):
        message += did_you_mean(given, [one.strip(" '") for one in problem["ctx"]["expected"].split(" or ")])
    return Problem(key, message + got)


def _keys(key: lines.Path) -> list[str]:
    """The keys of a section."""
    model: type[BaseModel] = Rack
    for part in key:
        field = model.model_fields.get(part) if isinstance(part, str) else None
        model = _model_in(field.annotation) or model if field is not None else model
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = [_model_in(one) for one in typing.get_args(annotation)]
    return next((one for one in found if one is not None), None)
