"""The C core as a shared library, behind the names of the Python reference, for comparing the two."""

from __future__ import annotations

import copy
import ctypes as c
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mgdhw.block import Block, Costs, HeldBaseline
from mgdhw.datasets import Dataset
from mgdhw.learning.filters import FilterState
from mgdhw.learning.gradient import Window
from mgdhw.learning.rule import UpdateInfo
from mgdhw.learning.schedule import Progress, rate
from mgdhw.learning.segment import Segment, SegmentResult
from mgdhw.learning.state import TrainState
from mgdhw_drivers.protocol import cells as link_cells
from mgdhw_sim.spec import ChipSpec
from tests.firmware.structures import (
    BASELINES,
    Arena,
    CostsC,
    Hardware,
    HeldC,
    LastC,
    StateC,
    codes_of,
    held_of,
    order_of,
    rule_of,
    spec_of,
)
from tests.helpers.paths import ROOT

FIRMWARE = ROOT / "drivers" / "mgdhw_drivers" / "firmware"
STATUS = ("ok", "bad chip", "no memory", "bad block", "out of range", "no sample", "bad rule", "bad limits")


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
        """(P,) what the cells of a nonideal chip hold now, and their fine weights."""
        p = self.topology.n_parameters
        held, weights = (c.c_int64 * p)(), (c.c_int32 * p)()
        self.core.lib.mg_cells_read(self.chip, held, weights)
        return np.array(held), np.array(weights)

    def cell_state(self) -> dict[str, NDArray[Any]]:
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
        arrays["filtered"][:] = state.filters.gradient
        s.has_cost = state.filters.cost is not None
        s.cost, s.high_passed = state.filters.cost or 0.0, state.filters.high_passed
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
            filters=FilterState(arrays["filtered"], s.cost if s.has_cost else None, s.high_passed),
            held=HeldBaseline(s.held.value, s.held.step) if s.held.valid else None,
            cells=self.cell_state(),
        )

    def learn(self, segment: Segment) -> SegmentResult:
        """A segment, in one go; `codes` are what the chip holds after it."""
        lib = self.core.lib
        self._put(segment.state)
        self.restore(segment.state.cells)
        state, period = segment.state, segment.rule.update_period
        updates = (state.step + segment.n_probes) // period - state.step // period
        rates = [
            segment.rule.eta * rate(segment.rule.schedule, Progress(state.update + n, segment.rule.updates))
            for n in range(updates)
        ]
        etas = (c.c_double * max(1, updates))(*rates)
        rule = rule_of(segment.rule)
        rule.etas = c.addressof(etas)
        weight = segment.rule.filter_weight
        if weight is not None:
            rule.filter_weight = weight.ctypes.data
        _check(
            lib.mg_learn_begin(
                self._learner,
                self.chip,
                c.byref(rule),
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
        step = UpdateInfo(last.eta, last.gradient_norm) if last.valid else None
        return SegmentResult(self._get(segment.state), total.value / segment.n_probes, step)
