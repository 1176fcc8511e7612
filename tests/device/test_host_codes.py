"""What the host does for a device that only sets and measures."""

from random import Random

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mgdhw.arrays import FloatArray
from mgdhw.block import Baseline, Block, Costs, HeldBaseline, Part
from mgdhw.codes import Codes
from mgdhw.device import Device
from mgdhw.errors import LinkTimeout
from mgdhw.experiment.load import parse_experiment
from mgdhw.experiment.schema import Experiment
from mgdhw.training.events import Finished
from mgdhw.training.trainer import Trainer
from tests.device.bowl import BOTTOM, ONE_SAMPLE, Bowl, block, opened


async def expected_costs(given: Block, theta: FloatArray, device: Bowl) -> tuple[list[float], list[float]]:
    """Probe by probe: what is measured, and what it is compared with."""
    values = Codes(given.codes, device.info.topology).values(given.first_step, given.n_probes)

    def cost(at: FloatArray) -> float:
        return float(np.square(at - BOTTOM).sum() + 1.0) * given.order.batch

    perturbed, reference = [], []
    for change in values * device.info.theta_lsb:
        perturbed.append(cost(theta + change))
        if given.baseline is Baseline.ANTITHETIC:
            reference.append(cost(theta - change))
        else:
            reference.append(0.0 if given.baseline is Baseline.NONE else cost(theta))
    return perturbed, reference


@pytest.mark.parametrize("baseline", Baseline)
@pytest.mark.parametrize("lsb", [2.0**-10, "each"])
async def test_the_host_expands_a_block_into_writes_and_measurements(baseline: Baseline, lsb: float | str) -> None:
    device = await opened(Bowl(2.0 ** -np.arange(8.0, 13.0) if isinstance(lsb, str) else lsb))
    theta = await device.write(np.linspace(-0.5, 0.5, 5))
    given = block(baseline)
    costs = await device.probe(given)
    perturbed, reference = await expected_costs(given, theta, device)
    assert costs.perturbed.tolist() == perturbed
    assert costs.reference.tolist() == reference
    assert costs.evaluations == given.evaluations() == len(device.measured)
    assert_array_equal(device.theta, theta)
    assert_array_equal(device.sent[-1], theta)


async def test_every_measurement_carries_its_step_part_and_samples() -> None:
    """Steps 8 ... 13, four to a batch of two: a simulated device keys its noise with them."""
    device = await opened(Bowl())
    samples = block().order.samples(2, 2).tolist()
    await device.probe(block())
    assert device.measured == [
        (samples[0], 8, Part.BASELINE),
        *((samples[0], step, Part.PLUS) for step in (8, 9, 10, 11)),
        (samples[1], 12, Part.BASELINE),
        *((samples[1], step, Part.PLUS) for step in (12, 13)),
    ]
    device.measured.clear()
    await device.probe(block(Baseline.ANTITHETIC, n_probes=2))
    assert [(step, part) for _, step, part in device.measured] == [
        (8, Part.PLUS),
        (8, Part.MINUS),
        (9, Part.PLUS),
        (9, Part.MINUS),
    ]


async def test_a_held_baseline_is_neither_measured_nor_counted_again() -> None:
    device = await opened(Bowl())
    first = await device.probe(block(n_probes=2))
    device.measured.clear()
    second = await device.probe(block(first_step=10, n_probes=2, held=first.held))
    assert first.held == HeldBaseline(first.reference[0], 8) == second.held
    assert [part for _, _, part in device.measured] == [Part.PLUS, Part.PLUS]
    assert second.evaluations == 2
    for baseline in (Baseline.EVERY, Baseline.ANTITHETIC, Baseline.NONE):
        assert (await device.probe(block(baseline))).held is None


@pytest.mark.parametrize("cuts", [[6], [1] * 6, [3, 3], [2, 4], [5, 1]])
@pytest.mark.parametrize("baseline", Baseline)
async def test_any_cut_gives_the_same_costs_and_count(cuts: list[int], baseline: Baseline) -> None:
    device = await opened(Bowl())
    await device.write(np.linspace(-0.5, 0.5, 5))
    whole = await device.probe(block(baseline))
    step, held, parts = 8, None, list[Costs]()
    for size in cuts:
        parts.append(await device.probe(block(baseline, first_step=step, n_probes=size, held=held)))
        step, held = step + size, parts[-1].held
    assert_array_equal(np.concatenate([part.perturbed for part in parts]), whole.perturbed)
    assert_array_equal(np.concatenate([part.reference for part in parts]), whole.reference)
    assert sum(part.evaluations for part in parts) == whole.evaluations
    assert held == whole.held


@pytest.mark.parametrize("number", [0, 1, 5, 7])
async def test_parameters_are_restored_after_a_measurement_that_fails(number: int) -> None:
    def fail(count: int) -> None:
        if count == number:
            raise LinkTimeout("no answer", uri="bowl:1")

    device = await opened(Bowl(fail=fail))
    theta = await device.write(np.linspace(-0.5, 0.5, 5))
    with pytest.raises(LinkTimeout):
        await device.probe(block())
    assert_array_equal(device.theta, theta)


@pytest.mark.parametrize("family", ["random", "sinusoidal", "walsh", "sequential", "sparse"])
async def test_five_knobs_and_a_meter_are_trained_to_the_bottom(family: str) -> None:
    """Costs that are floats, and no structure known: "just P parameters" is enough."""
    experiment = parse_experiment(
        "[training]\nprobes = 6_000\ntau_theta = 32\ntau_x = 32\ninit = 'uniform'\n"
        "[optimizer]\nname = 'momentum'\neta = 0.02\n[codes]\ndensity = 0.5",
        source="test",
        overrides=[f"codes.family={family}", "codes.delta=0.01"],
    )
    device = Bowl(2.0**-12)
    async with device:
        finished = await train(experiment, device)
        assert device.cost is not None
        assert device.cost(device.theta) < 1.0005
    assert np.abs(finished.state.theta - BOTTOM).max() < 0.01


async def test_bowls_are_trained_alike_whatever_the_blocks() -> None:
    """Float costs too are added in the order of the probes, so that no cut changes a bit."""
    digests = set()
    for size in (1, 7, 100):
        experiment = parse_experiment(
            "[training]\nprobes = 700\ntau_theta = 50\ntau_x = 9\ninit = 'uniform'",
            source="test",
            overrides=[f"run.block={size}"],
        )
        async with Bowl() as device:
            digests.add((await train(experiment, device)).digest)
    assert len(digests) == 1


async def test_a_knob_at_its_decimal_limit_is_trained_on() -> None:
    """Steep downhill, out of the range: the guard band keeps every perturbation inside."""
    rng = Random(1)
    for _ in range(20):
        lsb = rng.choice((0.1, 0.01, 0.001, 0.003))
        limit = round(rng.randint(5, 60) * lsb, 9)
        experiment = parse_experiment(
            "[training]\nprobes = 60\ntau_theta = 6\ntau_x = 100\ninit = 'uniform'\ninit_scale = 100.0\n"
            "[optimizer]\nname = 'sgd'\neta = 0.0",
            source="test",
            overrides=[f"codes.delta={rng.choice((1, 2)) * lsb}"],
        )
        async with Bowl(lsb, limit) as device:
            assert (await train(experiment, device)).reason == "done"
            assert np.abs(device.sent).max() <= limit


async def train(experiment: Experiment, device: Device) -> Finished:
    async for event in Trainer(experiment, device, ONE_SAMPLE):
        if isinstance(event, Finished):
            return event
    raise AssertionError("no end")
