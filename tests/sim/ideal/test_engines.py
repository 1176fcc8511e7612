"""Every engine against the reference: blocks, noise and whole trainings, up to what float32 rounds."""

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

from mgdhw.arrays import FloatArray
from mgdhw.block import Baseline, Block, CodeSpec
from mgdhw.codes import FAMILIES
from mgdhw.errors import ConfigError
from mgdhw.experiment.load import parse_experiment
from mgdhw.learning.segment import Segment, SegmentResult
from mgdhw.random.sample_order import SampleOrder
from mgdhw.training.prepare import first_state, learning_rule
from mgdhw_sim.ideal.address import parse
from mgdhw_sim.ideal.device import IdealDevice
from mgdhw_sim.ideal.engines import ENGINES, make_engine
from mgdhw_sim.ideal.engines.numba.engine import NumbaEngine

from .networks import CONVOLUTIONS, DENSE, MIXED, NETWORKS, VARIED, chances, engine_of, parts_of, rounding_of

WITHOUT_JAX = pytest.mark.skipif(find_spec("jax") is None, reason="JAX is not installed")
JAX = pytest.param("jax", marks=[WITHOUT_JAX, pytest.mark.long])
COMPILED = ["numba", JAX]
"""JAX compiles for seconds, for each network and rule: it is compared when that is asked for, and in fewer cases."""
STEP = 7
"""In the middle of a round and of a batch."""


def block_of(codes: CodeSpec, baseline: Baseline = Baseline.HELD, n_probes: int = 11, batch: int = 18) -> Block:
    return Block(STEP, n_probes, codes, SampleOrder(5, 35, batch, 4), baseline)


def assert_same_costs(name: str, uri: str, block: Block, seed: int = 0) -> None:
    """Costs are the reference's, up to rounding of each sample; so are their differences."""
    spec, theta, dataset = parts_of(uri, seed)
    expected = engine_of("reference", spec, dataset).probe(theta, block)
    found = engine_of(name, spec, dataset).probe(theta, block)
    tolerance = block.order.batch * rounding_of(spec)
    np.testing.assert_allclose(found.perturbed, expected.perturbed, rtol=0, atol=tolerance)
    np.testing.assert_allclose(found.reference, expected.reference, rtol=0, atol=tolerance)
    assert found.evaluations == expected.evaluations
    assert (found.held is None) == (expected.held is None)
    if found.held is not None and expected.held is not None:
        assert found.held.step == expected.held.step


@pytest.mark.parametrize("name", COMPILED)
@pytest.mark.parametrize(("uri", "seed"), chances(NETWORKS))
def test_outputs_and_costs_are_the_reference_s(name: str, uri: str, seed: int) -> None:
    spec, theta, dataset = parts_of(uri, seed)
    reference, engine = (engine_of(each, spec, dataset) for each in ("reference", name))
    for samples in (np.arange(40), np.array([3]), np.array([1, 0, 1, 39] * 5)):
        tolerance = rounding_of(spec)
        found = engine.outputs(theta, samples)
        np.testing.assert_allclose(found, reference.outputs(theta, samples), rtol=0, atol=tolerance)
        np.testing.assert_allclose(
            engine.costs(theta, samples), reference.costs(theta, samples), rtol=0, atol=tolerance
        )


@pytest.mark.parametrize("groups", ["all", "layer"])
@pytest.mark.parametrize("baseline", [*Baseline])
@pytest.mark.parametrize("name", COMPILED)
def test_blocks_are_the_reference_s(name: str, groups: str, baseline: Baseline) -> None:
    if name == "jax" and baseline in (Baseline.EVERY, Baseline.NONE):
        pytest.skip("compiled as for a held baseline")
    assert_same_costs(name, CONVOLUTIONS, block_of(CodeSpec("random", 2**63 + 1, 9, groups), baseline))


@pytest.mark.parametrize(
    ("name", "uri"),
    [("numba", DENSE), ("numba", MIXED), ("numba", VARIED), pytest.param("jax", VARIED, marks=JAX.marks)],
)
def test_blocks_of_other_networks_are_the_reference_s(name: str, uri: str) -> None:
    assert_same_costs(name, uri, block_of(CodeSpec("random", 3, 40, "layer"), Baseline.ANTITHETIC))


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"random"}))
def test_codes_of_every_family_are_made(family: str) -> None:
    assert_same_costs("numba", CONVOLUTIONS, block_of(CodeSpec(family, 4, 30, "layer")))
    assert_same_costs("numba", CONVOLUTIONS, block_of(CodeSpec(family, 4, 30, "all"), n_probes=3))


def test_layers_have_amplitudes_and_noise() -> None:
    codes = CodeSpec("random", 1, 60, "layer", amplitudes=(60, 7, 1))
    assert_same_costs("numba", CONVOLUTIONS, block_of(codes))
    assert_same_costs("numba", f"{CONVOLUTIONS}&cost_noise=0.1&seed=9", block_of(codes, Baseline.EVERY))
    assert_same_costs("numba", f"{CONVOLUTIONS}&cost_noise=0.1&seed=9", block_of(codes, Baseline.HELD))


def test_a_baseline_is_carried() -> None:
    spec, theta, dataset = parts_of(f"{DENSE}&cost_noise=0.1")
    engine = engine_of("numba", spec, dataset)
    whole = engine.probe(theta, block_of(CodeSpec("random", 1, 60), n_probes=5))
    first = engine.probe(theta, block_of(CodeSpec("random", 1, 60), n_probes=2))
    rest = replace(block_of(CodeSpec("random", 1, 60), n_probes=3), first_step=STEP + 2, held=first.held)
    second = engine.probe(theta, rest)
    assert first.evaluations + second.evaluations == whole.evaluations
    joined = np.concatenate([first.perturbed, second.perturbed])
    np.testing.assert_allclose(joined, whole.perturbed, rtol=0, atol=18 * rounding_of(spec))


# --- training ---------------------------------------------------------------------------------------------------------

RULES = {
    "the study's": ("codes.groups=layer", "training.tau_x=3", "training.tau_theta=3", "training.normalise=oripov"),
    "held for a window": ("codes.groups=layer", "training.tau_x=12", "training.tau_theta=6", "optimizer.name=adam"),
    "batches in a window": ("training.tau_x=2", "training.tau_theta=8", "optimizer.name=momentum"),
    "antithetic": (
        "training.baseline=antithetic",
        "training.tau_theta=4",
        "optimizer.name=rmsprop",
        "schedule.name=cosine",
    ),
    "every, sparse": (
        "training.baseline=every",
        "codes.family=sparse",
        "training.tau_theta=5",
        "optimizer.name=nesterov",
    ),
    "irregular": ("codes.groups=layer", "training.tau_x=4", "training.tau_theta=5", "optimizer.name=adamw"),
    "rounded": ("training.rounding=stochastic", "training.tau_theta=2"),
    "continuous": ("training.mode=continuous", "training.update_every=2", "training.tau_theta=9"),
}
PROBES = 29


def trained(
    name: str, uri: str, rule: tuple[str, ...], cuts: tuple[int, ...] = (PROBES,), seed: int = 1
) -> SegmentResult:
    """Where an engine's training leads."""
    spec, theta, dataset = parts_of(uri)
    engine, segment = engine_of(name, spec, dataset), segment_of(uri, rule, theta, seed)
    for n_probes in cuts:
        result = engine.learn(replace(segment, n_probes=n_probes))
        segment = replace(segment, state=result.state)
    return result


def segment_of(uri: str, rule: tuple[str, ...], theta: FloatArray, seed: int = 1) -> Segment:
    spec, _, dataset = parts_of(uri)
    info = IdealDevice(uri, spec).info
    experiment = parse_experiment(
        f"seed={seed}\n[codes]\ndelta=0.02\n[training]\nprobes=60\nbatch=6\n[optimizer]\neta=0.02",
        source="test",
        overrides=rule,
    )
    learning, _ = learning_rule(experiment, info, dataset.n_train)
    return Segment(replace(first_state(experiment, info, learning, dataset), theta=theta), learning, PROBES)


def assert_same_training(found: SegmentResult, expected: SegmentResult, tolerance: float) -> None:
    for name in ("step", "update", "evaluations"):
        assert getattr(found.state, name) == getattr(expected.state, name)
    np.testing.assert_allclose(found.state.theta, expected.state.theta, rtol=0, atol=tolerance)
    assert set(found.state.optimizer) == set(expected.state.optimizer)
    for name, value in expected.state.optimizer.items():
        assert found.state.optimizer[name].shape == value.shape
    assert found.cost == pytest.approx(expected.cost, rel=1e-5)
    assert (found.last is None) == (expected.last is None)
    if found.last is not None and expected.last is not None:
        assert found.last.eta == expected.last.eta
        assert found.last.gradient_norm == pytest.approx(expected.last.gradient_norm, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "rule"),
    [*(("numba", rule) for rule in RULES)]
    + [pytest.param("jax", rule, marks=JAX.marks) for rule in ("the study's", "antithetic", "every, sparse")],
)
def test_trainings_are_the_reference_s(name: str, rule: str) -> None:
    """A gradient's error is that of a cost over Δ, here 3·10⁻⁶ / 0.02; η, updates and adaptive steps do the rest."""
    expected = trained("reference", CONVOLUTIONS, RULES[rule])
    assert_same_training(trained(name, CONVOLUTIONS, RULES[rule]), expected, 2e-4)
    moved = np.abs(expected.state.theta - parts_of(CONVOLUTIONS)[1]).max()
    assert moved > 2e-3, "there is something to compare"


@pytest.mark.parametrize(
    ("name", "rule"),
    [("numba", "the study's"), ("numba", "batches in a window"), pytest.param("jax", "the study's", marks=JAX.marks)],
)
def test_noise_is_the_reference_s(name: str, rule: str) -> None:
    noisy = f"{CONVOLUTIONS}&cost_noise=0.003&write_noise=0.002&neuron_std=0.1"
    expected = trained("reference", noisy, RULES[rule])
    assert_same_training(trained(name, noisy, RULES[rule]), expected, 2e-4)


@pytest.mark.parametrize("rule", ["the study's", "held for a window", "batches in a window"])
def test_segments_can_be_cut_anywhere(rule: str) -> None:
    whole, cut = (trained("numba", CONVOLUTIONS, RULES[rule], cuts) for cuts in ((PROBES,), (4, 1, 15, 9)))
    assert cut.state.step == whole.state.step
    assert cut.state.evaluations == whole.state.evaluations
    np.testing.assert_allclose(cut.state.theta, whole.state.theta, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", COMPILED)
def test_replicas_are_single_trainings(name: str) -> None:
    spec, theta, dataset = parts_of(CONVOLUTIONS)
    engine, rule = engine_of(name, spec, dataset), RULES["the study's"]
    segments = [segment_of(CONVOLUTIONS, rule, theta, seed) for seed in (1, 2, 3)]
    for segment, result in zip(segments, engine.learn_many(segments), strict=True):
        assert_same_training(result, engine.learn(segment), 1e-4)
    other = segment_of(CONVOLUTIONS, RULES["antithetic"], theta)
    for segment, result in zip([segments[0], other], engine.learn_many([segments[0], other]), strict=True):
        assert_same_training(result, engine.learn(segment), 1e-4)


# --- engines ----------------------------------------------------------------------------------------------------------


def test_large_batches_are_shared_between_cores_to_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    spec, theta, dataset = parts_of("sim:ideal-fashion?d=2", samples=150)
    block = Block(0, 18, CodeSpec("random", 1, 900, "layer"), SampleOrder(1, 145, 100, 9))
    alone = engine_of("numba", spec, dataset)
    monkeypatch.setattr(alone, "_cores", 1)
    several = engine_of("numba", spec, dataset)
    monkeypatch.setattr(several, "_cores", 3)
    assert isinstance(several, NumbaEngine)
    one, other = alone.probe(theta, block), several.probe(theta, block)
    assert several._threads is not None
    np.testing.assert_array_equal(one.perturbed, other.perturbed)
    several.close()
    np.testing.assert_array_equal(several.probe(theta, block).perturbed, other.perturbed)
    several.close()


@pytest.mark.parametrize("name", COMPILED)
def test_what_is_not_installed_is_said_with_its_remedy(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: object) -> None:
        raise ImportError(f"No module named '{name}'")

    monkeypatch.setitem(ENGINES, name, missing)
    remedy = "pip install 'mgdhw\\[jax\\]'" if name == "jax" else "pip install numba"
    with pytest.raises(ConfigError, match=f"engine={name} cannot be had here .*{remedy}, or engine=auto"):
        make_engine(parse(f"sim:ideal?engine={name}"))


def test_without_a_compiler_networks_run_in_numpy(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def missing(_: object) -> None:
        raise ImportError("no")

    monkeypatch.setitem(ENGINES, "numba", missing)
    monkeypatch.setitem(ENGINES, "jax", missing)
    assert make_engine(parse("sim:ideal")).name == "reference"
    assert "runs in numpy, which is slower" in caplog.text
