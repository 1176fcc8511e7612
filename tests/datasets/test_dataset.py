"""The Dataset itself: validation, immutability, values, digest."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest

from mgdhw.datasets import Dataset, one_hot
from mgdhw.errors import DatasetError

INPUTS = np.array([[0, 255], [51, 102], [153, 204]], dtype=np.uint8)
TARGETS = np.array([[0.0], [1.0], [0.5]])


def make(**changes: Any) -> Dataset:
    arguments: dict[str, Any] = {
        "name": "mine",
        "inputs": INPUTS,
        "input_scale": 1 / 255,
        "targets": TARGETS,
        "n_train": 2,
    }
    return Dataset(**{**arguments, **changes})


def test_sizes() -> None:
    dataset = make()
    assert (dataset.n_samples, dataset.n_train, dataset.n_test) == (3, 2, 1)
    assert (dataset.n_inputs, dataset.n_outputs) == (2, 1)


def test_bytes_stay_bytes_and_all_else_becomes_float64() -> None:
    assert make().inputs.dtype == np.uint8
    for dtype in (np.int64, np.float32, ">f8", np.bool_):
        assert make(inputs=INPUTS.astype(dtype)).inputs.dtype == np.dtype(np.float64)
    assert make(targets=TARGETS > 0).targets.dtype == np.float64


def test_values_are_in_natural_units_and_only_those_asked_for() -> None:
    dataset = make()
    values = dataset.values([2, 0, 2])
    assert values.dtype == np.float64
    np.testing.assert_array_equal(values, INPUTS[[2, 0, 2]].astype(np.float64) * (1 / 255))
    as_array = dataset.values(np.array([1], dtype=np.uint32))
    np.testing.assert_array_equal(as_array, [[51 * (1 / 255), 102 * (1 / 255)]])
    assert dataset.values([]).shape == (0, 2)
    with pytest.raises(IndexError):
        dataset.values([3])


def test_nothing_can_be_changed_afterwards() -> None:
    inputs, targets = INPUTS.copy(), TARGETS.copy()
    dataset = make(inputs=inputs, targets=targets)
    digest = dataset.digest
    for array in (dataset.inputs, dataset.targets):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 1
    with pytest.raises(FrozenInstanceError):
        dataset.n_train = 1  # type: ignore[misc]
    inputs[:], targets[:] = 7, 0.7  # the caller's arrays are the caller's
    assert make(inputs=dataset.inputs, targets=dataset.targets).digest == digest
    np.testing.assert_array_equal(dataset.inputs, INPUTS)


def test_a_read_only_array_is_not_copied() -> None:
    inputs = INPUTS.copy()
    inputs.setflags(write=False)
    assert np.shares_memory(make(inputs=inputs).inputs, inputs)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": np.zeros((3, 2, 2))}, r"inputs must be \(samples, numbers\)"),
        ({"inputs": np.zeros((0, 2))}, "inputs must be"),
        ({"inputs": np.array([["a"], ["b"], ["c"]])}, "must be numbers"),
        ({"inputs": np.full((3, 2), 1j)}, "must be numbers"),
        ({"inputs": np.zeros((2, 2))}, "2 inputs but 3 targets"),
        ({"inputs": np.array([[0.0], [np.nan], [0.0]])}, "finite"),
        ({"inputs": np.array([[0.0], [np.inf], [0.0]])}, "finite numbers; 1 of 3 .* first in sample 1 .* drop such"),
        ({"inputs": np.full((3, 2), 1e200), "input_scale": 1e200}, "finite"),
        ({"input_scale": 0.0}, "input_scale"),
        ({"input_scale": float("nan")}, "input_scale"),
        ({"targets": np.zeros(3)}, "targets must be"),
        ({"targets": np.array([[0.0], [1.5], [0.0]])}, r"targets must lie in \[0, 1\]"),
        ({"targets": np.array([[0.0], [np.nan], [0.0]])}, "targets must be finite numbers; 1 of 3 .* in sample 1 "),
        ({"n_train": 0}, r"n_train must be in 1\.\.3"),
        ({"n_train": 4}, r"n_train must be in 1\.\.3"),
        ({"classes": ("a", "b")}, "2 class names for 1 outputs"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        make(**changes)


def test_digest_is_pinned() -> None:
    """This very value on every platform and for ever: run folders and checkpoints compare it."""
    assert make().digest == "0d679ee5b5ee391d77f4d2ac0a83b92240fd6ca1f58dd64ab634a7c083abe295"
    assert (
        make(inputs=INPUTS / 255, input_scale=1.0).digest
        == "bca0eef6ef55492224aef93747e0ccb09d20ceb9cca8ab580cd0499ce46b2252"
    )


def test_digest_does_not_depend_on_names_or_on_how_the_arrays_lay() -> None:
    dataset = make()
    assert replace(dataset, name="other", classes=("only",)).digest == dataset.digest
    assert make(inputs=np.asfortranarray(INPUTS)).digest == dataset.digest
    assert make(targets=TARGETS.astype(">f8")).digest == dataset.digest
    assert make(targets=TARGETS.astype(np.float32)).digest == dataset.digest


@pytest.mark.parametrize(
    "changes",
    [
        {"inputs": INPUTS ^ np.uint8(1)},
        {"inputs": INPUTS.astype(np.float64)},
        {"inputs": INPUTS[::-1]},
        {"input_scale": 1 / 256},
        {"targets": TARGETS / 2},
        {"targets": np.hstack([TARGETS, TARGETS])},
        {"n_train": 3},
    ],
)
def test_digest_depends_on_all_content(changes: dict[str, Any]) -> None:
    assert make(**changes).digest != make().digest


def test_one_hot() -> None:
    np.testing.assert_array_equal(one_hot(np.array([1, 0], dtype=np.uint8), 3), [[0, 1, 0], [1, 0, 0]])
    for labels in ([0, 3], [-1, 0]):
        with pytest.raises(DatasetError, match=r"labels must be in 0\.\.2"):
            one_hot(np.array(labels), 3)


def test_import_is_light() -> None:
    heavy = ("pooch", "requests", "http", "gzip", "zipfile", "hashlib", "importlib.resources")
    code = f"import sys, mgdhw.datasets; print([name for name in {heavy!r} if name in sys.modules])"
    before = "import sys, numpy, inspect, dataclasses, pathlib; "
    already = subprocess.run(
        [sys.executable, "-c", before + f"print([name for name in {heavy!r} if name in sys.modules])"],
        capture_output=True,
        text=True,
        check=True,
    )
    ours = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ours.stdout == already.stdout  # an editable install or a coverage tool may load some by itself
