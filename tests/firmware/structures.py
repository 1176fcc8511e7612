"""The structures of the C core, and how they are filled in from Python's."""

from __future__ import annotations

import ctypes as c
import math
from dataclasses import fields

from mgdhw.block import Baseline, CodeSpec, HeldBaseline
from mgdhw.learning.rule import LearningRule
from mgdhw.random.sample_order import SampleOrder
from mgdhw_drivers.protocol import segments
from mgdhw_drivers.protocol.blocks import parameter_of
from mgdhw_drivers.protocol.numbers import FAMILY_NUMBERS, OPTIMIZER_NUMBERS
from mgdhw_sim.nonidealities import Nonidealities
from mgdhw_sim.spec import ChipSpec

ACTIVATIONS = ("logistic", "tanh", "relu", "identity")
COSTS = ("mse", "xent")
BASELINES = (Baseline.HELD, Baseline.EVERY, Baseline.ANTITHETIC, Baseline.NONE)
NORMALISATIONS = ("energy", "oripov")
MAX_SIZES = 17


MOST_NONIDEALITIES = 56


class Arena(c.Structure):
    _fields_ = (("start", c.c_void_p), ("size", c.c_size_t), ("used", c.c_size_t))


class NonidealitiesC(c.Structure):
    _fields_ = (("seed", c.c_uint64), ("strength", c.c_double * MOST_NONIDEALITIES))


class Spec(c.Structure):
    _fields_ = (
        ("n_sizes", c.c_int32),
        ("sizes", c.c_int32 * MAX_SIZES),
        *(
            (name, c.c_int32)
            for name in (
                "activation",
                "output_activation",
                "weight_bits",
                "weight_log2",
                "input_bits",
                "input_bipolar",
                "signal_bits",
                "signal_log2",
                "lut_bits",
                "output_bits",
                "cost",
                "cost_bits",
                "cost_log2",
            )
        ),
        ("nonidealities", c.POINTER(NonidealitiesC)),
    )


class Hardware(c.Structure):
    _fields_ = (
        ("self", c.c_void_p),
        ("set_parameter", c.CFUNCTYPE(None, c.c_void_p, c.c_uint32, c.c_int32)),
        ("apply_input", c.CFUNCTYPE(None, c.c_void_p, c.c_uint32, c.c_int32)),
        ("trigger", c.CFUNCTYPE(None, c.c_void_p)),
        ("read_output", c.CFUNCTYPE(c.c_int32, c.c_void_p, c.c_uint32)),
    )


class CodeSpecC(c.Structure):
    _fields_ = (
        ("seed", c.c_uint64),
        ("parameter", c.c_double),
        ("family", c.c_int32),
        ("amplitude", c.c_int32),
        ("by_layer", c.c_int32),
    )


class OrderC(c.Structure):
    _fields_ = (("seed", c.c_uint64), ("n", c.c_uint32), ("batch", c.c_uint32), ("tau_x", c.c_uint32))


class HeldC(c.Structure):
    _fields_ = (("value", c.c_int64), ("step", c.c_uint64), ("valid", c.c_int32))


class CostsC(c.Structure):
    _fields_ = (("perturbed", c.c_int64), ("reference", c.c_int64), ("measured", c.c_int32))


class OptimizerC(c.Structure):
    _fields_ = (
        ("constant", c.c_double * segments.N_CONSTANTS),
        ("number", c.c_int32),
    )


class RuleC(c.Structure):
    _fields_ = (
        ("codes", CodeSpecC),
        ("order", OrderC),
        ("optimizer", OptimizerC),
        ("update_period", c.c_uint64),
        ("rounding_seed", c.c_uint64),
        ("scale", c.c_double),
        ("eta", c.c_double),
        ("etas", c.c_void_p),
        ("tau_theta", c.c_double),
        ("tau_hp", c.c_double),
        ("filter_weight", c.c_void_p),
        ("low", c.c_double),
        ("high", c.c_double),
        ("baseline", c.c_int32),
        ("continuous", c.c_int32),
        ("normalise", c.c_int32),
        ("stochastic", c.c_int32),
    )


class MomentsC(c.Structure):
    _fields_ = (
        ("slot", c.c_void_p * segments.N_SCALARS),
        ("scalar", c.c_double * segments.N_SCALARS),
    )


class StateC(c.Structure):
    _fields_ = (
        ("theta", c.c_void_p),
        ("cross", c.c_void_p),
        ("energy", c.c_void_p),
        ("filtered", c.c_void_p),
        ("moments", MomentsC),
        ("step", c.c_uint64),
        ("update", c.c_uint64),
        ("evaluations", c.c_uint64),
        ("held", HeldC),
        ("cost", c.c_double),
        ("high_passed", c.c_double),
        ("has_cost", c.c_int32),
    )


def _log2(power: float) -> int:
    return round(math.log2(power))


def spec_of(chip: ChipSpec) -> Spec:
    spec = Spec(
        n_sizes=len(chip.layers),
        activation=ACTIVATIONS.index(chip.activation),
        output_activation=ACTIVATIONS.index(chip.output_activation),
        weight_bits=chip.weight_bits,
        weight_log2=_log2(chip.weight_range),
        input_bits=chip.input_bits,
        input_bipolar=chip.input_bipolar,
        signal_bits=chip.signal_bits,
        signal_log2=_log2(chip.signal_range),
        lut_bits=chip.lut_bits,
        output_bits=chip.output_bits,
        cost=COSTS.index(chip.cost),
        cost_bits=chip.cost_bits,
        cost_log2=_log2(chip.cost_range),
    )
    spec.sizes[: len(chip.layers)] = chip.layers
    if not chip.ideal:
        nonidealities = NonidealitiesC(seed=chip.seed)
        for i, field in enumerate(fields(Nonidealities)):
            nonidealities.strength[i] = float(getattr(chip.nonidealities, field.name))
        spec.nonidealities = c.pointer(nonidealities)
    return spec


def codes_of(codes: CodeSpec) -> CodeSpecC:
    number = FAMILY_NUMBERS[codes.family]
    return CodeSpecC(codes.seed, parameter_of(codes), number, codes.amplitude, int(codes.groups == "layer"))


def order_of(order: SampleOrder) -> OrderC:
    return OrderC(order.seed, order.n, order.batch, order.tau_x)


def held_of(held: HeldBaseline | None) -> HeldC:
    return HeldC(0, 0, 0) if held is None else HeldC(int(held.value), held.step, 1)


def rule_of(rule: LearningRule) -> RuleC:
    optimizer = rule.optimizer
    return RuleC(
        codes=codes_of(rule.codes),
        order=order_of(rule.order),
        optimizer=OptimizerC(
            (c.c_double * segments.N_CONSTANTS)(*segments.constants_of(optimizer)), OPTIMIZER_NUMBERS[optimizer.name]
        ),
        update_period=rule.update_period,
        rounding_seed=rule.seed,
        scale=rule.scale,
        eta=rule.eta,
        tau_theta=rule.tau_theta,
        tau_hp=rule.tau_hp,
        low=float(rule.low),
        high=float(rule.high),
        baseline=BASELINES.index(rule.baseline),
        continuous=rule.continuous,
        normalise=NORMALISATIONS.index(rule.normalise),
        stochastic=rule.stochastic,
    )


class LastC(c.Structure):
    _fields_ = (("eta", c.c_double), ("gradient_norm", c.c_double), ("valid", c.c_int32))
