"""Golden vectors: their files, what a case asks of a chip, and what an engine answers. README.md has the format."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from mgdhw.block import Baseline, Block, CodeSpec, HeldBaseline
from mgdhw.codes import FAMILIES
from mgdhw.datasets import Dataset
from mgdhw.learning.filters import FilterState
from mgdhw.learning.gradient import Window
from mgdhw.learning.rule import LearningRule, ParameterGrid
from mgdhw.learning.schedule import ScheduleSpec
from mgdhw.learning.segment import Segment
from mgdhw.learning.state import TrainState
from mgdhw.optimizers import OPTIMIZERS
from mgdhw.random.sample_order import SampleOrder
from mgdhw_sim.engines import Engine
from mgdhw_sim.nonidealities import Nonidealities
from mgdhw_sim.reference import cells
from mgdhw_sim.reference.chip import Chip
from mgdhw_sim.spec import ChipSpec

FOLDER = Path(__file__).parent
FORMAT = 1
Case = dict[str, Any]


# --- files


def groups() -> dict[str, list[Case]]:
    """The cases of every file, by its name.

    Raises:
        ValueError: a file of another format.
    """
    found = {}
    for path in sorted(FOLDER.glob("*.json")):
        content = json.loads(path.read_text())
        if content["format"] != FORMAT:
            raise ValueError(f"{path}: format {content['format']}, expected {FORMAT}")
        found[path.stem] = content["cases"]
    return found


def text(cases: list[Case]) -> str:
    """A file: one line for each thing that a case says, so that a difference is a few lines."""
    written = ",\n".join("    {\n" + _lines(case, 6) + "\n    }" for case in cases)
    return f'{{\n  "format": {FORMAT},\n  "cases": [\n{written}\n  ]\n}}\n'


def _lines(table: Case, indent: int) -> str:
    lines = []
    for key, value in table.items():
        if isinstance(value, dict) and key in ("request", "expected", "chip"):
            inner = _lines(value, indent + 2)
            lines.append(f'{" " * indent}"{key}": {{\n{inner}\n{" " * indent}}}')
        else:
            lines.append(f'{" " * indent}"{key}": {json.dumps(value)}')
    return ",\n".join(lines)


# --- what a case asks


def spec_of(case: Case) -> ChipSpec:
    chip = dict(case["chip"])
    nonidealities = Nonidealities(**chip.pop("effects"))
    return ChipSpec(**{**chip, "layers": tuple(chip["layers"])}, nonidealities=nonidealities)


def dataset_of(case: Case, spec: ChipSpec) -> Dataset:
    """Samples whose values are exactly those of the codes."""
    inputs = np.array(case["inputs"]) * 2.0**-spec.input_fraction_bits
    targets = np.array(case["targets"]) * 2.0**-12
    return Dataset("golden", inputs, 1.0, targets, len(inputs))


def block_of(case: Case, samples: int) -> Block:
    asked = case["request"]
    held = None if asked.get("held") is None else HeldBaseline(asked["held"]["value"], asked["held"]["step"])
    return Block(
        asked["first_step"],
        asked["probes"],
        codes_of(asked),
        order_of(asked, samples),
        Baseline(asked["baseline"]),
        held,
    )


def codes_of(asked: Case) -> CodeSpec:
    parameters = tuple(asked[field.name] for field in fields(FAMILIES[asked["family"]]))
    return CodeSpec(*(asked[name] for name in ("family", "code_seed", "amplitude", "groups")), parameters)


def order_of(asked: Case, samples: int) -> SampleOrder:
    return SampleOrder(asked["order_seed"], samples, asked["batch"], asked["tau_x"])


def rule_of(case: Case, spec: ChipSpec, samples: int) -> LearningRule:
    asked = case["request"]
    room, lsb = asked["amplitude"] * spec.weight_lsb, spec.weight_lsb
    return LearningRule(
        codes=codes_of(asked),
        order=order_of(asked, samples),
        baseline=Baseline(asked["baseline"]),
        continuous=False,
        update_period=asked["update_period"],
        tau_theta=asked["update_period"],
        tau_hp=10.0,
        normalise="energy",
        optimizer=OPTIMIZERS[asked["optimizer"]](),
        eta=asked["eta"],
        schedule=ScheduleSpec(asked["schedule"]),
        updates=asked["updates"],
        stochastic=False,
        grid=ParameterGrid(-spec.weight_range, spec.weight_range - lsb, lsb),
        low=np.asarray(room - spec.weight_range),
        high=np.asarray(spec.weight_range - lsb - room),
        cost_lsb=spec.cost_lsb,
        seed=0,
    )


def segment_of(case: Case, spec: ChipSpec, samples: int) -> Segment:
    rule = rule_of(case, spec, samples)
    theta = np.array([float.fromhex(value) for value in case["request"]["theta"]])
    state = TrainState(
        step=0,
        update=0,
        theta=theta,
        optimizer=rule.optimizer.init(theta.size),
        window=Window.empty(theta.size),
        filters=FilterState.empty(theta.size),
        held=None,
        evaluations=0,
        digest_state=b"\0" * 32,
    )
    return Segment(state, rule, case["request"]["probes"])


# --- what a chip answers


def declined(case: Case, engine: Engine) -> str | None:
    """Why an engine leaves a case to the reference; None if it does not."""
    spec, samples = spec_of(case), len(case["inputs"])
    work = segment_of(case, spec, samples) if case["kind"] == "segment" else block_of(case, samples)
    return engine.unsupported_reason(Chip(spec), work)


def looked_at(case: Case) -> int:
    """The step at which outputs are asked for: the one after the last probe, or the last write if that is later."""
    asked = case["request"]
    writes = [written["step"] for written in case.get("writes", ())]
    return max([asked.get("first_step", 0) + asked["probes"], *writes])


def answer(case: Case, engine: Engine) -> Case:
    """What is expected of a case, computed by an engine."""
    spec, samples = spec_of(case), len(case["inputs"])
    chip = Chip(spec)
    chip.load(dataset_of(case, spec))
    found = _trained(case, chip, engine) if case["kind"] == "segment" else _probed(case, chip, engine)
    if chip.cells is not None:
        tick = cells.tick(spec, chip.current_step)
        found["cells"] = cells.aged(spec, chip.cells, tick).tolist()
        found["weights"] = cells.weights(spec, chip.cells, tick).tolist()
        found["writes"] = chip.cells.wear.tolist()
    found["outputs"] = chip.infer(np.arange(samples), looked_at(case)).tolist()
    return found


def _probed(case: Case, chip: Chip, engine: Engine) -> Case:
    for written in case["writes"]:
        chip.write(np.array(written["codes"]) * chip.spec.weight_lsb, written["step"])
    block = block_of(case, len(case["inputs"]))
    costs = engine.probe(chip, block)
    chip.current_step = max(chip.current_step, block.first_step + block.n_probes)
    return {
        "perturbed": costs.perturbed.tolist(),
        "reference": costs.reference.tolist(),
        "evaluations": costs.evaluations,
        "held": None if costs.held is None else {"value": int(costs.held.value), "step": costs.held.step},
    }


def _trained(case: Case, chip: Chip, engine: Engine) -> Case:
    segment = segment_of(case, chip.spec, len(case["inputs"]))
    result = engine.learn(chip, segment)
    state = result.state
    return {
        "theta": [float(value).hex() for value in state.theta],
        "codes": chip.codes.tolist(),
        "cost": round(result.cost * segment.n_probes),
        "step": state.step,
        "updates": state.update,
        "evaluations": state.evaluations,
        "held": None if state.held is None else {"value": int(state.held.value), "step": state.held.step},
        "cross": state.window.cross.tolist(),
        "energy": state.window.energy.tolist(),
        "optimizer": {
            name: [float(value).hex() for value in np.ravel(array)] for name, array in sorted(state.optimizer.items())
        },
    }


def differences(expected: Case, found: Case) -> list[str]:
    """Which of the expected things are not what was found."""
    return [name for name in {**expected, **found} if expected.get(name) != found.get(name)]
