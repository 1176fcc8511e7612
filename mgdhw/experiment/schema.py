"""What an experiment is: its sections, their keys, defaults and ranges."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import fields
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from mgdhw.block import Baseline
from mgdhw.codes import FAMILIES
from mgdhw.device.acquisition import LONGEST_SECONDS, MOST_READINGS
from mgdhw.learning.schedule import SCHEDULES, ScheduleSpec
from mgdhw.optimizers import OPTIMIZERS, Optimizer
from mgdhw.parsing import did_you_mean, short_repr
from mgdhw.variants import check_number

LARGEST_SEED = 2**63 - 1  # TOML's integers are 64-bit and signed
LARGEST_BATCH = 1 << 20
LARGEST_PERIOD = (1 << 32) - 1  # boards take it in 32 bits
LARGEST_BLOCK = 1 << 16
LARGEST_STEP = 2**63 - 1  # what a block can begin at
SCHEDULE_KEYS = {"cosine": ("final",), "step": ("drop", "every"), "1/t": ("tau",)}
OWN_COST = re.compile("[^@]+@[0-9a-f]{16}")
START = re.compile("[0-9a-f]{64}")
CODE_PARAMETERS = {field.name: field for kind in FAMILIES.values() for field in fields(kind)}
"""Of every family of codes: those of other families than the chosen one decide nothing."""
Level = Literal["auto", "host-codes", "device-codes", "learn"]
Scale = Literal["auto", "minmax", "standard", "none"]


def _one_of(value: str, choices: Iterable[str]) -> str:
    if value not in choices:
        raise ValueError(f"expected one of {', '.join(sorted(choices))}{did_you_mean(value, choices)}")
    return value


def _as_whole(value: Any) -> Any:
    """TOML writes 100,000 as 1e5, too; there it is a float."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_as_whole)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True, validate_default=True)


class DeviceSection(_Section):
    """Which device."""

    uri: str = "sim:analog-8bit"


class DataSection(BaseModel):
    """Which dataset, and how its inputs are scaled; every other key is an option of it (seed, flips, n, ...)."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    name: str = "digits"
    scale: Scale | None = None
    scale_to: list[Finite] | None = Field(default=None, min_length=2, max_length=2)

    @model_validator(mode="after")
    def _range(self) -> DataSection:
        if self.scale_to is None:
            return self
        low, high = self.scale_to
        if not low < high:
            raise ValueError(f"scale_to: expected [low, high], the ends of a range (got [{low:g}, {high:g}])")
        if self.scale in (None, "none"):
            raise ValueError('scale_to: of no use without scale = "auto", "minmax" or "standard"')
        return self

    @model_validator(mode="after")
    def _flat(self) -> DataSection:
        for key, value in (self.model_extra or {}).items():
            for item in value if isinstance(value, list) else (value,):
                if not isinstance(item, str | int | float):
                    raise ValueError(
                        f"{short_repr(key)}: expected a value, or a list of values, got {short_repr(value)}"
                    )
        return self

    @property
    def options(self) -> dict[str, Any]:
        """The dataset's own options."""
        return dict(self.model_extra or {})


class TrainingSection(_Section):
    """How long, how often, from where. All periods are in probes."""

    probes: Whole = Field(default=400_000, ge=1, le=LARGEST_STEP)
    batch: Whole = Field(default=1, ge=1, le=LARGEST_BATCH)
    tau_x: Whole = Field(default=1, ge=1, le=LARGEST_PERIOD)
    tau_theta: Whole = Field(default=100, ge=1, le=LARGEST_PERIOD)
    mode: Literal["discrete", "continuous"] = "discrete"
    baseline: Literal["held", "every", "antithetic"] = "held"
    normalise: Literal["energy", "oripov"] = "energy"
    update_every: Whole = Field(default=1, ge=1, le=LARGEST_PERIOD)
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


class CodesSection(BaseModel):
    """Which perturbations; every other key is a parameter of the family (density, ...)."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False, strict=True, validate_default=True)
    variant_keys: ClassVar[tuple[str, ...]] = tuple(CODE_PARAMETERS)

    family: str = "random"
    delta: float | list[float] | None = None
    groups: Literal["all", "layer"] = "all"
    target: Literal["weights", "nodes"] = "weights"

    @field_validator("delta", mode="plain")
    @classmethod
    def _delta(cls, value: Any) -> Any:
        """One number, or one for each layer: a union's own error would name both, and the value twice."""
        each = value if isinstance(value, list) else [value]
        if value is None:
            return None
        if not each:
            raise ValueError("expected a number, or one for each layer")
        for delta in each:
            if isinstance(delta, bool) or not isinstance(delta, int | float):
                raise ValueError("input should be a valid number, or a list of one for each layer")
            if not abs(delta) <= sys.float_info.max:  # an integer may be larger than any float
                raise ValueError("input should be a finite number")
            if delta <= 0:
                raise ValueError("input should be greater than 0")
        return [float(delta) for delta in each] if isinstance(value, list) else float(value)

    @field_validator("family")
    @classmethod
    def _family(cls, value: str) -> str:
        return _one_of(value, FAMILIES)

    @model_validator(mode="after")
    def _parameters(self) -> CodesSection:
        wrong: list[InitErrorDetails] = []
        for key, value in (self.model_extra or {}).items():
            if key not in CODE_PARAMETERS:
                wrong.append(InitErrorDetails(type="extra_forbidden", loc=(key,), input=value))
                continue
            try:
                check_number(value, CODE_PARAMETERS[key])
            except ValueError as error:
                message = PydanticCustomError("number", "{message}", {"message": str(error)})
                wrong.append(InitErrorDetails(type=message, loc=(key,), input=value))
        if wrong:
            raise ValidationError.from_exception_data("codes", wrong)
        own = {field.name: field.default for field in fields(FAMILIES[self.family])}
        given = dict(self.model_extra or {})
        self.parameters.clear()  # those of other families decide nothing
        self.parameters.update({key: float(given.get(key, default)) for key, default in own.items()})
        return self

    @property
    def parameters(self) -> dict[str, float]:
        """The family's own, with its defaults filled in."""
        assert self.model_extra is not None, "extra keys are allowed"
        return self.model_extra


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
        known = {field.name: field for field in fields(OPTIMIZERS[self.name])}
        for key, value in (self.model_extra or {}).items():
            if key not in known:
                has, hint = ", ".join(known) or "none", did_you_mean(key, ["eta", *known])
                raise ValueError(f"{self.name} has no parameter {short_repr(key)} (it has: {has}){hint}")
            try:
                check_number(value, known[key])
            except ValueError as error:
                raise ValueError(f"{key}: {error}, got {short_repr(value)}") from None
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


class ReadingsSection(_Section):
    """How costs are read, and which readings are not taken as they come.

    Overloads are always looked for, outliers only where asked for; seconds and averages that are not given are those
    that the device declares.
    """

    repeat: Whole = Field(default=3, ge=0, le=1000)
    outliers: Literal["off", "repeat", "clip"] = "off"
    outlier_limit: float = Field(default=6.0, gt=0)
    settling: float | None = Field(default=None, ge=0, le=LONGEST_SECONDS)
    average: Whole | None = Field(default=None, ge=1, le=MOST_READINGS)

    @model_validator(mode="after")
    def _repeats(self) -> ReadingsSection:
        if self.outliers == "repeat" and not self.repeat:
            raise ValueError('outliers: "repeat" is of no use with repeat = 0; expected repeat of 1 or more, or "clip"')
        return self

    def decisive(self) -> dict[str, Any]:
        """What of it decides the trajectory; empty by default."""
        kept: dict[str, Any] = {} if self.average is None else {"average": self.average}
        if self.outliers != "off":
            kept |= {"outliers": self.outliers, "outlier_limit": self.outlier_limit, "repeat": self.repeat}
        return kept


class EvaluationSection(_Section):
    """Learning curve, and when to stop early. Decides no bit of the trajectory but its end."""

    every: Whole | None = Field(default=None, ge=1)
    stop_at_accuracy: float | None = Field(default=None, gt=0, le=1)
    stop_at_cost: float | None = Field(default=None, gt=0)

    @property
    def has_target(self) -> bool:
        """Whether there is an accuracy or a cost at which to stop."""
        return self.stop_at_accuracy is not None or self.stop_at_cost is not None


class RunSection(_Section):
    """How the work is done and kept. Decides no bit of the trajectory."""

    level: Level = "auto"
    block: Whole | None = Field(default=None, ge=1, le=LARGEST_BLOCK)
    checkpoint_seconds: float = Field(default=10.0, gt=0)
    retries: Whole = Field(default=3, ge=0)
    end_at: Literal["last", "best"] = "last"
    """Which θ the hardware is left with at the end of training."""


class Experiment(_Section):
    """Everything that one training run is."""

    name: str = Field(default="experiment", pattern=r"^[A-Za-z0-9_.-]+$")
    seed: Whole = Field(default=0, ge=0, le=LARGEST_SEED)
    cost: str | None = None
    """Name and fingerprint of a cost that was given in Python (`mgdhw.experiment.own_cost`): written, not chosen."""
    start: str | None = None
    """SHA-256 of θ that it begins with, where that was given (`mgdhw.train(..., start=...)`): written, not chosen."""
    device: DeviceSection = DeviceSection()
    data: DataSection = DataSection()
    training: TrainingSection = TrainingSection()
    codes: CodesSection = CodesSection()
    optimizer: OptimizerSection = OptimizerSection()
    schedule: ScheduleSection = ScheduleSection()
    readings: ReadingsSection = ReadingsSection()
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

    @field_validator("start")
    @classmethod
    def _start(cls, value: str | None) -> str | None:
        if value is None or START.fullmatch(value):
            return value
        raise ValueError(
            "expected the SHA-256 of θ, as kept runs have it; a run is begun from another one's θ by mgdhw train --from"
            " RUN, or mgdhw.train(..., start=RUN)"
        )

    @model_validator(mode="after")
    def _nodes(self) -> Experiment:
        if self.codes.target == "nodes" and self.training.mode == "continuous":
            raise ValueError(
                'codes.target: continuous mode perturbs parameters, not nodes; use training.mode = "discrete", or'
                ' codes.target = "weights"'
            )
        return self

    def decisive(self) -> dict[str, Any]:
        """What decides the trajectory on a given device and dataset: the part that the digest begins with.

        Keys that belong to another mode, family or schedule are left out: they decide nothing.
        """
        everything = self.model_dump(mode="json")
        kept = {key: everything[key] for key in ("seed", "training", "codes", "optimizer", "schedule")}
        unused = ("baseline", "normalise") if self.training.mode == "continuous" else ("update_every", "tau_hp")
        for key in unused:
            del kept["training"][key]
        if self.training.mode == "continuous":
            kept["training"]["divided_by"] = "gain"  # what was trained before it was goes on to no digest of this
        if self.codes.delta is None:
            kept["codes"]["delta"] = "a share of the range"  # before, it was one step
        decide = ("family", "delta", "groups", *(("target",) if self.codes.target == "nodes" else ()))
        kept["codes"] = {key: kept["codes"][key] for key in decide} | self.codes.parameters
        used = ("name", *SCHEDULE_KEYS.get(self.schedule.name, ()))
        kept["schedule"] = {key: kept["schedule"][key] for key in used}
        if readings := self.readings.decisive():
            kept["readings"] = readings
        if self.cost is not None:
            kept["cost"] = self.cost.rpartition("@")[2]
        if self.start is not None:
            kept["start"] = self.start
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


def missing_cost(cost: str) -> str:
    """What to say where an experiment was made with a cost that nobody has given."""
    name = cost.rpartition("@")[0]
    return (
        f"cost: it was made with a function of Python, {name}, which has to be given again:"
        f" mgdhw.train(..., cost={name.rpartition('.')[2]}), with resume=RUN and to mgdhw.evaluate, too"
    )


def missing_start() -> str:
    """What to say where an experiment began with the θ of another run, which nobody has given."""
    return (
        "start: it began with the θ of another run (its provenance.json says which), which has to be given again:"
        " mgdhw train ... --from RUN, or mgdhw.train(..., start=RUN)"
    )
