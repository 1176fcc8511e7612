"""What a chip may be, and what it is called by."""

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from mgdhw.device import Capability, open_device
from mgdhw.errors import ConfigError
from mgdhw_sim import catalogue
from mgdhw_sim.device import SimDevice
from mgdhw_sim.presets import PRESETS
from mgdhw_sim.reference import datapath
from mgdhw_sim.spec import ChipSpec
from mgdhw_sim.uri import parse
from tests.sim.reference import referee

# --- limits -----------------------------------------------------------------------------------------------------------

LIMITS: list[tuple[str, Any, Any]] = [
    ("weight_bits", 4, 16),
    ("input_bits", 1, 16),
    ("signal_bits", 12, 24),
    ("lut_bits", 4, 12),
    ("output_bits", 4, 16),
    ("cost_bits", 4, 20),
    ("seed", 0, 2**64 - 1),
    ("weight_range", 0.25, 64.0),
    ("signal_range", 1.0, 64.0),
    ("cost_range", 2.0**-6, 64.0),
]


@pytest.mark.parametrize(("name", "low", "high"), LIMITS)
def test_widths_and_ranges_have_limits_and_may_be_anything_between(name: str, low: Any, high: Any) -> None:
    roomy = ChipSpec(signal_bits=24, cost_bits=8)
    below, above = (low / 2, high * 2) if isinstance(low, float) else (low - 1, high + 1)
    for good in (low, high):
        assert getattr(replace(roomy, **{name: good}), name) == good
    for bad in (below, above):
        with pytest.raises(
            ConfigError, match=rf"^{name}={bad:g}: expected " if isinstance(low, float) else f"^{name}="
        ):
            replace(roomy, **{name: bad})


@pytest.mark.parametrize("name", ["weight_range", "signal_range", "cost_range"])
@pytest.mark.parametrize("value", [3.0, 0.0, -4.0, 4.000001])
def test_ranges_are_powers_of_two(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"^{name}=.*: expected a power of two, "):
        ChipSpec(**{name: value})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_range_is_a_number(value: float) -> None:
    with pytest.raises(ConfigError, match=r"^weight_range=.*: expected a power of two, 0\.25 \.\.\. 64"):
        ChipSpec(weight_range=value)


@pytest.mark.parametrize("layers", [(), (3,), (3, 0), (0, 3), (-1, 2), (3, 65537)])
def test_a_network_has_two_or_more_sizes(layers: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"^layers=.*: expected two or more sizes of 1 \.\.\. 65536"):
        ChipSpec(layers=layers)


@pytest.mark.parametrize("name", ["activation", "output_activation", "cost", "codes"])
def test_kinds_are_by_name(name: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name}=sigmoid: expected one of "):
        ChipSpec(**{name: "sigmoid"})


def test_a_cost_finer_than_the_product_of_two_signals_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^cost_bits=12 with cost_range=1 is finer than .* raise signal_bits"):
        ChipSpec(signal_bits=12, signal_range=64.0)
    ChipSpec(signal_bits=12, signal_range=64.0, cost_bits=10)


def test_squares_that_would_overflow_are_refused_and_the_widest_chip_is_right() -> None:
    """|error| < 2**24 or so for signals of 24 bits: 2**14 squares of it are more than 62 bits."""
    widest: dict[str, Any] = {"signal_bits": 24, "output_activation": "identity", "cost_bits": 6, "cost_range": 64.0}
    with pytest.raises(ConfigError, match="sums of this chip need 63 bits, more than 62"):
        ChipSpec(layers=(1, 2**14), signal_range=1.0, **widest)
    ChipSpec(layers=(1, 2**14), signal_range=1.0, cost="xent", **widest)
    for signal_range in (1.0, 2.0, 8.0):
        spec = ChipSpec(layers=(1, 2**14 - 1), signal_range=signal_range, **widest)
        signals, targets = np.full((1, 2**14 - 1), -(2**23)), np.full((1, 2**14 - 1), 4096)
        expected = referee.cost_code(spec, signals[0].tolist(), targets[0].tolist())
        assert datapath.cost_codes(spec, signals, targets).tolist() == [expected]


def test_sums_of_the_widest_crossbar_are_right() -> None:
    """65,536 inputs at the rail, times weights at the rail."""
    spec = ChipSpec(layers=(2**16, 1), weight_bits=16, input_bits=16, signal_bits=24, signal_range=64.0)
    for sign in (-1, 1):
        codes = np.full(2**16 + 1, sign * 32767)
        x = np.full((1, 2**16), 2**16 - 1)
        assert datapath.outputs(spec, codes, x).tolist() == [referee.signals(spec, codes.tolist(), x[0].tolist())]


# --- presets ----------------------------------------------------------------------------------------------------------


def test_presets_are_the_ones_that_are_documented() -> None:
    assert set(PRESETS) >= {"analog-8bit", "ideal-16bit"}
    assert all(spec.name == name for name, spec in PRESETS.items())
    assert ChipSpec() == PRESETS["analog-8bit"]
    names = [f.name for f in fields(ChipSpec)]
    table = {
        "analog-8bit": ((64, 16, 10), 8, 4.0, 8, False, 16, 8.0, 8, 8, 12, 1.0),
        "ideal-16bit": ((64, 16, 10), 16, 4.0, 16, False, 24, 8.0, 12, 16, 20, 1.0),
    }
    columns = ["layers", "weight_bits", "weight_range", "input_bits", "input_bipolar", "signal_bits", "signal_range"]
    columns += ["lut_bits", "output_bits", "cost_bits", "cost_range"]
    assert set(columns) <= set(names)
    for name, row in table.items():
        assert tuple(getattr(PRESETS[name], column) for column in columns) == row
        assert (PRESETS[name].activation, PRESETS[name].output_activation, PRESETS[name].cost) == (
            "logistic",
            "logistic",
            "mse",
        )


def test_presets_are_listed_with_addresses_that_can_be_opened() -> None:
    listed = catalogue.presets()
    chips, networks = ([uri for uri in listed if ("ideal-fashion" in uri) is ideal] for ideal in (False, True))
    assert [parse(uri) for uri in chips] == list(PRESETS.values())
    assert [open_device(uri).info.topology.n_parameters for uri in networks] == [7318, 14_378]
    assert "8-bit parameters" in listed["sim:analog-8bit"]


@pytest.mark.parametrize("name", PRESETS)
def test_a_device_says_what_the_chip_is(name: str) -> None:
    spec = PRESETS[name]
    info = SimDevice(f"sim:{name}", spec).info
    assert info.n_parameters == 1210
    assert (info.n_inputs, info.n_outputs) == (64, 10)
    assert (info.theta_min, info.theta_max) == (-4.0, 4.0 - spec.weight_lsb)
    assert info.theta_lsb == 4.0 / 2 ** (spec.weight_bits - 1)
    assert info.cost_lsb == 2.0**-spec.cost_bits
    nodes = Capability.NODE_SUMS if spec.ideal else Capability(0)
    everything = ~(Capability.REPEATABLE | Capability.NODES | Capability.NODE_SUMS)
    assert info.capabilities == everything | nodes
    assert info.identity == spec.identity()
    assert info.details["layers"] == (64, 16, 10)


def test_identity_is_what_decides_a_bit_and_nothing_else() -> None:
    spec = PRESETS["analog-8bit"]
    assert replace(spec, name="x").identity() == replace(spec, codes="host").identity() == spec.identity()
    changes: dict[str, Any] = {
        "layers": (64, 16, 11),
        "activation": "tanh",
        "output_activation": "tanh",
        "weight_bits": 9,
        "weight_range": 2.0,
        "input_bits": 9,
        "input_bipolar": True,
        "signal_bits": 17,
        "signal_range": 4.0,
        "lut_bits": 9,
        "output_bits": 9,
        "cost": "xent",
        "cost_bits": 11,
        "cost_range": 2.0,
        "seed": 1,
    }
    identities = {replace(spec, **{name: value}).identity() for name, value in changes.items()}
    assert len(identities | {spec.identity()}) == len(changes) + 1


# --- addresses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "changes"),
    [
        ("sim:analog-8bit", {}),
        ("sim:analog-8bit?", {}),
        ("sim:analog-8bit?layers=2-3-1", {"layers": (2, 3, 1)}),
        ("sim:analog-8bit?weight_bits=10&weight_range=8", {"weight_bits": 10, "weight_range": 8.0}),
        ("sim:analog-8bit?weight_range=0.5", {"weight_range": 0.5}),
        ("sim:analog-8bit?input_bipolar=true", {"input_bipolar": True}),
        ("sim:analog-8bit?input_bipolar=1", {"input_bipolar": True}),
        ("sim:analog-8bit?input_bipolar=False", {}),
        ("sim:analog-8bit?codes=host", {"codes": "host"}),
        ("sim:analog-8bit?cost=xent", {"cost": "xent", "output_activation": "identity", "cost_range": 8.0}),
        (
            "sim:analog-8bit?cost=xent&cost_range=4",
            {"cost": "xent", "output_activation": "identity", "cost_range": 4.0},
        ),
        (
            "sim:analog-8bit?cost=xent&output_activation=tanh",
            {"cost": "xent", "output_activation": "tanh", "cost_range": 8.0},
        ),
        ("sim:analog-8bit?activation=tanh", {"activation": "tanh", "output_activation": "tanh"}),
        (
            "sim:analog-8bit?activation=relu&output_activation=logistic",
            {"activation": "relu", "output_activation": "logistic"},
        ),
        (
            "sim:analog-8bit?activation=tanh&cost=xent",
            {"activation": "tanh", "cost": "xent", "output_activation": "identity", "cost_range": 8.0},
        ),
    ],
)
def test_options_of_an_address_change_single_fields(uri: str, changes: dict[str, Any]) -> None:
    assert parse(uri) == replace(PRESETS["analog-8bit"], **changes)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("sim:", "sim:: no preset '' (analog-8bit, ideal-16bit"),
        ("sim:analogue-8bit", "no preset 'analogue-8bit'; did you mean 'analog-8bit'?"),
        ("sim:analog-8bit?layer=2-1", "no option 'layer'; did you mean 'layers'?"),
        ("sim:analog-8bit?name=x", "no option 'name'"),
        ("sim:analog-8bit?=3", "no option ''"),
        ("sim:analog-8bit?layers=2x3", "layers='2x3': expected sizes such as 64-16-10"),
        ("sim:analog-8bit?layers=", "layers='': expected sizes such as 64-16-10"),
        ("sim:analog-8bit?weight_bits=8.0", "weight_bits='8.0': expected a whole number"),
        ("sim:analog-8bit?weight_range=wide", "weight_range='wide': expected a number"),
        ("sim:analog-8bit?input_bipolar=yes", "input_bipolar='yes': expected true or false"),
        ("sim:analog-8bit?weight_bits=99", "weight_bits=99: expected 4 ... 16"),
        ("sim:analog-8bit?weight_range=3", "weight_range=3: expected a power of two, 0.25 ... 64"),
        ("sim:analog-8bit?weight_range=nan", "weight_range=nan: expected a power of two, 0.25 ... 64"),
        ("sim:analog-8bit?activation=sigmoid", "activation=sigmoid: expected one of logistic, tanh, relu, identity"),
        ("sim:analog-8bit?layers=3", "layers=3: expected two or more sizes"),
    ],
)
def test_an_address_that_asks_for_no_chip_says_why(uri: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(uri)
    assert str(error.value).startswith(f"{uri}: ")
    assert message in str(error.value)
