"""Addresses of ideal networks: what they mean, and what is said of those that mean nothing."""

import pytest

from mgdhw.device import open_device
from mgdhw.errors import ConfigError
from mgdhw_sim import catalogue, uri
from mgdhw_sim.ideal.address import parse
from mgdhw_sim.ideal.layers import Conv2d, Dense, Flatten, Pool

STUDY = (
    "sim:ideal?input=28x28x1&layers=conv3x3:4,conv3x3:4,maxpool2,conv3x3:8,conv3x3:8,maxpool2,conv3x3:16,conv3x3:16,"
    "maxpool2,dense:16,dense:16,dense:10&activation=tanh&last=linear&cost=xent&theta_lsb=2^-23"
)


@pytest.mark.parametrize("d", [1, 2, 4, 8, 24, 128])
def test_the_study_s_network_has_the_published_numbers_of_parameters_and_nodes(d: int) -> None:
    topology = parse(f"sim:ideal-fashion?d={d}").network.topology
    assert topology.n_parameters == 439 * d**2 + 71 * d + 10
    assert topology.n_nodes == 2752 * d + 10
    assert [layer.n_nodes for layer in topology.layers[:2]] == [784 * d, 784 * d]


def test_the_network_of_2023_has_the_published_number_of_parameters() -> None:
    assert parse("sim:ideal-fashion-2023").network.topology.n_parameters == 14_378
    convolutions = ",".join(f"conv3x3:{channels}:valid,maxpool2" for channels in (16, 32, 64))
    cifar = f"sim:ideal?input=32x32x3&layers={convolutions},dense:10"
    assert parse(cifar).network.topology.n_parameters == 26_154


def test_a_preset_is_the_network_written_out() -> None:
    written, preset = parse(STUDY), parse("sim:ideal-fashion")
    assert written.identity() == preset.identity()
    assert (written.network, written.cost, written.theta_lsb) == (preset.network, "xent", 2.0**-23)
    assert parse("sim:ideal-fashion?d=2").identity() != preset.identity()
    assert parse("sim:ideal-fashion?engine=reference").identity() == preset.identity()


def test_words_mean_layers() -> None:
    spec = parse(
        "sim:ideal?input=12x9&layers=conv5x3:4:valid:stride2:relu,maxpool2,avgpool2:stride1,flatten,dense:7:linear,dense:2"
    )
    assert spec.network.shape == (12, 9, 1)
    assert spec.network.layers == (
        Conv2d((5, 3), 4, "valid", 2, "relu"),
        Pool("max", 2, 2),
        Pool("avg", 2, 1),
        Flatten(),
        Dense(7, "identity"),
        Dense(2),
    )
    assert [stage.shape_out for stage in spec.network.stages[:3]] == [(4, 4, 4), (2, 2, 4), (1, 1, 4)]
    again = parse(f"sim:ideal?input=12x9&layers={spec.network}")
    assert again.network.layers == spec.network.layers


def test_sizes_mean_a_dense_network() -> None:
    spec = parse("sim:ideal?layers=2-3-1")
    assert (spec.network.topology.n_parameters, str(spec.network.topology)) == (13, "2-3-1")
    assert parse("sim:ideal?input=28x28x1&layers=784-10").network.shape == (28, 28, 1)
    assert str(parse("sim:ideal-fashion").network.topology) == "9 layers"


def test_activations_and_cost_follow_the_chips_conventions() -> None:
    def ends(text: str) -> tuple[str, str]:
        stages = parse(text).network.stages
        return stages[0].activation, stages[-1].activation

    assert ends("sim:ideal?layers=2-3-1") == ("logistic", "logistic")
    assert ends("sim:ideal?layers=2-3-1&activation=tanh") == ("tanh", "tanh")
    assert ends("sim:ideal?layers=2-3-2&cost=xent") == ("logistic", "identity")
    assert ends("sim:ideal?layers=2-3-2&cost=xent&last=tanh") == ("logistic", "tanh")
    assert ends("sim:ideal-fashion?activation=relu") == ("relu", "identity")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sim:ideal?input=4x4&layers=conv3x3:4,maxpol2,dense:2", r"layer 2, 'maxpol2'.*did you mean 'maxpool2'"),
        ("sim:ideal?input=4x4&layers=conv3x3:4:vlid,dense:2", r"layer 1, 'conv3x3:4:vlid': no 'vlid'.*'valid'"),
        ("sim:ideal?input=4x4&layers=dense:2:same", r"layer 1, 'dense:2:same': no 'same' here"),
        ("sim:ideal?input=4x4&layers=conv3x3,dense:2", r"layer 1, 'conv3x3': expected a number of channels"),
        ("sim:ideal?input=4x4&layers=dense", r"layer 1, 'dense': expected a number of outputs"),
        ("sim:ideal?input=4x4&layers=dense:0", r"layer 1, 'dense:0': a size of 0; expected 1"),
        ("sim:ideal?input=4x4&layers=maxpool2:valid,dense:2", r"layer 1, 'maxpool2:valid': no 'valid' here"),
        (
            "sim:ideal?input=4x4&layers=maxpool2,conv3x3:4:valid,dense:2",
            r"layer 2, conv3x3:4:valid, after 2x2x1 signals: a kernel of 3x3 does not fit.*expected a smaller kernel",
        ),
        ("sim:ideal?input=4x4&layers=maxpool2,maxpool4,dense:2", r"layer 2, maxpool4.*do not fit into 2x2.*smaller"),
        ("sim:ideal?input=4x4&layers=maxpool2", r"expected at least one with parameters"),
        ("sim:ideal?layers=conv3x3:4,dense:2", r"what is the shape of an input\? expected input=HEIGHTxWIDTH"),
        ("sim:ideal?input=5&layers=4-3", r"begins with 4 inputs, and input=1x1x5; remove one"),
        ("sim:ideal?input=5xx", r"input='5xx': expected HEIGHTxWIDTHxCHANNELS"),
        ("sim:ideal?activation=tan", r"layer 1, dense:16, .*no activation 'tan'; did you mean 'tanh'"),
        ("sim:ideal?layers=2-3-1&cost=xent", r"cost=xent: the softmax of one output.*cost=mse"),
        ("sim:ideal?cost=mes", r"cost=mes: expected mse or xent; did you mean 'mse'"),
        ("sim:ideal?engine=numbo", r"engine=numbo: expected auto or jax or numba or reference; did you mean 'numba'"),
        ("sim:ideal?theta_lsb=0.3", r"theta_lsb=0.3: expected a power of two"),
        ("sim:ideal?theta_lsb=x", r"theta_lsb='x': expected a number"),
        ("sim:ideal?seed=1.5", r"seed='1.5': expected a whole number"),
        ("sim:ideal?seed=-1", r"seed=-1: expected 0"),
        ("sim:ideal?cost_noise=nan", r"cost_noise=nan: expected 0"),
        ("sim:ideal?d=4", r"no option 'd'"),
        ("sim:ideal-fashion?d=0", r"d='0': expected a width of 1 ... 512"),
        ("sim:ideal-fashion?layers=2-1", r"no option 'layers'"),
        ("sim:ideal?input=4096x4096x64&layers=conv1x1:1,dense:2", r"are too many"),
        ("sim:ideal?input=0&layers=dense:2", r"input=1x1x0: expected sizes of 1 or more"),
        ("sim:ideel", r"no preset 'ideel'; did you mean 'ideal'"),
    ],
)
def test_mistakes_are_named_with_a_remedy(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as raised:
        open_device(text)
    assert str(raised.value).startswith(text[:60])


def test_what_needs_a_chip_says_so() -> None:
    with pytest.raises(ConfigError, match="an ideal network, and what is asked for needs a chip"):
        uri.parse("sim:ideal-fashion")


def test_presets_are_listed() -> None:
    listed = catalogue.presets()
    assert {"sim:ideal-fashion", "sim:ideal-fashion-2023", "sim:analog-8bit"} <= set(listed)
    for address in listed:
        open_device(address)
