"""The C core as a shared library, behind the names of the Python reference, for comparing the two."""

from __future__ import annotations

import copy
import ctypes as c
import math
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.block import Baseline, Block, CodeSpec, Costs, HeldBaseline
from mgdhw.datasets import Dataset
from mgdhw.learning.gradient import FilterState, Window
from mgdhw.learning.loop import Recipe, Step
from mgdhw.learning.schedule import Progress, rate
from mgdhw.learning.segment import Segment, SegmentResult
from mgdhw.learning.state import TrainState
from mgdhw.random.sample_order import SampleOrder
from mgdhw_drivers.protocol import cells as link_cells
from mgdhw_drivers.protocol import segments
from mgdhw_drivers.protocol.blocks import parameter_of
from mgdhw_drivers.protocol.numbers import FAMILY_NUMBERS, OPTIMIZER_NUMBERS
from mgdhw_sim.nonidealities import Effects
from mgdhw_sim.spec import ChipSpec

FIRMWARE = Path(__file__).parents[2] / "drivers" / "mgdhw_drivers" / "firmware"

ACTIVATIONS = ("logistic", "tanh", "relu", "identity")
COSTS = ("mse", "xent")
BASELINES = (Baseline.HELD, Baseline.EVERY, Baseline.ANTITHETIC, Baseline.NONE)
NORMALISATIONS = ("energy", "oripov")
MAX_SIZES = 17
MOST_NONIDEALITIES = 56
STATUS = ("ok", "bad chip", "no memory", "bad block", "out of range", "no sample", "bad recipe", "bad limits")


class CoreError(Exception):
    """A status other than OK."""


def build(folder: Path, *targets: str, sanitize: bool = False) -> None:
    """Make targets of the firmware into a folder. Raises CalledProcessError with the compiler's words."""
    options = ["SANITIZE=1"] if sanitize else []
    done = subprocess.run(
        ["make", "-s", "-C", FIRMWARE, f"BUILD={folder}", *options, *targets],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


class Arena(c.Structure):
    _fields_ = (("start", c.c_void_p), ("size", c.c_size_t), ("used", c.c_size_t))


class EffectsC(c.Structure):
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
        ("effects", c.POINTER(EffectsC)),
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


class RecipeC(c.Structure):
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
        effects = EffectsC(seed=chip.seed)
        for i, field in enumerate(fields(Effects)):
            effects.strength[i] = float(getattr(chip.effects, field.name))
        spec.effects = c.pointer(effects)
    return spec


def codes_of(codes: CodeSpec) -> CodeSpecC:
    number = FAMILY_NUMBERS[codes.family]
    return CodeSpecC(codes.seed, parameter_of(codes), number, codes.amplitude, int(codes.groups == "layer"))


def order_of(order: SampleOrder) -> OrderC:
    return OrderC(order.seed, order.n, order.batch, order.tau_x)


def held_of(held: HeldBaseline | None) -> HeldC:
    return HeldC(0, 0, 0) if held is None else HeldC(int(held.value), held.step, 1)


def recipe_of(recipe: Recipe) -> RecipeC:
    optimizer = recipe.optimizer
    return RecipeC(
        codes=codes_of(recipe.codes),
        order=order_of(recipe.order),
        optimizer=OptimizerC(
            (c.c_double * segments.N_CONSTANTS)(*segments.constants_of(optimizer)), OPTIMIZER_NUMBERS[optimizer.name]
        ),
        update_period=recipe.update_period,
        rounding_seed=recipe.seed,
        scale=recipe.scale,
        eta=recipe.eta,
        tau_theta=recipe.tau_theta,
        tau_hp=recipe.tau_hp,
        low=float(recipe.low),
        high=float(recipe.high),
        baseline=BASELINES.index(recipe.baseline),
        continuous=recipe.continuous,
        normalise=NORMALISATIONS.index(recipe.normalise),
        stochastic=recipe.stochastic,
    )


class Core:
    """The library, loaded."""

    def __init__(self, library: Path) -> None:
        self.lib = c.CDLL(str(library))
        self.lib.mg_course_go_on.argtypes = (c.c_void_p, c.c_uint64, c.c_void_p)
        self.lib.mg_motion_step.argtypes = (c.c_void_p, c.c_void_p, c.c_uint64)
        self.lib.mg_outputs.restype = c.POINTER(c.c_int32)
        self.lib.mg_outputs.argtypes = (c.c_void_p, c.c_uint32, c.c_uint64)
        self.lib.mg_measured_cost.restype = c.c_int64
        self.lib.mg_measured_cost.argtypes = (c.c_void_p, c.c_uint32, c.c_uint64, c.c_uint32, c.c_uint32)
        self.lib.mg_cells_size.restype = c.c_uint32
        self.lib.mg_root_of_integers.restype = c.c_double
        self.lib.mg_root_of_integers.argtypes = (c.c_double,)
        self.lib.mg_chip_stored.restype = c.c_void_p
        self.lib.mg_learn_some.argtypes = (c.c_void_p, c.c_uint64)
        self.lib.mg_chip_input_code.argtypes = (c.c_void_p, c.c_double)
        self.lib.mg_chip_target_code.argtypes = (c.c_double,)
        self.lib.mg_chip_parameter_code.argtypes = (c.c_void_p, c.c_double)
        self.sine = (c.c_int16 * 1025)()
        self.lib.mg_sine_table(self.sine)


def _check(status: int) -> None:
    if status:
        raise CoreError(STATUS[status])


def _at(address: int, kind: Any, count: int) -> NDArray[Any]:
    """Memory of the core as an array."""
    return np.ctypeslib.as_array(c.cast(address, c.POINTER(kind)), (count,))


STRUCT_BYTES = 8192  # more than any structure of the core that is only passed around here


class CoreChip:
    """A chip of the core, with the methods of `mgdhw_sim.reference.chip.Chip` and of an engine."""

    def __init__(self, core: Core, spec: ChipSpec, *, memory: int = 1 << 22, hardware: Hardware | None = None) -> None:
        self.core, self.spec, self.topology = core, spec, spec.topology
        self._memory = (c.c_uint64 * (memory // 8))()
        self.arena = Arena(c.addressof(self._memory), memory, 0)
        self._hardware = hardware  # the core keeps its address
        self.chip = (c.c_uint64 * (STRUCT_BYTES // 8))()
        self._course = (c.c_uint64 * (STRUCT_BYTES // 8))()
        self._learner = (c.c_uint64 * (STRUCT_BYTES // 8))()
        _check(
            core.lib.mg_chip_init(
                self.chip, c.byref(spec_of(spec)), c.byref(hardware) if hardware else None, c.byref(self.arena)
            )
        )
        self.state = StateC()
        p = self.topology.n_parameters
        _check(core.lib.mg_state_init(c.byref(self.state), p, 1, c.byref(self.arena)))
        self._code = (c.c_int16 * p)()
        self.codes = np.zeros(p, dtype=np.int16)

    def load(self, dataset: Dataset) -> None:
        lib = self.core.lib
        lib.mg_chip_take_samples(self.chip, c.byref(self.arena), dataset.n_samples)
        for n in range(dataset.n_samples):
            for i, value in enumerate(dataset.values(np.array([n]))[0].tolist()):
                lib.mg_chip_set_input(self.chip, n, i, lib.mg_chip_input_code(self.chip, value))
            for j, value in enumerate(dataset.targets[n].tolist()):
                lib.mg_chip_set_target(self.chip, n, j, lib.mg_chip_target_code(value))
        lib.mg_chip_loaded(self.chip, dataset.n_samples)

    def parameter_codes(self, theta: Sequence[float]) -> NDArray[np.int16]:
        lib = self.core.lib
        return np.array([lib.mg_chip_parameter_code(self.chip, value) for value in theta], dtype=np.int16)

    def write(self, codes: NDArray[np.int16], step: int) -> None:
        """(P,) codes, before the probe of a step."""
        self.codes = np.ascontiguousarray(codes, dtype=np.int16)
        _check(self.core.lib.mg_motion_begin(self.chip, self.codes.ctypes.data_as(c.c_void_p)))
        assert self.core.lib.mg_motion_step(self.chip, self.codes.ctypes.data, step), "without limits it is one step"

    def infer(self, samples: NDArray[np.int64], step: int) -> NDArray[np.int64]:
        n_out, lib = self.spec.layers[-1], self.core.lib
        rows = [lib.mg_outputs(self.chip, n, step)[:n_out] for n in samples.tolist()]
        return np.array(rows, dtype=np.int64).reshape(samples.size, n_out)

    def measure(self, samples: NDArray[np.int64], step: int, part: int) -> int:
        """Cost codes of one evaluation, summed."""
        lib = self.core.lib
        return sum(lib.mg_measured_cost(self.chip, n, step, part, row) for row, n in enumerate(samples.tolist()))

    def cells(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """(P,) what the cells of an imperfect chip hold now, and their fine weights."""
        p = self.topology.n_parameters
        held, weights = (c.c_int64 * p)(), (c.c_int32 * p)()
        self.core.lib.mg_cells_read(self.chip, held, weights)
        return np.array(held), np.array(weights)

    def remembered(self) -> dict[str, NDArray[Any]]:
        """What the cells remember."""
        if self.spec.ideal:
            return {}
        packed = c.create_string_buffer(self.core.lib.mg_cells_size(self.chip))
        self.core.lib.mg_cells_pack(self.chip, packed)
        return link_cells.unpack(packed.raw)

    def restore(self, memory: Mapping[str, NDArray[Any]]) -> None:
        """Give that back to the cells; without anything they are as new."""
        if self.spec.ideal:
            return
        if not memory:
            self.core.lib.mg_cells_forget(self.chip)
            return
        packed = link_cells.pack(memory)
        assert self.core.lib.mg_cells_unpack(self.chip, packed, len(packed))

    def probe(self, block: Block) -> Costs:
        lib = self.core.lib
        _check(
            lib.mg_course_begin(
                self._course,
                self.chip,
                c.byref(codes_of(block.codes)),
                c.byref(order_of(block.order)),
                BASELINES.index(block.baseline),
                c.byref(held_of(block.held)),
                c.c_uint64(block.first_step),
                self.core.sine,
                self._code,
            )
        )
        answers = [CostsC() for _ in range(block.n_probes)]
        for step, answer in enumerate(answers, start=block.first_step):
            assert lib.mg_course_go_on(self._course, step, c.byref(answer)), "without limits nothing waits"
        held, evaluations = HeldC(), c.c_uint64()
        lib.mg_course_end(self._course, c.byref(held), c.byref(evaluations))
        return Costs(
            np.array([answer.perturbed for answer in answers], dtype=np.int64),
            np.array([answer.reference for answer in answers], dtype=np.int64),
            evaluations.value,
            HeldBaseline(held.value, held.step) if held.valid else None,
        )

    def _arrays(self) -> dict[str, NDArray[Any]]:
        p, s = self.topology.n_parameters, self.state
        return {
            "theta": _at(s.theta, c.c_double, p),
            "cross": _at(s.cross, c.c_int64, p),
            "energy": _at(s.energy, c.c_int64, p),
            "filtered": _at(s.filtered, c.c_double, p),
            "slots": [_at(slot, c.c_double, p) for slot in s.moments.slot],
        }

    def _put(self, state: TrainState) -> None:
        arrays, s = self._arrays(), self.state
        self.core.lib.mg_state_clear(c.byref(s), self.topology.n_parameters)
        s.step, s.update, s.evaluations, s.held = state.step, state.update, state.evaluations, held_of(state.held)
        arrays["theta"][:] = state.theta
        arrays["cross"][:] = state.window.cross
        arrays["energy"][:] = state.window.energy
        arrays["filtered"][:] = state.analog.gradient
        s.has_cost = state.analog.cost is not None
        s.cost, s.high_passed = state.analog.cost or 0.0, state.analog.high_passed
        own = list(state.optimizer.values())
        for slot, values in zip(arrays["slots"], (array for array in own if array.ndim), strict=False):
            slot[:] = values
        for i, value in enumerate(value for value in own if not value.ndim):
            s.moments.scalar[i] = float(value)

    def _get(self, before: TrainState) -> TrainState:
        arrays, s = copy.deepcopy(self._arrays()), self.state
        slots, scalars = iter(arrays["slots"]), iter(s.moments.scalar)
        optimizer = {
            name: next(slots) if array.ndim else np.asarray(next(scalars)) for name, array in before.optimizer.items()
        }
        return replace(
            before,
            step=s.step,
            update=s.update,
            evaluations=s.evaluations,
            theta=arrays["theta"],
            optimizer=optimizer,
            window=Window(arrays["cross"], arrays["energy"]),
            analog=FilterState(arrays["filtered"], s.cost if s.has_cost else None, s.high_passed),
            held=HeldBaseline(s.held.value, s.held.step) if s.held.valid else None,
            cells=self.remembered(),
        )

    def learn(self, segment: Segment) -> SegmentResult:
        """A segment, in one go; `codes` are what the chip holds after it."""
        lib = self.core.lib
        self._put(segment.state)
        self.restore(segment.state.cells)
        state, period = segment.state, segment.recipe.update_period
        updates = (state.step + segment.n_probes) // period - state.step // period
        rates = [
            segment.recipe.eta * rate(segment.recipe.schedule, Progress(state.update + n, segment.recipe.updates))
            for n in range(updates)
        ]
        etas = (c.c_double * max(1, updates))(*rates)
        recipe = recipe_of(segment.recipe)
        recipe.etas = c.addressof(etas)
        weight = segment.recipe.filter_weight
        if weight is not None:
            recipe.filter_weight = weight.ctypes.data
        _check(
            lib.mg_learn_begin(
                self._learner,
                self.chip,
                c.byref(recipe),
                c.byref(self.state),
                c.c_uint64(segment.n_probes),
                self.core.sine,
                self._code,
            )
        )
        _check(lib.mg_learn_some(self._learner, segment.n_probes))
        total, last = c.c_int64(), LastC()
        lib.mg_learn_end(self._learner, c.byref(total), c.byref(last))
        self.codes = _at(lib.mg_chip_stored(self.chip), c.c_int16, self.topology.n_parameters).copy()
        step = Step(last.eta, last.gradient_norm) if last.valid else None
        return SegmentResult(self._get(segment.state), total.value / segment.n_probes, step)


class LastC(c.Structure):
    _fields_ = (("eta", c.c_double), ("gradient_norm", c.c_double), ("valid", c.c_int32))
