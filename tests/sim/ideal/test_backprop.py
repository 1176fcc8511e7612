"""True gradients that one can train with, against their definition."""

import numpy as np
import pytest

from mgdhw_sim.ideal import reference
from mgdhw_sim.ideal.backprop import true_gradient
from mgdhw_sim.ideal.variation import node_variation

from .networks import NETWORKS, parts_of, rounding_of

STRIDED = (
    "sim:ideal?input=9x8x2&layers=conv3x3:3:stride2,conv2x3:5:relu,maxpool2:stride1,dense:4,dense:3"
    "&activation=tanh&cost=xent&theta_lsb=2^-12"
)


@pytest.mark.parametrize("uri", [*NETWORKS, STRIDED])
def test_the_gradient_is_that_of_the_reference(uri: str) -> None:
    spec, theta, data = parts_of(uri)
    samples = np.array([3, 0, 17, 3, 30])
    cost, found = true_gradient(spec, theta, data, samples)
    x, targets, variation = data.values(samples), data.targets[samples], node_variation(spec)
    expected = reference.gradient(spec.network, theta, x, targets, spec.cost, variation)
    outputs = reference.forward(spec.network, theta, x, variation=variation).outputs
    bound = rounding_of(spec) * max(1.0, float(np.abs(expected).max()))
    assert np.abs(found - expected).max() < bound
    assert abs(cost - reference.costs(spec.cost, outputs, targets).mean()) < bound
