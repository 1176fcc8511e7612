"""Philox in JAX: the bits of `mgdhw.random.philox`."""

import numpy as np
import pytest

from mgdhw.block import CodeSpec
from mgdhw.codes import Codes
from mgdhw.random.philox import Stream, words
from mgdhw.topology import Topology

jax = pytest.importorskip("jax")


@pytest.mark.parametrize("seed", [0, 1, 0x9E3779B97F4A7C15, 2**64 - 1])
def test_words_are_those_of_everywhere(seed: int) -> None:
    from mgdhw_sim.ideal.engines.jax import philox

    with jax.enable_x64(True):
        drawn = jax.jit(philox.words, static_argnums=(1, 3))
        for step in (0, 5, 2**32 - 1, 2**32, 2**63 + 7):
            for count in (1, 4, 129):
                found = np.asarray(drawn(np.uint64(seed), Stream.CODES, np.uint64(step), count))
                np.testing.assert_array_equal(found, words(seed, Stream.CODES, [step], count)[0])


def test_signs_are_the_codes_of_family_random() -> None:
    from mgdhw_sim.ideal.engines.jax import philox

    expected = Codes(CodeSpec("random", 2**63 + 5, 1), Topology(300)).values(17, 1)[0]
    with jax.enable_x64(True):
        found = jax.jit(philox.signs, static_argnums=2)(np.uint64(2**63 + 5), np.uint64(17), 300)
        assert found.dtype == np.float64
        np.testing.assert_array_equal(np.asarray(found), expected)
    assert not jax.config.jax_enable_x64
