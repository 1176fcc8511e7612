"""Node perturbation of ideal networks: the true gradient, without a bias, on every engine and at every level."""

from dataclasses import replace

import numpy as np
import pytest

from mgdhw.arrays import FloatArray
from mgdhw.block import Baseline, Block, CodeSpec, HeldBaseline, Target
from mgdhw.codes import Codes
from mgdhw.datasets import load
from mgdhw.device import open_device
from mgdhw.errors import ConfigError
from mgdhw.experiment.load import parse_experiment
from mgdhw.learning.gradient import Window, cost_scale, estimate
from mgdhw.learning.nodes import NodeUnits, accumulate_nodes
from mgdhw.random.sample_order import SampleOrder
from mgdhw.training.events import Event, Finished
from mgdhw.training.trainer import Trainer
from mgdhw_sim.ideal import reference
from mgdhw_sim.ideal.engines import Engine
from mgdhw_sim.ideal.variation import node_variation

from .networks import CONVOLUTIONS, DENSE, MIXED, NETWORKS, VARIED, engine_of, parts_of, rounding_of
from .test_engines import COMPILED

FINE = 2.0**-22
BATCH, SAMPLES = 18, 35
ONE_BATCH = SampleOrder(5, SAMPLES, BATCH, 1 << 40)


def nodes(family: str = "random", groups: str = "all", amplitude: int = 9) -> CodeSpec:
    return CodeSpec(family, 2**63 + 1, amplitude, groups, target=Target.NODES)


def estimated(engine: Engine, theta: FloatArray, block: Block) -> FloatArray:
    """(P,) ĝ of the mean cost from a block."""
    topology, spec = engine.topology, engine.spec
    window = Window.empty(topology.n_parameters, integer=False)
    window = accumulate_nodes(
        window, engine.probe(theta, block), Codes(block.codes, topology), block.first_step, block.order
    )
    units = NodeUnits.of(topology, spec.node_lsb, 1.0)
    return estimate(window, cost_scale(1.0, block.order.batch, block.baseline), units.of_quotient)


# --- the gradient -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["reference", "numba"])
@pytest.mark.parametrize("uri", NETWORKS)
@pytest.mark.parametrize(
    ("family", "groups", "baseline"),
    [
        ("sequential", "all", Baseline.HELD),
        ("walsh", "layer", Baseline.ANTITHETIC),
        ("walsh", "all", Baseline.EVERY),
    ],
)
def test_a_window_gives_the_true_gradient(name: str, uri: str, family: str, groups: str, baseline: Baseline) -> None:
    """Of every layer, dense or a convolution: in direction and in size."""
    spec, theta, dataset = parts_of(uri)
    spec = replace(spec, theta_lsb=FINE)
    codes = nodes(family, groups, 500)
    block = Block(0, Codes(codes, spec.network.topology).window(), codes, ONE_BATCH, baseline)
    found = estimated(engine_of(name, spec, dataset), theta, block)
    samples = ONE_BATCH.samples(0, 1)[0]
    true = reference.gradient(
        spec.network, theta, dataset.values(samples), dataset.targets[samples], spec.cost, node_variation(spec)
    )
    for layer in spec.network.topology.layers:
        one, other = found[layer.parameters], true[layer.parameters]
        assert one @ other / np.sqrt(one @ one * (other @ other)) > 0.995  # relu has kinks
        assert 0.95 < np.sqrt(one @ one / (other @ other)) < 1.05


@pytest.mark.parametrize("uri", [DENSE, CONVOLUTIONS])
@pytest.mark.parametrize("groups", ["all", "layer"])
def test_estimates_of_single_probes_have_no_bias(uri: str, groups: str) -> None:
    """ĝ of each layer along the true gradient is 1 in the mean, within 4 standard errors.

    Layers are ten in all: with other seeds a right estimate would fail with a chance of 10 · 6.3e-5, or 0.06 %.
    """
    spec, theta, dataset = parts_of(uri)
    spec = replace(spec, theta_lsb=FINE)
    engine, layers = engine_of("numba", spec, dataset), spec.network.topology.layers
    turns = len(layers) if groups == "layer" else 1
    samples = ONE_BATCH.samples(0, 1)[0]
    true = reference.gradient(spec.network, theta, dataset.values(samples), dataset.targets[samples], spec.cost, None)
    along = []
    for first in range(0, 5000 * turns, turns):
        block = Block(first, turns, nodes(groups=groups, amplitude=500), ONE_BATCH, Baseline.ANTITHETIC)
        found = estimated(engine, theta, block)
        along.append([found[at.parameters] @ true[at.parameters] for at in layers])
    size = [true[at.parameters] @ true[at.parameters] for at in layers]
    shares = np.array(along) / size
    error = shares.std(axis=0, ddof=1) / np.sqrt(len(shares))
    assert (np.abs(shares.mean(axis=0) - 1) < 4 * error).all()
    assert (error < 0.3).all()  # it would notice


# --- engines ----------------------------------------------------------------------------------------------------------


def block_of(codes: CodeSpec, baseline: Baseline, n_probes: int = 11, first_step: int = 7) -> Block:
    return Block(first_step, n_probes, codes, SampleOrder(5, SAMPLES, BATCH, 4), baseline)


@pytest.mark.parametrize("baseline", [Baseline.HELD, Baseline.EVERY, Baseline.ANTITHETIC])
@pytest.mark.parametrize("groups", ["all", "layer"])
@pytest.mark.parametrize("uri", [CONVOLUTIONS, MIXED, VARIED])
def test_numba_s_blocks_are_the_reference_s(uri: str, groups: str, baseline: Baseline) -> None:
    assert_same("numba", f"{uri}&cost_noise=0.1", block_of(nodes(groups=groups), baseline))


@pytest.mark.parametrize("name", COMPILED)
def test_every_engine_perturbs_nodes(name: str) -> None:
    assert_same(name, CONVOLUTIONS, block_of(nodes("sparse", "layer"), Baseline.HELD))


def assert_same(name: str, uri: str, block: Block) -> None:
    """Costs and sums are the reference's, up to rounding of each sample."""
    spec, theta, dataset = parts_of(uri)
    expected = engine_of("reference", spec, dataset).probe(theta, block)
    found = engine_of(name, spec, dataset).probe(theta, block)
    tolerance = BATCH * rounding_of(spec)
    np.testing.assert_allclose(found.perturbed, expected.perturbed, rtol=0, atol=tolerance)
    np.testing.assert_allclose(found.reference, expected.reference, rtol=0, atol=tolerance)
    assert found.node_sums is not None
    assert expected.node_sums is not None
    # A sum has as many terms as probes, samples and positions; inputs are of the order of 1.
    terms = block.n_probes * 2 * max(layer.positions for layer in spec.network.topology.layers)
    np.testing.assert_allclose(
        found.node_sums, expected.node_sums, rtol=1e-5, atol=terms * block.codes.amplitude * tolerance
    )
    assert np.abs(expected.node_sums).max() > 20 * block.codes.amplitude * tolerance
    assert found.evaluations == expected.evaluations


def test_large_batches_are_shared_between_cores_without_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    spec, theta, dataset = parts_of(CONVOLUTIONS, samples=400)
    block = Block(0, 5, nodes(), SampleOrder(5, 395, 300, 5), Baseline.ANTITHETIC)
    alone = engine_of("numba", spec, dataset)
    monkeypatch.setattr(alone, "_cores", 1)
    monkeypatch.setattr("mgdhw_sim.ideal.engines.numba.engine.WORTH_A_THREAD", 1)
    shared = engine_of("numba", spec, dataset)
    monkeypatch.setattr(shared, "_cores", 3)
    one, other = alone.probe(theta, block), shared.probe(theta, block)
    shared.close()
    np.testing.assert_array_equal(one.node_sums, other.node_sums)
    np.testing.assert_array_equal(one.perturbed, other.perturbed)


def test_a_baseline_is_carried_with_its_noise() -> None:
    spec, theta, dataset = parts_of(f"{DENSE}&cost_noise=0.1")
    engine = engine_of("reference", spec, dataset)
    whole = engine.probe(theta, block_of(nodes(), Baseline.HELD, 5, 4))
    first = engine.probe(theta, block_of(nodes(), Baseline.HELD, 2, 4))
    rest = replace(block_of(nodes(), Baseline.HELD, 3, 6), held=first.held)
    second = engine.probe(theta, rest)
    assert isinstance(first.held, HeldBaseline)
    assert first.evaluations + second.evaluations == whole.evaluations
    np.testing.assert_allclose(first.node_sums + second.node_sums, whole.node_sums, rtol=1e-12)


# --- training ---------------------------------------------------------------------------------------------------------


async def finished(uri: str, *overrides: str) -> Finished:
    """The end of a training on digits."""
    text = (
        'seed = 3\n[training]\nprobes = 400\nbatch = 8\ntau_x = 6\ntau_theta = 12\n[codes]\ntarget = "nodes"\n'
        "[optimizer]\neta = 0.02\n"
    )
    experiment = parse_experiment(text, source="test", overrides=overrides)
    last: Event | None = None
    async with open_device(uri) as device:
        async for event in Trainer(experiment, device, load("digits")):
            last = event
    assert isinstance(last, Finished)
    return last


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("codes.groups=layer", "training.baseline=every", "optimizer.name=momentum"),
        ("training.baseline=antithetic", "optimizer.name=sgd", "training.normalise=oripov", "codes.groups=layer"),
    ],
)
async def test_levels_and_engines_agree_up_to_rounding(overrides: tuple[str, ...]) -> None:
    found = {
        (engine, level): await finished(f"sim:ideal?engine={engine}", f"run.level={level}", *overrides)
        for engine in ("reference", "numba")
        for level in ("device-codes", "learn")
    }
    expected = found["reference", "device-codes"].state
    for each in found.values():
        np.testing.assert_allclose(each.state.theta, expected.theta, rtol=0, atol=2e-4)
        assert each.state.evaluations == expected.evaluations
    again = await finished("sim:ideal?engine=numba", "run.level=learn", *overrides)
    assert again.digest == found["numba", "learn"].digest


async def test_digits_are_learnt_in_fewer_evaluations_than_with_weights() -> None:
    changes = ("training.probes=6000", "training.batch=1", "training.tau_x=1", "training.tau_theta=100")
    uri = "sim:ideal?layers=64-16-10&activation=tanh&cost=xent&engine=numba"
    nodes = await finished(uri, *changes)
    weights = await finished(uri, *changes, "codes.target=weights")
    assert nodes.state.evaluations == weights.state.evaluations
    assert nodes.last.accuracy is not None
    assert weights.last.accuracy is not None
    assert nodes.last.accuracy > 0.8
    assert nodes.last.accuracy > weights.last.accuracy + 0.1


@pytest.mark.parametrize(
    ("uri", "override", "message"),
    [
        ("sim:analog-8bit?cost_noise=0.1", "seed=1", 'cannot perturb its nodes; use codes.target = "weights"'),
        ("sim:ideal", "run.level=host-codes", "host codes perturb parameters, not nodes"),
        ("sim:ideal", "codes.family=rank1", "nodes have none"),
        ("sim:ideal", "training.mode=continuous", "continuous mode perturbs parameters, not nodes"),
        ("sim:ideal", "readings.outliers=clip", "readings.outliers: of no use where nodes are perturbed"),
    ],
)
async def test_what_cannot_be_is_refused_in_a_sentence(uri: str, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        await finished(uri, override)


async def test_devices_without_nodes_and_host_codes_refuse_blocks() -> None:
    _, _, dataset = parts_of(DENSE)
    block = block_of(nodes(), Baseline.HELD)
    async with open_device(DENSE) as device:
        await device.load(dataset)
        with pytest.raises(ConfigError, match="host codes perturb parameters, not nodes"):
            await device.probe_with_host_codes(block)  # type: ignore[attr-defined]


def test_what_was_trained_before_has_the_digest_it_had() -> None:
    plain, named, other = (
        parse_experiment("", source="test", overrides=changes).decisive()
        for changes in ((), ("codes.target=weights",), ("codes.target=nodes",))
    )
    assert plain == named
    assert "target" not in plain["codes"]
    assert other["codes"]["target"] == "nodes"
