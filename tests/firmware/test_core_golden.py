"""The C core gives every golden answer."""

import numpy as np
import pytest

from tests.golden import vectors

from .core import Core, CoreChip

CASES = [
    pytest.param(case, id=f"{group}: {case['name']}") for group, cases in vectors.groups().items() for case in cases
]


def answer(case: vectors.Case, core: Core) -> vectors.Case:
    """What is expected of a case, computed by the core."""
    spec, samples = vectors.spec_of(case), len(case["inputs"])
    chip = CoreChip(core, spec)
    chip.load(vectors.dataset_of(case, spec))
    if case["kind"] == "block":
        for written in case["writes"]:
            codes = chip.parameter_codes([code * spec.weight_lsb for code in written["codes"]])
            chip.write(codes, written["step"])
        costs = chip.probe(vectors.block_of(case, samples))
        held = costs.held
        found = {
            "perturbed": costs.perturbed.tolist(),
            "reference": costs.reference.tolist(),
            "evaluations": costs.evaluations,
        }
    else:
        segment = vectors.segment_of(case, spec, samples)
        result = chip.learn(segment)
        state, held = result.state, result.state.held
        found = {
            "theta": [float(value).hex() for value in state.theta],
            "codes": chip.codes.tolist(),
            "cost": round(result.cost * segment.n_probes),
            "step": state.step,
            "updates": state.update,
            "evaluations": state.evaluations,
            "cross": state.window.cross.tolist(),
            "energy": state.window.energy.tolist(),
            "optimizer": {
                name: [float(value).hex() for value in np.ravel(array)]
                for name, array in sorted(state.optimizer.items())
            },
        }
    found["held"] = None if held is None else {"value": int(held.value), "step": held.step}
    if not spec.ideal:
        held_cells, weights = chip.cells()
        found["cells"], found["weights"] = held_cells.tolist(), weights.tolist()
        found["writes"] = chip.cell_state()["wear"].tolist()
    found["outputs"] = chip.infer(np.arange(samples), vectors.looked_at(case)).tolist()
    return found


@pytest.mark.parametrize("case", CASES)
def test_golden_answers(core: Core, case: vectors.Case) -> None:
    assert vectors.differences(case["expected"], answer(case, core)) == []
