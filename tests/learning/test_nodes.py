"""Node perturbation: codes at the nodes, and the sums that are made of them, exactly, by whoever makes them."""

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from mgdhw.block import Baseline, Block, CodeSpec, Costs, NodeCosts, Target
from mgdhw.codes import FAMILIES, CodeArray, Codes
from mgdhw.errors import ConfigError, DeviceFault
from mgdhw.learning.gradient import Window, oripov_scaled
from mgdhw.learning.nodes import (
    NodeUnits,
    accumulate_nodes,
    batch_numbers,
    check_node_costs,
    host_sums,
    node_energy,
    node_sums,
)
from mgdhw.random.sample_order import SampleOrder
from mgdhw.testing.stimuli import parameters_for
from mgdhw.topology import Layer, Topology

CONVOLUTION = Layer(n_in=4, n_out=2, first_parameter=0, first_node=0, positions=3, kernel=2)
DENSE = Layer(n_in=6, n_out=3, first_parameter=10, first_node=6)
NETWORK = Topology(31, (CONVOLUTION, DENSE))
OF_NODES = [name for name, family in FAMILIES.items() if not family.needs_layers]
KINDS = [pytest.param(family, groups, id=f"{family}-{groups}") for family in OF_NODES for groups in ("all", "layer")]


def spec_of(family: str = "random", groups: str = "all", amplitude: int = 9, **more: Any) -> CodeSpec:
    return CodeSpec(family, 5, amplitude, groups, parameters_for(family), target=Target.NODES, **more)


def integers(generator: np.random.Generator, size: int, *shape: int) -> NDArray[np.int64]:
    return generator.integers(-size, size + 1, shape)


def plain_sums(codes: CodeArray, change: NDArray[Any], inputs: list[NDArray[Any]]) -> list[int]:
    """Σ C̃ θ̃ x term by term, in integers of any size."""
    sums = [0] * NETWORK.n_parameters
    for layer, taken_in in zip(NETWORK.layers, inputs, strict=True):
        for k, b in np.ndindex(change.shape):
            for position, output in product(range(layer.positions), range(layer.n_out)):
                node = layer.first_node + position * layer.n_out + output
                term = int(change[k, b]) * int(codes[k, node])
                for i in range(layer.n_in):
                    sums[layer.weights.start + output * layer.n_in + i] += term * int(taken_in[b, position, i])
                sums[layer.biases.start + output] += term
    return sums


# --- codes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("family", "groups"), KINDS)
def test_codes_run_over_the_nodes(family: str, groups: str) -> None:
    codes = Codes(spec_of(family, groups), NETWORK)
    values = codes.values(7, 90)
    assert values.shape == (90, NETWORK.n_nodes) == (90, codes.size)
    assert_array_equal(codes.energy(7, 90), np.square(values, dtype=np.int64).sum(axis=0))
    assert_array_equal(values[3:40], codes.values(10, 37))
    if groups == "layer":
        touched = np.stack([values[:, layer.nodes].any(axis=1) for layer in NETWORK.layers], axis=1)
        assert not touched[0::2, 0].any()  # step 7 is the second layer's
        assert not touched[1::2, 1].any()
        assert touched.any()


def test_each_layer_has_an_amplitude_of_its_own() -> None:
    values = Codes(spec_of(amplitudes=(9, 2)), NETWORK).values(0, 20)
    for layer, amplitude in zip(NETWORK.layers, (9, 2), strict=True):
        assert (np.abs(values[:, layer.nodes]) == amplitude).all()


def test_codes_of_parameters_are_another_object_with_the_same_seed() -> None:
    weights = Codes(replace(spec_of(), target=Target.WEIGHTS), NETWORK)
    assert weights.values(0, 3).shape == (3, 31)
    assert CodeSpec() == CodeSpec(target=Target.WEIGHTS)


def test_rank_one_codes_and_unknown_layers_are_refused() -> None:
    with pytest.raises(ConfigError, match="rank1 perturbs rows and columns of weight matrices, and nodes have none"):
        Codes(replace(spec_of(), family="rank1"), NETWORK)
    with pytest.raises(ConfigError, match=r'codes\.target: "nodes" needs a device that knows its layers'):
        Codes(spec_of(), Topology(31))


# --- sums -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 1000, 1 << 20])
def test_sums_of_integers_are_exact_whatever_their_size(size: int) -> None:
    generator = np.random.default_rng(size)
    codes = integers(generator, 1 << 14, 7, NETWORK.n_nodes).astype(np.int16)
    codes[2, CONVOLUTION.nodes] = 0
    change = integers(generator, size, 7, 5)
    inputs = [integers(generator, size, 5, layer.positions, layer.n_in) for layer in NETWORK.layers]
    found = node_sums(NETWORK, codes, change, inputs)
    assert found.dtype == np.int64
    assert found.tolist() == plain_sums(codes, change, inputs)


def test_sums_of_floats_are_floats() -> None:
    generator = np.random.default_rng(1)
    codes = integers(generator, 4, 3, NETWORK.n_nodes).astype(np.int16)
    change, inputs = integers(generator, 9, 3, 5), [integers(generator, 9, 5, 3, 4), integers(generator, 9, 5, 1, 6)]
    found = node_sums(NETWORK, codes, change * 0.25, [inputs[0], inputs[1] * 0.5])
    exact = node_sums(NETWORK, codes, change, inputs)
    half = np.ones(31)
    half[DENSE.weights] = 0.5
    assert found.dtype == np.float64
    assert_array_equal(found, exact * 0.25 * half)


def some_costs(n_probes: int, order: SampleOrder, first_step: int, seed: int = 3) -> Costs:
    """The answer of a device that makes no sums."""
    generator = np.random.default_rng(seed)
    batches = int(batch_numbers(first_step, n_probes, order)[-1]) + 1
    perturbed, reference = (generator.integers(0, 999, (n_probes, order.batch)).astype(np.uint16) for _ in range(2))
    inputs = tuple(
        generator.integers(0, 255, (batches, order.batch, layer.positions, layer.n_in), dtype=np.uint8)
        for layer in NETWORK.layers
    )
    nodes = NodeCosts(perturbed, reference, inputs)
    return Costs(perturbed.sum(axis=1), reference.sum(axis=1), 2 * n_probes, nodes=nodes)


@pytest.mark.parametrize("groups", ["all", "layer"])
def test_a_block_over_several_batches_takes_each_probe_s_own_inputs(groups: str) -> None:
    order, first = SampleOrder(1, 11, 4, 3), 5
    codes, costs = Codes(spec_of(groups=groups), NETWORK), some_costs(8, order, first)
    assert costs.nodes is not None
    sums = host_sums(costs, codes, first, order)
    expected = np.zeros(31, dtype=np.int64)
    change = costs.nodes.perturbed.astype(np.int64) - costs.nodes.reference
    for k in range(8):
        batch = (first + k) // 3 - first // 3
        inputs = [each[batch] for each in costs.nodes.inputs]
        expected += plain_sums(codes.values(first + k, 1), change[k : k + 1], inputs)
    assert sums.dtype == np.int64
    assert_array_equal(sums, expected)


def test_a_window_is_the_same_whoever_makes_the_sums() -> None:
    order = SampleOrder(1, 11, 4, 3)
    codes, costs = Codes(spec_of("walsh"), NETWORK), some_costs(8, order, 5)
    by_device = replace(costs, nodes=None, node_sums=host_sums(costs, codes, 5, order))
    windows = [accumulate_nodes(Window.empty(31), each, codes, 5, order) for each in (costs, by_device)]
    assert_array_equal(windows[0].cross, windows[1].cross)
    assert windows[0].cross.dtype == windows[1].cross.dtype == np.int64
    assert_array_equal(windows[0].energy, windows[1].energy)


@pytest.mark.parametrize(("family", "groups"), KINDS)
def test_a_parameter_s_energy_is_its_nodes(family: str, groups: str) -> None:
    codes = Codes(spec_of(family, groups), NETWORK)
    energy, squares = node_energy(codes, 3, 17), np.square(codes.values(3, 17), dtype=np.int64).sum(axis=0)
    for layer in NETWORK.layers:
        for output in range(layer.n_out):
            expected = sum(squares[layer.first_node + at * layer.n_out + output] for at in range(layer.positions))
            own = energy[layer.weights].reshape(layer.n_out, layer.n_in)[output]
            assert [*own, energy[layer.biases][output]] == [expected] * (layer.n_in + 1)


def test_layers_are_weighted_by_their_nodes_as_in_the_2025_paper() -> None:
    codes = Codes(spec_of(groups="layer", amplitudes=(4, 9)), NETWORK)
    units = NodeUnits.of(NETWORK, 0.5, 1.0)
    window = Window(np.arange(31.0), np.ones(31, dtype=np.int64))
    found = oripov_scaled(window, 0.1, units.code, codes, 20, units.of_sums)
    for layer, amplitude in zip(NETWORK.layers, (4, 9), strict=True):
        n, tau, of_all = layer.n_nodes, 10, amplitude * 0.5 * np.sqrt(layer.n_nodes)
        spread = np.sqrt(1 / n + 1 / tau - 1 / (n * tau))
        expected = np.arange(31.0)[layer.parameters] * 0.1 * 0.5 / (of_all * spread) / tau
        assert_allclose(found[layer.parameters], expected, rtol=1e-14)


def test_units_are_those_of_what_a_parameter_is_multiplied_by() -> None:
    units = NodeUnits.of(NETWORK, 0.25, (0.5, 2.0))
    assert set(units.of_sums[CONVOLUTION.weights]) == {0.125}
    assert set(units.of_sums[DENSE.weights]) == {0.5}
    assert set(units.of_sums[DENSE.biases]) == {0.25}
    assert set(units.of_quotient[CONVOLUTION.weights]) == {0.25 / 3 / 0.5}
    assert set(units.of_quotient[DENSE.biases]) == {0.25}


def test_answers_without_what_the_sums_need_are_faults() -> None:
    order = SampleOrder(1, 11, 4, 3)
    block, costs = Block(5, 8, spec_of(), order, Baseline.EVERY), some_costs(8, order, 5)
    nodes = costs.nodes
    assert nodes is not None
    check_node_costs(block, costs, NETWORK, "x:y")
    for wrong, message in (
        (replace(costs, nodes=None), "without the costs of its samples, or the sums"),
        (replace(costs, node_sums=np.zeros(5)), "5 sums for 31 parameters"),
        (replace(costs, nodes=replace(nodes, perturbed=nodes.perturbed[:, :3])), r"shape \(8, 3\); expected \(8, 4\)"),
        (replace(costs, nodes=replace(nodes, inputs=nodes.inputs[:1])), "inputs of layers of shapes"),
    ):
        with pytest.raises(DeviceFault, match=message):
            check_node_costs(block, wrong, NETWORK, "x:y")
