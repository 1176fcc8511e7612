"""Experiments: TOML files checked against a schema, with errors that name the file, the key and the remedy."""

from __future__ import annotations

import difflib
import json
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from mgdhw.block import Baseline
from mgdhw.codes import FAMILIES
from mgdhw.errors import ConfigError
from mgdhw.optimizers import OPTIMIZERS, Optimizer
from mgdhw.schedule import SCHEDULES, ScheduleSpec

LARGEST_SEED = 2**63 - 1  # TOML's integers are 64-bit and signed
LARGEST_BATCH = 1 << 20
LARGEST_PERIOD = (1 << 32) - 1  # what a board is told in 32 bits
LARGEST_BLOCK = 1 << 16
LARGEST_STEP = 2**63 - 1  # what a block can begin at
SCHEDULE_KEYS = {"cosine": ("final",), "step": ("drop", "every"), "1/t": ("tau",)}
OWN_COST = re.compile("[^@]+@[0-9a-f]{16}")
Level = Literal["auto", "host-codes", "device-codes", "learn"]


def _one_of(value: str, choices: Iterable[str]) -> str:
    if value not in choices:
        near = difflib.get_close_matches(value, list(choices), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"expected one of {', '.join(sorted(choices))}{hint}")
    return value


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True, validate_default=True)


class DeviceSection(_Section):
    """Which device."""

    uri: str = "sim:analog-8bit"


class DataSection(BaseModel):
    """Which dataset; every other key is an option of it (seed, flips, n, test_fraction, ...)."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    name: str = "digits"

    @property
    def options(self) -> dict[str, Any]:
        """The dataset's own options."""
        return dict(self.model_extra or {})


class TrainingSection(_Section):
    """How long, how often, from where. All periods are in probes."""

    probes: int = Field(default=400_000, ge=1, le=LARGEST_STEP)
    batch: int = Field(default=1, ge=1, le=LARGEST_BATCH)
    tau_x: int = Field(default=1, ge=1, le=LARGEST_PERIOD)
    tau_theta: int = Field(default=100, ge=1, le=LARGEST_PERIOD)
    mode: Literal["discrete", "continuous"] = "discrete"
    baseline: Literal["held", "every", "antithetic"] = "held"
    normalise: Literal["energy", "oripov"] = "energy"
    update_every: int = Field(default=1, ge=1, le=LARGEST_PERIOD)
    tau_hp: float = Field(default=10.0, gt=0)
    init: Literal["glorot", "uniform", "read"] = "glorot"
    init_scale: float = Field(default=1.0, ge=0)
    rounding: Literal["nearest", "stochastic"] = "nearest"

    @property
    def update_period(self) -> int:
        """Probes from one update to the next: τ_θ, or dt in continuous mode."""
        return self.update_every if self.mode == "continuous" else self.tau_theta

    @property
    def block_baseline(self) -> Baseline:
        """What blocks ask the device for."""
        return Baseline.NONE if self.mode == "continuous" else Baseline(self.baseline)


class CodesSection(_Section):
    """Which perturbations."""

    family: str = "random"
    delta: float | None = Field(default=None, gt=0)
    groups: Literal["all", "layer"] = "all"
    density: float = Field(default=0.1, ge=2**-15, le=1)

    @field_validator("family")
    @classmethod
    def _family(cls, value: str) -> str:
        return _one_of(value, FAMILIES)


class OptimizerSection(BaseModel):
    """Which optimizer; every other key is a parameter of it (beta, beta1, epsilon, ...)."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    name: str = "adam"
    eta: float = Field(default=0.02, ge=0, allow_inf_nan=False)

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        return _one_of(value, OPTIMIZERS)

    @model_validator(mode="after")
    def _parameters(self) -> OptimizerSection:
        known = {f.name: f.default for f in fields(OPTIMIZERS[self.name])}  # type: ignore[arg-type]
        for key, value in (self.model_extra or {}).items():
            if key not in known:
                near = difflib.get_close_matches(key, ["eta", *known], n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                has = ", ".join(known) or "none"
                raise ValueError(f"{self.name} has no parameter {key!r} (it has: {has}){hint}")
            if isinstance(known[key], bool):
                if not isinstance(value, bool):
                    raise ValueError(f"{key}: expected true or false, got {value!r}")
            elif isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise ValueError(f"{key}: expected a finite number, got {value!r}")
            elif key in ("beta", "beta1", "beta2", "rho") and not 0 <= value < 1:
                raise ValueError(f"{key}: expected a number from 0 to below 1, got {value!r}")
            elif key in ("epsilon", "weight_decay") and value < 0:
                raise ValueError(f"{key}: expected a number of 0 or more, got {value!r}")
        return self

    def build(self) -> Optimizer:
        """The optimizer with its parameters."""
        return OPTIMIZERS[self.name](**(self.model_extra or {}))


class ScheduleSection(_Section):
    """Learning rate over time. `final`, `drop`, `every` and `tau` belong to cosine, step, step and 1/t."""

    name: str = "constant"
    final: float = Field(default=0.0, ge=0)
    drop: float = Field(default=0.1, gt=0)
    every: float = Field(default=0.34, ge=0.001, le=1)
    tau: float = Field(default=0.1, gt=0)

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        return _one_of(value, SCHEDULES)

    def build(self) -> ScheduleSpec:
        """The schedule with its parameters."""
        return ScheduleSpec(**self.model_dump())


class EvaluationSection(_Section):
    """Learning curve, and when to stop early. Decides no bit of the trajectory but its end."""

    every: int | None = Field(default=None, ge=1)
    stop_at_accuracy: float | None = Field(default=None, gt=0, le=1)
    stop_at_cost: float | None = Field(default=None, gt=0)

    @property
    def has_target(self) -> bool:
        """Whether there is an accuracy or a cost at which to stop."""
        return self.stop_at_accuracy is not None or self.stop_at_cost is not None


class RunSection(_Section):
    """How the work is done and kept. Decides no bit of the trajectory."""

    level: Level = "auto"
    block: int | None = Field(default=None, ge=1, le=LARGEST_BLOCK)
    checkpoint_seconds: float = Field(default=10.0, gt=0)
    retries: int = Field(default=3, ge=0)


class Experiment(_Section):
    """Everything that one training run is."""

    name: str = Field(default="experiment", pattern=r"^[A-Za-z0-9_.-]+$")
    seed: int = Field(default=0, ge=0, le=LARGEST_SEED)
    cost: str | None = None
    """Name and fingerprint of a cost that was given in Python (`mgdhw.own_cost`): written, not chosen."""
    device: DeviceSection = DeviceSection()
    data: DataSection = DataSection()
    training: TrainingSection = TrainingSection()
    codes: CodesSection = CodesSection()
    optimizer: OptimizerSection = OptimizerSection()
    schedule: ScheduleSection = ScheduleSection()
    evaluation: EvaluationSection = EvaluationSection()
    run: RunSection = RunSection()

    @field_validator("cost")
    @classmethod
    def _cost(cls, value: str | None) -> str | None:
        if value is None or OWN_COST.fullmatch(value):
            return value
        raise ValueError(
            "expected the name and fingerprint of a function, as kept runs have it; which cost is measured is the"
            " device's (sim:analog-8bit?cost=xent), and one in Python is given as mgdhw.train(..., cost=function)"
        )

    def decisive(self) -> dict[str, Any]:
        """What decides the trajectory on a given device and dataset: the part that the digest begins with.

        Keys that belong to another mode, family or schedule are left out: they decide nothing.
        """
        everything = self.model_dump(mode="json")
        kept = {key: everything[key] for key in ("seed", "training", "codes", "optimizer", "schedule")}
        unused = ("baseline", "normalise") if self.training.mode == "continuous" else ("update_every", "tau_hp")
        for key in unused:
            del kept["training"][key]
        if self.codes.family != "sparse":
            del kept["codes"]["density"]
        used = ("name", *SCHEDULE_KEYS.get(self.schedule.name, ()))
        kept["schedule"] = {key: kept["schedule"][key] for key in used}
        if self.cost is not None:
            kept["cost"] = self.cost.rpartition("@")[2]
        return kept

    def replica(self, number: int) -> Experiment:
        """The same from another seed: the experiment's own and a number, from 0."""
        return self.model_copy(update={"seed": self.seed + number})

    def evaluate_every(self) -> int:
        """Probes between evaluations: as given, or a twentieth of the run, in whole updates."""
        if self.evaluation.every is not None:
            return self.evaluation.every
        period = self.training.update_period
        return max(1, self.training.probes // 20 // period) * period


_SECTIONS: dict[str, Any] = {
    name: field.annotation for name, field in Experiment.model_fields.items() if isinstance(field.default, BaseModel)
}


def missing_cost(cost: str) -> str:
    """What to say where an experiment was made with a cost that nobody has given."""
    name = cost.rpartition("@")[0]
    return (
        f"cost: it was made with a function of Python, {name}, which has to be given again:"
        f" mgdhw.train(..., cost={name.rpartition('.')[2]}), with resume=RUN and to mgdhw.evaluate, too"
    )


def load_experiment(path: Path | str, overrides: Iterable[str] = ()) -> Experiment:
    """Read an experiment file.

    Args:
        path: a TOML file.
        overrides: changes such as "optimizer.eta=0.1"; values are TOML, bare words are strings.

    Raises:
        ConfigError: names the file, the key, what was expected, and the nearest valid name.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; `mgdhw new {path}` writes one to begin with") from None
    except IsADirectoryError:
        raise ConfigError(f"{path} is a folder, not an experiment file; to go on with a run use --resume") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not a text file; expected TOML in UTF-8") from None
    return parse_experiment(text, source=str(path), overrides=overrides)


def parse_experiment(text: str, *, source: str, overrides: Iterable[str] = ()) -> Experiment:
    """An experiment from TOML text; `source` is what errors call it."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source}: not valid TOML: {error}") from None
    for override in overrides:
        _apply(values, override)
    return check_experiment(values, source=source)


def check_experiment(values: Mapping[str, Any], *, source: str) -> Experiment:
    """An experiment from nested mappings; `source` is what errors call them."""
    try:
        return Experiment.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(problem, source) for problem in error.errors())) from None


def _apply(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    *sections, name = key.strip().split(".")
    if not equals or not all((*sections, name)):
        raise ConfigError(f"--set {override}: expected KEY=VALUE, for example --set optimizer.eta=0.1")
    table: Any = values
    for section in sections:
        table = table.setdefault(section, {})
        if not isinstance(table, dict):
            raise ConfigError(f"--set {override}: {section!r} is a value, not a section")
    try:
        table[name] = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        table[name] = text.strip()


def _explain(problem: Any, source: str) -> str:
    location = [str(part) for part in problem["loc"]]
    key = ".".join(location) or "the file"
    if problem["type"] == "extra_forbidden":
        model: Any = Experiment
        for part in location[:-1]:
            model = model.model_fields[part].annotation
        names = list(model.model_fields)
        elsewhere = [f"{name}.{location[-1]}" for name in _SECTIONS if location[-1] in _SECTIONS[name].model_fields]
        near = elsewhere if len(elsewhere) == 1 else difflib.get_close_matches(location[-1], names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(names)}"
        return f"{source}: {key}: no such key; {hint}"
    if problem["type"] == "model_type":
        return f"{source}: {key}: expected a section, [{key}], with keys of its own (got {problem['input']!r})"
    if problem["type"] == "string_pattern_mismatch":
        return f"{source}: {key}: expected letters, digits, '.', '_' and '-' only (got {problem['input']!r})"
    message = problem["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    given = problem["input"]
    if problem["type"] == "literal_error":
        choices = [c.strip(" '") for c in problem["ctx"]["expected"].replace(" or ", ",").split(",")]
        near = difflib.get_close_matches(str(given), choices, n=1)
        message += f"; did you mean {near[0]!r}?" if near else ""
    shown = "" if isinstance(given, dict | BaseModel) else f" (got {given!r})"
    return f"{source}: {key}: {message}{shown}"


def to_toml(experiment: Experiment) -> str:
    """The experiment with every default filled in, as a TOML file."""
    values = experiment.model_dump(mode="json", exclude_none=True)
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items() if not isinstance(value, dict)]
    for section, table in values.items():
        if isinstance(table, dict):
            lines += ["", f"[{section}]"]
            lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in table.items()]
    return "\n".join(lines) + "\n"
