"""A small training, and what it says."""

from numpy.testing import assert_array_equal

from mgdhw.datasets import Dataset
from mgdhw.datasets import load as load_dataset
from mgdhw.device import Device
from mgdhw.experiment.load import parse_experiment
from mgdhw.learning.state import TrainState
from mgdhw.training.events import Event, Finished
from mgdhw.training.trainer import Trainer
from mgdhw_sim.device import SimDevice
from mgdhw_sim.uri import parse
from tests.helpers.chips import WIDE_CHIP

XOR = load_dataset("xor")

# Batches, held baselines, updates and evaluations that fall in with each other as little as possible.
SMALL = (
    "training.probes=301",
    "training.tau_theta=10",
    "training.tau_x=3",
    "training.batch=3",
    "training.init=uniform",
    "optimizer.eta=0.1",
    "codes.delta=0.25",
    "codes.density=0.4",
    "evaluation.every=77",
    "run.level=device-codes",
)


def trainer(*overrides: str, device: Device, dataset: Dataset = XOR, resume: TrainState | None = None) -> Trainer:
    experiment = parse_experiment("", source="test", overrides=[*SMALL, *overrides])
    return Trainer(experiment, device, dataset, resume=resume)


async def run(
    *overrides: str, device: Device | None = None, dataset: Dataset = XOR, resume: TrainState | None = None
) -> list[Event]:
    """Everything that a training says."""
    async with device or SimDevice(WIDE_CHIP, parse(WIDE_CHIP)) as opened:
        return [event async for event in trainer(*overrides, device=opened, dataset=dataset, resume=resume)]


def assert_same_end(one: Finished, other: Finished) -> None:
    """The digest says it; the parts say where."""
    assert one.state.evaluations == other.state.evaluations
    assert_array_equal(one.state.theta, other.state.theta)
    assert_array_equal(one.state.window.cross, other.state.window.cross)
    assert_array_equal(one.state.window.energy, other.state.window.energy)
    assert_array_equal(one.state.filters.gradient, other.state.filters.gradient)
    assert one.state.held == other.state.held
    assert one.state.optimizer.keys() == other.state.optimizer.keys()
    for name, array in one.state.optimizer.items():
        assert_array_equal(array, other.state.optimizer[name])
    assert one.digest == other.digest
