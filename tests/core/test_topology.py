"""Which parameters and nodes belong to which layer."""

from itertools import pairwise

import pytest

from mgdhw.topology import Layer, Topology


@pytest.mark.parametrize("sizes", [(1, 1), (4, 3, 2), (64, 16, 10), (7, 1, 5, 2)])
def test_layers_share_parameters_and_nodes_among_them_in_order(sizes: tuple[int, ...]) -> None:
    topology = Topology.dense(sizes)
    parameters, nodes = list(range(topology.n_parameters)), list(range(topology.n_nodes))
    assert [i for layer in topology.layers for i in parameters[layer.parameters]] == parameters
    assert [i for layer in topology.layers for part in (layer.weights, layer.biases) for i in parameters[part]] == (
        parameters
    )
    assert [i for layer in topology.layers for i in nodes[layer.nodes]] == nodes
    assert [(layer.n_in, layer.n_out) for layer in topology.layers] == list(pairwise(sizes))
    assert topology.n_nodes == sum(sizes[1:])


def test_a_layer_is_weights_row_by_row_then_biases() -> None:
    layer = Topology.dense((4, 3, 2)).layers[1]
    assert layer == Layer(n_in=3, n_out=2, first_parameter=15, first_node=3)
    assert (layer.weights, layer.biases, layer.nodes) == (slice(15, 21), slice(21, 23), slice(3, 5))
    assert layer.n_parameters == 8


def test_known_number_of_parameters() -> None:
    assert Topology.dense([64, 16, 10]).n_parameters == 1210


def test_what_people_read() -> None:
    assert str(Topology.dense((64, 16, 10))) == "64-16-10"
    assert str(Topology(12)) == "12 parameters"
    assert Topology(12).n_nodes == 0


def test_a_convolution_is_a_matrix_used_at_many_positions() -> None:
    """3 x 3 weights to each of 2 input channels, 5 channels of outputs at 14 x 14 positions."""
    layer = Layer(n_in=18, n_out=5, first_parameter=7, first_node=3, positions=196, kernel=9)
    assert (layer.n_parameters, layer.n_nodes, layer.fan_out) == (95, 980, 45)
    assert (layer.weights, layer.biases, layer.nodes) == (slice(7, 97), slice(97, 102), slice(3, 983))
    topology = Topology(102, (layer,))
    assert (topology.n_nodes, topology.dense_sizes, str(topology)) == (980, (), "1 layer")


def test_dense_sizes_are_those_of_a_multilayer_network() -> None:
    assert Topology.dense((64, 16, 10)).dense_sizes == (64, 16, 10)
    assert Topology(12).dense_sizes == ()
    assert Topology(26, (Layer(3, 2, 0, 0), Layer(8, 2, 8, 2))).dense_sizes == (), "something lies between these"
