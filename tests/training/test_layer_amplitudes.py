"""A perturbation of its own for each layer: codes, gradients and bits are the same, wherever they are made."""

import logging
import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mgdhw.block import Baseline, Block, CodeSpec, Costs
from mgdhw.codes import FAMILIES, Codes
from mgdhw.datasets import load
from mgdhw.device import Capability, Device, DeviceInfo, HostCodes
from mgdhw.errors import ConfigError
from mgdhw.experiment.load import check_experiment, parse_experiment, to_toml
from mgdhw.learning.gradient import Window, accumulate, estimate, oripov_scaled
from mgdhw.random.sample_order import SampleOrder
from mgdhw.testing.stimuli import parameters_for
from mgdhw.topology import Topology
from mgdhw.training.events import Event, Finished, Started
from mgdhw.training.prepare import choose_level, learning_rule
from mgdhw.training.trainer import Trainer
from mgdhw_sim.device import SimDevice
from mgdhw_sim.reference.chip import Chip
from mgdhw_sim.uri import parse
from tests.helpers.chips import WIDE_CHIP

NETWORK = Topology.dense((3, 3, 3, 2))
AMPLITUDES = (9, 2, 5)
KINDS = [pytest.param(family, groups, id=f"{family}-{groups}") for family in FAMILIES for groups in ("all", "layer")]


# --- codes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("family", "groups"), KINDS)
def test_each_layer_has_the_codes_of_its_own_amplitude(family: str, groups: str) -> None:
    spec = CodeSpec(family, 5, max(AMPLITUDES), groups, parameters_for(family), AMPLITUDES)
    codes = Codes(spec, NETWORK)
    values, mean = codes.values(7, 90), codes.mean_square()
    for layer, amplitude in zip(NETWORK.layers, AMPLITUDES, strict=True):
        own, uniform = layer.parameters, Codes(replace(spec, amplitude=amplitude, amplitudes=()), NETWORK)
        assert_array_equal(values[:, own], uniform.values(7, 90)[:, own])
        assert_array_equal(mean[own], uniform.mean_square()[own])
        assert np.abs(values[:, own]).max() == amplitude
    assert_array_equal(codes.energy(7, 90), np.square(values, dtype=np.int64).sum(axis=0))


@pytest.mark.parametrize("amplitudes", [(1, 2), (1, 2, 3, 4), (1, 0, 3), (1, 2, 1 << 15)])
def test_amplitudes_that_are_none_are_refused(amplitudes: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"codes: .*amplitude"):
        Codes(CodeSpec(amplitude=4, amplitudes=amplitudes), NETWORK)


# --- gradients --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("groups", ["all", "layer"])
@pytest.mark.parametrize("probes", [40, 6000])
def test_sums_are_those_of_the_codes_however_many(groups: str, probes: int) -> None:
    """With so many that sums of a uniform amplitude would be compiled, too."""
    codes = Codes(CodeSpec("random", 5, max(AMPLITUDES), groups, (), AMPLITUDES), NETWORK)
    change = np.random.default_rng(1).integers(-50, 50, probes)
    window = accumulate(Window.empty(NETWORK.n_parameters), Costs(change, np.zeros_like(change), probes), codes, 3)
    values = codes.values(3, probes).astype(np.int64)
    assert_array_equal(window.cross, change @ values)
    assert_array_equal(window.energy, np.square(values).sum(axis=0))


def test_layers_are_weighted_as_in_the_2025_paper() -> None:
    """Its Δ is 0.01 / √N in a layer of N: then ĝ is the gradient times 0.01 / (N √(1/N + 1/τ - 1/(Nτ))). One Δ for all
    layers weighs those of N and M parameters by √(N / M) too much."""
    topology, lsb, tau = Topology.dense((40, 30, 3)), 1e-7, 50
    sizes = [layer.n_parameters for layer in topology.layers]
    amplitudes = tuple(round(0.01 / n**0.5 / lsb) for n in sizes)
    paper = [0.01 / (n * (1 / n + 1 / tau - 1 / (n * tau)) ** 0.5) for n in sizes]
    count, cross = tau * len(sizes), np.random.default_rng(1).integers(1, 1 << 40, topology.n_parameters)
    for own in (amplitudes, ()):
        codes = Codes(CodeSpec("random", 5, max(amplitudes), "layer", amplitudes=own), topology)
        window = Window(cross, codes.energy(0, count))
        factor = oripov_scaled(window, 1.0, lsb, codes, count) / estimate(window, 1.0, lsb)
        found = [factor[layer.parameters] / weight for layer, weight in zip(topology.layers, paper, strict=True)]
        assert_allclose(found[1], 1.0, rtol=1e-3)  # amplitudes are whole steps
        assert_allclose(found[0], 1.0 if own else (sizes[0] / sizes[1]) ** 0.5, rtol=1e-3)


# --- levels and engines -----------------------------------------------------------------------------------------------

NONIDEAL = f"{WIDE_CHIP}&cell_gain_std=0.1&read_noise=0.02&cost_noise=0.01&retention=1000&drift_every=10&seed=3"
DELTA = "codes.delta=[0.25, 0.0625]"
FEW = ("training.probes=83", "training.tau_theta=10", "training.batch=3", "training.tau_x=3", "optimizer.eta=0.1")
KINDS_OF_TRAINING = {
    "held": (),
    "by layer, antithetic": ("codes.groups=layer", "training.baseline=antithetic"),
    "oripov": ("codes.groups=layer", "training.normalise=oripov"),
    "continuous": ("training.mode=continuous", "training.update_every=4", "optimizer.eta=0.001"),
    "continuous walsh": ("training.mode=continuous", "training.update_every=4", "codes.family=walsh"),
    "sines": ("codes.family=sinusoidal", "codes.delta=[0.5, 0.25]"),
}


async def train(uri: str, *changes: str) -> tuple[Started, Finished]:
    """How a training begins and ends."""
    experiment = parse_experiment("", source="test", overrides=(*FEW, DELTA, *changes))
    async with SimDevice(uri, parse(uri)) as device:
        events: Sequence[Event] = [event async for event in Trainer(experiment, device, load("xor"))]
    started, finished = events[0], events[-1]
    assert isinstance(started, Started)
    assert isinstance(finished, Finished)
    return started, finished


@pytest.mark.parametrize("changes", KINDS_OF_TRAINING.values(), ids=KINDS_OF_TRAINING)
@pytest.mark.parametrize("uri", [WIDE_CHIP, NONIDEAL], ids=["ideal", "nonideal"])
async def test_all_levels_and_engines_walk_the_same_trajectory(uri: str, changes: tuple[str, ...]) -> None:
    digests = set()
    for level, engine, block in (
        ("host-codes", "reference", 7),
        ("device-codes", "reference", 100),
        ("learn", "reference", 11),
        ("learn", "auto", 100),
        ("auto", "numba", 13),
    ):
        if uri == NONIDEAL and level == "host-codes":
            continue  # there every probe is a write
        how = (*changes, f"run.level={level}", f"run.block={block}")
        digests.add((await train(f"{uri}&engine={engine}", *how))[1].digest)
    assert len(digests) == 1


async def test_they_are_told_and_make_another_training() -> None:
    started, finished = await train(WIDE_CHIP)
    assert started.level == "learn"
    assert started.delta == 0.25
    assert "Δ by layer: 0.25, 0.0625" in started.notes
    _, one_for_all = await train(WIDE_CHIP, "codes.delta=0.25")
    assert not np.array_equal(finished.state.theta, one_for_all.state.theta)


async def test_equal_ones_are_one_number() -> None:
    """On compiled engines, too, which know no other."""
    _, listed = await train(WIDE_CHIP, "codes.delta=[0.25, 0.25]")
    _, one = await train(WIDE_CHIP, "codes.delta=0.25")
    assert_array_equal(listed.state.theta, one.state.theta)


@pytest.mark.parametrize("groups", ["all", "layer"])
async def test_compiled_engines_have_one_amplitude_at_a_time_and_say_so(
    groups: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        await train(f"{WIDE_CHIP}&engine=numba", f"codes.groups={groups}")
    said = "layers that are perturbed together, runs on the reference engine" in caplog.text
    assert said == (groups == "all")


def test_a_chip_moves_each_layer_by_its_own() -> None:
    chip, spec = Chip(parse(WIDE_CHIP)), CodeSpec("random", 3, 4, amplitudes=(4, 1))
    chip.load(load("xor"))
    order = SampleOrder(1, 4, 4, 1)
    both = chip.probe(Block(0, 30, spec, order, Baseline.EVERY)).perturbed
    uniform = chip.probe(Block(0, 30, replace(spec, amplitudes=()), order, Baseline.EVERY)).perturbed
    assert not np.array_equal(both, uniform)


# --- what is refused --------------------------------------------------------------------------------------------------


def info_of(topology: Topology, can: Capability = Capability.MEASURE) -> DeviceInfo:
    return DeviceInfo("a device", "number 1", topology, -8.0, 8.0, 0.25, 2, 1, "mse", 1.0, can)


@pytest.mark.parametrize(
    ("topology", "delta", "message"),
    [
        (NETWORK, "[0.5, 0.5]", r"^codes\.delta: a list of 2, but a device has 3 layers; expected one number or 3"),
        (NETWORK, "[0.5, 0.5, 0.5, 0.5]", r"^codes\.delta: a list of 4, but a device has 3 layers"),
        (
            Topology(9),
            "[0.5]",
            r"^codes\.delta: a list of 1, but nobody knows the layers of a device; .* one number$",
        ),
        (NETWORK, "[0.5, 0.01, 0.5]", r"^codes\.delta: 0\.01 is less than half of the smallest step"),
        (NETWORK, "[0.5, 90.0, 0.5]", r"^codes\.delta: a perturbation of 90 leaves no room"),
        (NETWORK, "1e300", r"^codes\.delta: a perturbation of .* leaves no room"),
    ],
)
def test_deltas_that_do_not_fit_the_device_are_refused(topology: Topology, delta: str, message: str) -> None:
    experiment = parse_experiment("", source="test", overrides=(f"codes.delta={delta}",))
    with pytest.raises(ConfigError, match=message):
        learning_rule(experiment, info_of(topology), 10)


@pytest.mark.parametrize(
    ("delta", "message"),
    [
        ("[]", "codes.delta: expected a number, or one for each layer"),
        ("[0.5, 0]", r"codes.delta: input should be greater than 0 \(got \[0.5, 0\]\)"),
        ("[0.5, nan]", "codes.delta: input should be a finite number"),
        ("[0.5, 'x']", "codes.delta: input should be a valid number, or a list of one for each layer"),
        ("[[0.5], 0.5]", "codes.delta: input should be a valid number, or a list of one for each layer"),
        ("'small'", "codes.delta: input should be a valid number, or a list of one for each layer"),
        ("inf", "codes.delta: input should be a finite number"),
    ],
)
def test_deltas_that_are_no_numbers_are_refused(delta: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^here: {message}"):
        parse_experiment(f"[codes]\ndelta = {delta}", source="here")


@pytest.mark.parametrize("delta", [0.5, 2, [0.5, 2], [1e-5, 3.25, 7.0]])
def test_deltas_survive_being_written_down(delta: float | list[float]) -> None:
    experiment = check_experiment({"codes": {"delta": delta}}, source="here")
    assert parse_experiment(to_toml(experiment), source="there") == experiment
    assert experiment.decisive()["codes"]["delta"] == delta


def device(kind: type[Device], can: Capability) -> Device:
    """One with such capabilities."""
    made = object.__new__(kind)
    made.uri, made.info = "x:1", info_of(NETWORK, can)
    return made


class Plain(HostCodes):
    connect = disconnect = apply = read = infer = SimDevice.connect  # type: ignore[assignment]


class Whole(Device):
    connect = disconnect = apply = read = infer = probe = SimDevice.connect  # type: ignore[assignment]


def test_a_code_generator_with_one_amplitude_leaves_them_to_the_host() -> None:
    all_ = Capability.MEASURE | Capability.PROBE | Capability.LEARN
    with_host = device(Plain, all_)
    assert choose_level("auto", with_host, by_layer=True) == "host-codes"
    assert choose_level("host-codes", with_host, by_layer=True) == "host-codes"
    assert choose_level("auto", device(Plain, all_ | Capability.AMPLITUDES), by_layer=True) == "learn"
    assert choose_level("auto", with_host) == "learn"
    for level in ("device-codes", "learn"):
        with pytest.raises(
            ConfigError, match=r"codes\.delta: the code generator of x:1 has one .*run\.level=host-codes"
        ):
            choose_level(level, with_host, by_layer=True)
    with pytest.raises(ConfigError, match=r"codes\.delta: the code generator of x:1 .* layers; expected one number"):
        choose_level("auto", device(Whole, Capability.PROBE), by_layer=True)


# --- layers that take turns -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (("training.tau_theta=100",), "100 is no multiple of the 3 layers .*; 99 and 102 give them equal weight"),
        (("training.tau_theta=2",), "2 is no multiple of the 3 layers .*; 3 gives them equal weight"),
        (("training.tau_theta=99",), None),
        (("training.tau_theta=100", "training.normalise=energy"), None),
        (("training.tau_theta=100", "codes.groups=all"), None),
        (("training.tau_theta=100", "training.mode=continuous"), None),
    ],
)
def test_unequal_turns_of_layers_are_told_where_they_weigh(changes: tuple[str, ...], said: str | None) -> None:
    fixed = ("codes.groups=layer", "training.normalise=oripov", "codes.delta=0.25")
    experiment = parse_experiment("", source="test", overrides=(*fixed, *changes))
    _, notes = learning_rule(experiment, info_of(NETWORK), 10)
    if said is None:
        assert notes == []
    else:
        (note,) = notes
        assert re.search(said, note)
