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
