"""What experiment, device and dataset make together, before anything is sent to the device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mgdhw.block import CodeSpec, Target
from mgdhw.codes import Codes
from mgdhw.costs import COSTS
from mgdhw.datasets import Dataset
from mgdhw.device import Acquisition, Capability, Device, DeviceInfo, HostCodes
from mgdhw.errors import ConfigError, DeviceUnavailable
from mgdhw.experiment.inputs import input_notes
from mgdhw.experiment.measurement import acquisition_of, usage_of
from mgdhw.experiment.schema import Experiment, missing_cost
from mgdhw.learning import digest
from mgdhw.learning.filters import FilterState
from mgdhw.learning.gradient import Window
from mgdhw.learning.high_pass import filter_weight
from mgdhw.learning.nodes import NodeUnits
from mgdhw.learning.rule import LearningRule, ParameterGrid
from mgdhw.learning.state import TrainState
from mgdhw.random.sample_order import SampleOrder
from mgdhw.timing import OperationCounts, TimeAndEnergy, count_operations
from mgdhw.training.amplitude import amplitudes_of, code_lsb, deltas_of
from mgdhw.training.initial import allowed, guard_band, initial, linked_constraint


@dataclass(frozen=True, slots=True)
class Preparation:
    """How a training will go.

    Args:
        rule: how costs become parameters.
        level: how much the device does by itself: "host-codes", "device-codes" or "learn".
        delta: Δ in parameter units, as the device can represent it.
        notes: what the user should know.
        acquisition: how measurements are taken; None: at once, from one reading.
    """

    rule: LearningRule
    level: str
    delta: float
    notes: tuple[str, ...]
    acquisition: Acquisition | None = None

    def hardware_usage(
        self, info: DeviceInfo, *, probes: int, evaluations: int, updates: int
    ) -> tuple[OperationCounts, TimeAndEnergy | None]:
        """How often the hardware did what, and what that takes on it where its timing is known."""
        counted = count_operations(
            probes=probes,
            evaluations=evaluations,
            updates=updates,
            batch=self.rule.order.batch,
            tau_x=self.rule.order.tau_x,
            n_parameters=info.n_parameters,
            n_inputs=info.n_inputs,
            host_codes=self.level == "host-codes",
        )
        return counted, usage_of(counted, info, self.acquisition)


def prepare(experiment: Experiment, device: Device, dataset: Dataset) -> Preparation:
    """Put an experiment, an open device and a dataset together.

    Raises:
        DeviceUnavailable: the device is not open.
        ConfigError: experiment and device do not fit each other.
    """
    if not hasattr(device, "info"):
        raise DeviceUnavailable("the device is not open; use it inside `async with`", uri=device.uri)
    training, info = experiment.training, device.info
    if experiment.cost is not None and device.own_cost is None:
        raise ConfigError(missing_cost(experiment.cost))
    if device.cost_function() is None:
        raise ConfigError(f"{device.uri} measures {info.cost_kind!r}; known costs are {', '.join(sorted(COSTS))}")
    notes: list[str] = []
    if training.update_period > training.probes:
        notes.append(
            f"the parameters will not move: {training.probes} probes are fewer than the {training.update_period}"
            " that an update takes"
        )
    if Capability.REPEATABLE in info.capabilities:
        notes.append(
            "this device computes in floating point: a run repeats bit for bit on this machine; on others, and at other"
            " levels of delegation, it agrees up to rounding, which grows along a trajectory"
        )
    elif Capability.DETERMINISTIC not in info.capabilities:
        notes.append("this device is not deterministic: a repeated run will not be bit-identical")
    if experiment.evaluation.stop_at_accuracy is not None and not dataset.has_classes:
        raise ConfigError(
            f"evaluation.stop_at_accuracy: the targets of dataset {dataset.name!r} are numbers to be met, no classes:"
            " outputs are not right or wrong; use evaluation.stop_at_cost"
        )
    notes += input_notes(info, dataset)
    rule, about = learning_rule(experiment, info, dataset.n_train)
    guarded = experiment.readings.outliers != "off"
    nodes = rule.codes.target is Target.NODES
    if nodes and guarded:
        raise ConfigError('readings.outliers: of no use where nodes are perturbed; use readings.outliers = "off"')
    level = choose_level(
        experiment.run.level, device, by_layer=bool(rule.codes.amplitudes), guarded=guarded, nodes=nodes
    )
    notes += _reading_notes(experiment, info, level)
    if rule.codes.amplitudes:
        if level == "host-codes" and Capability.PROBE in info.capabilities and experiment.run.level == "auto":
            notes.append("the host makes the codes: this device's own generator has one Δ for all layers")
        notes.append(f"Δ by layer: {', '.join(f'{delta:g}' for delta in deltas_of(experiment, info))}")
    if level == "host-codes" and not info.exact_writes:
        notes.append(
            "writes to this device are not exact, and host codes write every probe: expect another training than with"
            " its own codes, not the same one"
        )
    acquisition = acquisition_of(experiment, info, host_codes=level == "host-codes")
    delta = rule.codes.amplitude * code_lsb(experiment, info)
    return Preparation(rule, level, delta, (*notes, *about), acquisition)


def _reading_notes(experiment: Experiment, info: DeviceInfo, level: str) -> list[str]:
    """What the user should know about `experiment.readings`."""
    readings, notes = experiment.readings, []
    if readings.outliers != "off" and Capability.LEARN in info.capabilities and experiment.run.level == "auto":
        notes.append(
            f"readings.outliers = {readings.outliers}: the host looks at every probe, so this device does not learn by"
            f" itself (level {level})"
        )
    given = [key for key in ("settling", "average") if getattr(readings, key) is not None]
    if given and level != "host-codes":
        notes.append(
            f"readings.{' and readings.'.join(given)}: not used for probes, which this device measures by itself at"
            f" level {level}; run.level = host-codes uses them"
        )
    return notes


def choose_level(
    wanted: str, device: Device, *, by_layer: bool = False, guarded: bool = False, nodes: bool = False
) -> str:
    """The highest level that an open device has, or the one wanted. Raises ConfigError if it hasn't that.

    Args:
        wanted: `run.level`.
        device: open.
        by_layer: whether each layer has a Δ of its own, which not every code generator can.
        guarded: whether the host looks for outliers, so that the device cannot learn by itself.
        nodes: whether nodes are perturbed, which the host cannot do.
    """
    capabilities = device.info.capabilities
    if nodes and wanted == "host-codes":
        raise ConfigError(
            "run.level: host codes perturb parameters, not nodes; use level auto, device-codes or learn, or"
            ' codes.target = "weights"'
        )
    if device.info.linked_limits and wanted == "learn":  # its own updates would not keep them
        raise ConfigError(
            f"run.level: {device.uri} has limits on several parameters together"
            f" ({', '.join(repr(limit.name) for limit in device.info.linked_limits)}), which the host keeps; use"
            " level auto, device-codes or host-codes"
        )
    if guarded and wanted == "learn":
        raise ConfigError(
            "readings.outliers: a device that learns by itself shows the host no probe; use run.level = device-codes or"
            ' host-codes, or readings.outliers = "off"'
        )
    if guarded or device.info.linked_limits:
        capabilities &= ~Capability.LEARN
    if by_layer and Capability.AMPLITUDES not in capabilities:
        if wanted in ("device-codes", "learn") or not isinstance(device, HostCodes):
            host = ", or run.level=host-codes" if isinstance(device, HostCodes) else ""
            raise ConfigError(
                f"codes.delta: the code generator of {device.uri} has one Δ for all layers; expected one number{host}"
            )
        return "host-codes"
    if wanted == "auto" and Capability.LEARN in capabilities:
        return "learn"
    if wanted == "auto":
        return "device-codes" if Capability.PROBE in capabilities else "host-codes"
    if wanted == "device-codes" and Capability.PROBE not in capabilities:
        raise ConfigError(f"{device.uri} has no code generator; use level host-codes")
    if wanted == "learn" and Capability.LEARN not in capabilities:
        raise ConfigError(f"{device.uri} cannot learn by itself; use level device-codes or host-codes")
    if wanted == "host-codes" and not isinstance(device, HostCodes):
        raise ConfigError(f"{device.uri} takes no single measurements; use level device-codes")
    return wanted


def learning_rule(experiment: Experiment, info: DeviceInfo, n_train: int) -> tuple[LearningRule, list[str]]:
    """All that decides how costs become parameters, and what the user should know about it.

    Args:
        experiment: what to do.
        info: of the open device.
        n_train: number of training samples.

    Raises:
        ConfigError: the perturbation is smaller than a step of the device's parameters, or leaves no room; there are
            not as many as layers; the high-pass of continuous mode leaves too little of it.
    """
    training, section = experiment.training, experiment.codes
    target = Target(section.target)
    amplitudes, notes = amplitudes_of(experiment, info)
    amplitude, uniform = max(amplitudes), len(set(amplitudes)) == 1
    swing = 0 if target is Target.NODES else amplitude
    low, high = guard_band(info, swing)
    spec = CodeSpec(
        section.family,
        experiment.seed,
        amplitude,
        section.groups,
        tuple(section.parameters.values()),
        () if uniform else amplitudes,
        target,
    )
    codes, continuous = Codes(spec, info.topology), training.mode == "continuous"
    if not continuous and training.normalise == "oripov":
        notes += _unequal_turns(training.tau_theta, len(codes.groups))
    rule = LearningRule(
        codes=spec,
        order=SampleOrder(experiment.seed, n_train, training.batch, training.tau_x),
        baseline=training.block_baseline,
        continuous=continuous,
        update_period=training.update_period,
        tau_theta=training.tau_theta,
        tau_hp=training.tau_hp,
        normalise=training.normalise,
        optimizer=experiment.optimizer.build(),
        eta=experiment.optimizer.eta,
        schedule=experiment.schedule.build(),
        updates=training.probes // training.update_period,
        stochastic=training.rounding == "stochastic",
        grid=ParameterGrid(info.theta_min, info.theta_max, info.theta_lsb),
        low=low,
        high=high,
        cost_lsb=info.cost_lsb,
        seed=experiment.seed,
        filter_weight=filter_weight(codes, training.tau_hp, info.theta_lsb) if continuous else None,
        constraint=linked_constraint(info, swing, stochastic=training.rounding == "stochastic"),
        nodes=None if swing else NodeUnits.of(info.topology, float(info.node_lsb or 0), info.signal_lsb),
    )
    return rule, notes


def first_state(
    experiment: Experiment,
    info: DeviceInfo,
    rule: LearningRule,
    dataset: Dataset,
    theta_actual: NDArray[np.float64] | None = None,
) -> TrainState:
    """The state before the first probe.

    Args:
        experiment, info, rule, dataset: what is trained, and how.
        theta_actual: (P,) what the hardware holds, where the experiment begins with that.
    """
    amplitude = rule.codes.parameter_swing
    constraint = linked_constraint(info, amplitude, stochastic=rule.stochastic)
    theta = allowed(info, amplitude, initial(experiment, info, theta_actual), constraint)
    return TrainState(
        step=0,
        update=0,
        theta=theta,
        optimizer=rule.optimizer.init(info.n_parameters),
        window=Window.empty(info.n_parameters),
        filters=FilterState.empty(info.n_parameters),
        held=None,
        evaluations=0,
        digest_state=digest.begin(experiment.decisive(), dataset.digest),
    )


def _unequal_turns(tau_theta: int, groups: int) -> list[str]:
    """What the user should know where layers take turns, and an update is not a whole number of rounds."""
    if tau_theta % groups == 0:
        return []
    below = tau_theta // groups * groups
    near = f"{below} and {below + groups} give" if below else f"{groups} gives"
    return [
        f"training.tau_theta = {tau_theta} is no multiple of the {groups} layers that take turns: for each update"
        " some are perturbed once more than others, and normalise = oripov divides all by the same number;"
        f" {near} them equal weight"
    ]
