"""Proof of the noise: it has the distribution that its definition counts out, and no draw knows of another.

Draws are fixed, so a test passes always or never; `battery.FALSE_ALARM` is the chance that a perfect generator in the
place of this one would have failed a run. `pytest -m long tests/statistics` draws a hundred times as many.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from mgdhw.random import gaussian
from mgdhw.random.philox import Stream

from .battery import (
    Address,
    Finding,
    Generator,
    check_addresses,
    check_distribution,
    check_lags,
    check_pairs,
    check_uniformity,
    chi_square_p,
    gaussian_p,
    histogram,
    poisson_p,
    rejected,
)
from .generators import from_a_list, key_of_all_layers, one_scalar, ours

START = Address()
STREAMS = [Stream(number) for number in range(Stream.MISMATCH, Stream.TAIL)]


def addresses() -> Iterator[Address]:
    """That differ in one thing or in many, by one or by one bit or by much."""
    seeds, streams, steps = (0, 1, 1 << 32, START.seed), (Stream.WRITE, Stream.READ), (0, 1, 1 << 32)
    for seed, stream, step, layer, part in product(seeds, streams, steps, (0, 1, 255), (0, 1, 3)):
        yield Address(seed, stream, step, layer, part)


def pairs() -> list[tuple[str, Address, Address]]:
    """Addresses that differ in one thing."""
    others = {
        "next seed": replace(START, seed=START.seed + 1),
        "seed's high word": replace(START, seed=START.seed ^ (1 << 32)),
        "next step": replace(START, step=START.step + 1),
        "step's high word": replace(START, step=START.step + (1 << 32)),
        "next layer": replace(START, layer=1),
        "last layer": replace(START, layer=255),
        "next part": replace(START, part=1),
        "last part": replace(START, part=255),
    }
    streams = {f"stream {stream.name}": replace(START, stream=stream) for stream in STREAMS if stream != START.stream}
    return [(name, START, other) for name, other in (others | streams).items()]


def battery(generate: Generator, draws: int) -> list[Finding]:
    """Every test: `draws` for the distribution, a tenth of it for each kind of dependence."""
    few = draws // 10 // 1024 * 1024
    return [
        *check_distribution(histogram(generate, START, draws)),
        *check_addresses(generate, list(addresses()), max(1024, few // 256 * 8)),
        *check_lags(generate, START, few, 256, 64),
        *check_pairs(generate, pairs(), few),
    ]


# --- the noise --------------------------------------------------------------------------------------------------------


def test_the_noise_passes() -> None:
    """Ten million draws; a million at each lag and for each pair of addresses."""
    assert rejected(battery(ours, 10**7)) == set()


def test_a_hundred_million_draws_have_the_exact_distribution() -> None:
    """Moments, the tails at 3, 4 and 5 σ (where 57 draws are expected), and 50,000 groups of values."""
    findings = check_distribution(histogram(ours, replace(START, step=1 << 33), 10**8))
    assert {"beyond 3 sigma", "beyond 4 sigma", "beyond 5 sigma"} < {finding.test for finding in findings}
    assert rejected(findings) == set()


def test_fields_are_uniform() -> None:
    """Ten million, of every stream that noise is made of."""
    for stream in STREAMS:
        fields = gaussian.fields(START.seed, stream, np.arange(100), 10**7 // 100 // len(STREAMS), layer=1, substream=2)
        assert rejected(check_uniformity(fields.ravel())) == set()


@pytest.mark.long
def test_ten_thousand_million_draws_have_the_exact_distribution() -> None:
    """As far out as 6 σ, where twenty draws are expected."""
    findings = check_distribution(histogram(ours, replace(START, step=1 << 34), 10**10))
    assert "beyond 6 sigma" in {finding.test for finding in findings}
    assert rejected(findings) == set()


@pytest.mark.long
def test_the_noise_passes_with_a_hundred_million_draws() -> None:
    assert rejected(battery(ours, 10**8)) == set()


# --- the tests' own power ---------------------------------------------------------------------------------------------


def test_a_list_of_draws_is_rejected() -> None:
    """By its mean, by its tails, and by its values: it has 32,768."""
    assert rejected(battery(from_a_list, 10**6)) >= {"mean", "values"}


def test_a_key_for_all_layers_is_rejected() -> None:
    """Everything else about it is in order."""
    assert rejected(battery(key_of_all_layers, 10**6)) == {
        "draws at different addresses",
        "squares at different addresses",
        "pairs: next layer",
        "pairs: last layer",
    }


def test_one_scalar_for_all_parameters_is_rejected() -> None:
    assert rejected(battery(one_scalar, 10**6)) >= {"values", "draws at lags of indices", "pairs: lag 1"}


def test_p_values_are_those_of_the_tables() -> None:
    """1.96 and 3.29 standard deviations; χ² of 100 degrees of freedom; a Poisson distribution counted out by hand."""
    assert gaussian_p(1.959964) == pytest.approx(0.05, rel=1e-5)
    assert gaussian_p(-3.290527) == pytest.approx(0.001, rel=1e-5)
    expected = np.full(101, 1e6)
    for value, p in ((124.342, 0.10), (140.169, 0.01), (77.929, 0.10)):
        observed = expected.copy()
        observed[0] += np.sqrt(value * 1e6)  # all of χ² in one cell
        assert chi_square_p(observed, expected) == pytest.approx(p, rel=0.02)
    assert poisson_p(0, 10.0) == pytest.approx(2 * np.exp(-10.0))
    assert poisson_p(2, 0.1) == pytest.approx(2 * (1 - np.exp(-0.1) * 1.1))
    assert poisson_p(1100, 1001.0) == pytest.approx(gaussian_p(99 / np.sqrt(1001.0)))
