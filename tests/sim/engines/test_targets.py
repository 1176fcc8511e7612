"""Whatever numba is told to compile for: the same bits, and no instruction that the target lacks."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache

import pytest

PROGRAM = """
import sys
import mgdhw

for layers, options, data, training, codes in [
    ("2-3-1", "", "xor", {}, {}),
    ("64-16-10", "", "digits", {"tau_x": 10}, {}),
    ("64-16-10", "", "digits", {"batch": 40, "baseline": "every"}, {"family": "rank1"}),
    ("64-16-10", "&weight_bits=12", "digits", {"batch": 40}, {"family": "walsh"}),
    ("49-4-4", "&cost_noise=0.01&read_noise=0.02&neuron_std=0.1&write_noise=0.01&stuck=0.05", "nist7x7", {}, {}),
    ("49-4-4", "&w_max=1&w_min=-1&dw_min=0.01&dw_min_std=0.3&retention=1000&drift_every=10", "nist7x7", {}, {}),
]:
    uri = f"sim:analog-8bit?layers={layers}{options}&engine={sys.argv[1]}"
    experiment = {
        "device": {"uri": uri}, "data": {"name": data}, "codes": codes,
        "training": {"probes": 60, "tau_theta": 10, **training},
    }
    print(mgdhw.train(experiment, runs=None).digest)
"""
TARGETS = [
    "NUMBA_CPU_NAME=haswell",  # AVX2
    "NUMBA_CPU_NAME=generic NUMBA_OPT=0 NUMBA_BOUNDSCHECK=1",  # no AVX; one compilation for it and for bounds
]


@cache
def digests(engine: str, variables: str = "") -> list[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, engine],
        env=os.environ | dict(pair.split("=") for pair in variables.split()),
        capture_output=True,
        text=True,
        check=False,
        timeout=3600,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.long
@pytest.mark.parametrize("variables", TARGETS)
def test_the_same_bits(variables: str) -> None:
    assert digests("numba", variables) == digests("reference")
