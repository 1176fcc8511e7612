"""The ideal network as a device: the contract, what it says of itself, its noises, and that it learns."""

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

from mgdhw.block import Block, CodeSpec, Part
from mgdhw.datasets import load
from mgdhw.device import Capability, open_device
from mgdhw.experiment.load import parse_experiment
from mgdhw.random.sample_order import SampleOrder
from mgdhw.testing import CHECKS, Verdict, run_conformance
from mgdhw.training.events import Event, Finished, Started
from mgdhw.training.trainer import Trainer
from mgdhw_sim.ideal.device import IdealDevice

from .networks import CONVOLUTIONS, DENSE, parts_of


@pytest.mark.parametrize(
    "uri",
    [f"{DENSE}&engine=reference", f"{CONVOLUTIONS}&engine=numba", f"{DENSE}&cost_noise=0.1&write_noise=0.01"],
)
async def test_the_contract_is_kept(uri: str) -> None:
    outcomes = await run_conformance(lambda: open_device(uri))
    assert [outcome for outcome in outcomes if outcome.verdict is Verdict.FAILED] == []
    passed = {outcome.name for outcome in outcomes if outcome.verdict is Verdict.PASSED}
    assert {"probe-has-no-side-effects", "segments-can-be-repeated"} <= passed
    assert ("levels-agree-up-to-rounding" in passed) == ("write_noise" not in uri)
    assert len(passed) > 0.55 * len(CHECKS)


@pytest.mark.long
@pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")
async def test_the_contract_is_kept_by_jax() -> None:
    """Those clauses that see an engine; the others see the device, which is the same."""
    names = {"probe-has-no-side-effects", "held-baseline-is-carried", "segments-end-with-their-theta-held"}
    checks = [check for check in CHECKS if check.name in names | {"data-can-be-replaced", "no-thread-is-left-running"}]
    outcomes = await run_conformance(lambda: open_device(f"{DENSE}&engine=jax"), checks=checks)
    assert {outcome.verdict for outcome in outcomes} == {Verdict.PASSED}


async def test_it_says_what_it_is() -> None:
    device = open_device("sim:ideal-fashion?d=2&engine=reference")
    assert Capability.DETERMINISTIC not in device.info.capabilities
    for capability in ("MEASURE", "PROBE", "LEARN", "AMPLITUDES", "REPEATABLE"):
        assert Capability[capability] in device.info.capabilities
    assert (device.info.n_inputs, device.info.n_outputs, device.info.cost_kind) == (784, 10, "xent")
    assert (device.info.cost_lsb, device.info.theta_lsb, device.info.exact_writes) == (1.0, 2.0**-23, True)
    async with device:
        assert device.info.details["engine"] == "reference"
        assert device.info.details["layers"].startswith("conv3x3:2,conv3x3:2,maxpool2")
    assert not open_device("sim:ideal?write_noise=0.1").info.exact_writes


async def test_what_is_written_is_held_to_the_last_bit() -> None:
    _, theta, dataset = parts_of(DENSE)
    async with open_device(DENSE) as device:
        await device.load(dataset)
        np.testing.assert_array_equal(await device.write(theta), theta)
        np.testing.assert_array_equal(await device.read(), theta)


async def test_cost_noise_has_its_size_and_is_a_function_of_step_and_measurement() -> None:
    _, theta, dataset = parts_of(DENSE)
    samples = np.arange(20)
    async with open_device(f"{DENSE}&cost_noise=0.1") as noisy, open_device(DENSE) as quiet:
        assert isinstance(noisy, IdealDevice)
        assert isinstance(quiet, IdealDevice)
        for device in (noisy, quiet):
            await device.load(dataset)
            await device.write(theta)
        true = await quiet.measure(samples, 0, Part.PLUS)
        found = [await noisy.measure(samples, step, Part.PLUS) - true for step in range(400)]
        assert found[7] == await noisy.measure(samples, 7, Part.PLUS) - true
        assert found[7] != await noisy.measure(samples, 7, Part.MINUS) - true
    # of 20 samples: 0.1 √20, known from 400 draws to 4 standard errors of 1/√800
    assert np.std(found) == pytest.approx(0.1 * np.sqrt(20), rel=4 / np.sqrt(800))
    assert abs(np.mean(found)) < 4 * 0.1 * np.sqrt(20 / 400)


async def test_write_noise_is_drawn_at_each_write() -> None:
    _, theta, dataset = parts_of("sim:ideal?layers=50-50-3")
    async with open_device("sim:ideal?layers=50-50-3&write_noise=0.02") as device:
        await device.load(dataset)
        first, again, other = [await device.write(theta, step) - theta for step in (1, 1, 2)]
        np.testing.assert_array_equal(first, again)
        assert not np.any(first == other)
        assert np.std(first) == pytest.approx(0.02, rel=4 / np.sqrt(2 * theta.size))
        assert isinstance(device, IdealDevice)
        np.testing.assert_array_equal(await device.requested(), theta)


async def test_an_estimate_over_many_probes_is_the_true_gradient() -> None:
    """Antithetic probes of one layer after another: exact but for the codes' own noise, 1/√τ, and third derivatives."""
    from mgdhw_sim.ideal import reference

    spec, theta, dataset = parts_of(CONVOLUTIONS)
    network, samples, rounds = spec.network, 20, 3_000
    layers = len(network.topology.layers)
    order = SampleOrder(1, samples, samples, rounds * layers)
    codes = CodeSpec("random", 5, 8, "layer")
    async with open_device(CONVOLUTIONS) as device:
        await device.load(replace(dataset, n_train=samples))
        await device.write(theta)
        costs = await device.probe(Block(0, rounds * layers, codes, order))
    x, targets = dataset.values(np.arange(samples)), dataset.targets[:samples]
    true = reference.gradient(network, theta, x, targets, spec.cost)
    from mgdhw.codes import Codes

    values = Codes(codes, network.topology).values(0, rounds * layers)
    change = (costs.perturbed - costs.reference) / samples
    found = (change @ values) / (rounds * 8**2 * spec.theta_lsb)
    for layer in network.topology.layers:
        own, n = layer.parameters, layer.n_parameters
        error = np.linalg.norm(found[own] - true[own]) / np.linalg.norm(true[own])
        assert error < 1.5 * np.sqrt(n / rounds), layer  # crosstalk of n parameters; 0.26 for the widest


@pytest.mark.parametrize("level", ["learn", "device-codes", "host-codes"])
async def test_it_learns_at_every_level(level: str) -> None:
    experiment = parse_experiment(
        f'[run]\nlevel="{level}"\n[training]\nprobes=4000\nbatch=4\ntau_theta=8\n[optimizer]\nname="adam"\neta=0.05',
        source="test",
    )
    events: list[Event] = []
    async with open_device("sim:ideal?layers=2-4-1") as device:
        events = [event async for event in Trainer(experiment, device, load("xor"))]
    started, finished = events[0], events[-1]
    assert isinstance(started, Started)
    assert isinstance(finished, Finished)
    assert any("a run repeats bit for bit on this machine" in note for note in started.notes)
    assert finished.last.accuracy == 1.0


async def test_convolutions_learn_layer_by_layer() -> None:
    """Stripes, upright or level: what one filter sees."""
    generator = np.random.default_rng(0)
    upright = generator.integers(2, size=200)
    images = np.zeros((200, 6, 6))
    for image, is_upright in zip(images, upright, strict=True):
        place = generator.integers(6)
        image[(slice(None), place) if is_upright else (place,)] = 1.0
    dataset = replace(
        parts_of("sim:ideal?layers=36-2")[2],
        inputs=images.reshape(200, 36),
        input_scale=1.0,
        targets=np.eye(2)[upright],
        n_train=150,
    )
    uri = "sim:ideal?input=6x6&layers=conv3x3:4,maxpool2,dense:2&cost=xent&activation=tanh"
    experiment = parse_experiment(
        "[codes]\ngroups='layer'\ndelta=[0.01, 0.02]\n[training]\nprobes=4000\nbatch=20\ntau_x=2\ntau_theta=4\n"
        "[optimizer]\nname='adam'\neta=0.03",
        source="test",
    )
    async with open_device(uri) as device:
        events = [event async for event in Trainer(experiment, device, dataset)]
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert finished.last.accuracy is not None
    assert finished.last.accuracy > 0.9
