"""Experiments from TOML files and mappings, with errors that name the file, the key and the remedy; and to TOML."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mgdhw.errors import ConfigError
from mgdhw.experiment.overrides import apply_override, checked_overrides
from mgdhw.experiment.schema import Experiment
from mgdhw.experiment.validation import explain
from mgdhw.parsing import parse_toml
from mgdhw.report.text import read_text, unwritable


def load_experiment(path: Path | str, overrides: Iterable[str] = ()) -> Experiment:
    """Read an experiment file.

    Args:
        path: a TOML file.
        overrides: changes such as "optimizer.eta=0.1"; values are TOML, bare words are strings.

    Raises:
        ConfigError: names the file, the key, what was expected, and the nearest valid name.
    """
    path = Path(path)
    text = read_text(
        path,
        if_absent=f"`mgdhw new {path}` writes one to begin with",
        if_folder=", not an experiment file; to go on with a run: mgdhw train --resume RUN",
    )
    return parse_experiment(text, source=str(path), overrides=overrides)


def parse_experiment(text: str, *, source: str, overrides: Iterable[str] = ()) -> Experiment:
    """An experiment from TOML text; `source` is what errors call it."""
    values = parse_toml(text, source)
    overridden = {}
    for override in checked_overrides(overrides):
        overridden[apply_override(values, override)] = override
    return check_experiment(values, source=source, overridden=overridden)


def check_experiment(
    values: Mapping[str, Any], *, source: str, overridden: Mapping[str, str] | None = None
) -> Experiment:
    """An experiment from nested mappings.

    Args:
        values: by section and key.
        source: what errors call them.
        overridden: the override that an error is about instead, by the dotted key that it changed.
    """
    try:
        return Experiment.model_validate(dict(values))
    except ValidationError as error:
        found = error.errors(include_url=False)
        problems = [explain(problem, Experiment, source, overridden or {}) for problem in found]
    except RecursionError:
        problems = [f"{source}: values are nested too deeply"]
    raise ConfigError("\n".join(problems))


def with_overrides(experiment: Experiment, overrides: tuple[str, ...]) -> Experiment:
    """The experiment with some keys changed. Raises ConfigError."""
    if not overrides:
        return experiment
    return parse_experiment(to_toml(experiment), source="experiment", overrides=overrides)


def to_toml(experiment: Experiment) -> str:
    """The experiment with every default filled in, as a TOML file.

    Raises:
        ConfigError: it names a file whose path cannot be written in one.
    """
    values = experiment.model_dump(mode="json", exclude_none=True)
    tables = [table for table in values.values() if isinstance(table, dict)]
    check_writable(*(value for table in tables for value in table.values() if isinstance(value, str)))
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items() if not isinstance(value, dict)]
    for section, table in values.items():
        if isinstance(table, dict):
            lines += ["", f"[{section}]"]
            lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in table.items()]
    return "\n".join(lines) + "\n"


def check_writable(*values: str) -> None:
    """Make sure that values (addresses of devices and of data) can be written in a TOML file.

    Raises:
        ConfigError: one has the path of a file whose name, or whose folder's, is no UTF-8.
    """
    for value in values:
        strange = unwritable(value)
        if strange is not None:
            raise ConfigError(
                f"{value}: {strange} in this path is no UTF-8, so an experiment file cannot name it; rename that file"
                " or folder, or use a copy of the file elsewhere"
            )
