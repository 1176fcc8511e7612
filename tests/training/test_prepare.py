"""What a training is prepared with: limits, perturbations, and what cannot be."""

import numpy as np
import pytest

from mgdhw.datasets import load as load_dataset
from mgdhw.device import Device
from mgdhw.errors import ConfigError
from mgdhw.experiment.load import parse_experiment
from mgdhw.training.events import Checkpoint, Started
from mgdhw.training.trainer import Trainer
from mgdhw_sim.device import SimDevice
from mgdhw_sim.uri import parse
from tests.helpers.chips import WIDE_CHIP
from tests.helpers.events import of
from tests.training.trainings import XOR, run, trainer


@pytest.mark.parametrize("level", ["learn", "device-codes", "host-codes"])
@pytest.mark.parametrize("rounding", ["nearest", "stochastic"])
async def test_parameters_never_leave_the_guard_band(level: str, rounding: str) -> None:
    """Driven against the rails, with perturbations of 16 steps."""
    changes = ("optimizer.eta=5.0", "codes.delta=1.0", f"run.level={level}", f"training.rounding={rounding}")
    events = await run(*changes, "run.checkpoint_seconds=1e-9")
    thetas = np.array([event.state.theta for event in of(events, Checkpoint)])
    assert thetas.min() == -8.0 + 1.0 + 2.0**-5
    assert thetas.max() == 8.0 - 2.0**-4 - 1.0 - 2.0**-5


@pytest.mark.parametrize(
    ("change", "delta", "notes"),
    [
        ("codes.delta=0.0625", 0.0625, 0),
        ("codes.delta=0.05", 0.0625, 1),
        ("codes.delta=0.1", 0.125, 1),
        ("codes.family=random", 0.25, 0),
    ],
)
async def test_delta_is_taken_in_whole_steps_and_says_so(change: str, delta: float, notes: int) -> None:
    started = of(await run(change), Started)[0]
    assert started.delta == delta
    assert len(started.notes) == notes
    assert all("is taken as" in note for note in started.notes)


@pytest.mark.parametrize(("family", "steps"), [("random", 4), ("walsh", 4), ("sinusoidal", 8)])
async def test_delta_has_a_default(family: str, steps: int) -> None:
    async with SimDevice(WIDE_CHIP, parse(WIDE_CHIP)) as device:
        experiment = parse_experiment(f"[codes]\nfamily = '{family}'\n[training]\nprobes = 1", source="test")
        (started, *_) = [event async for event in Trainer(experiment, device, XOR)]
    assert isinstance(started, Started)
    assert started.delta == steps * 2.0**-4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            ("codes.delta=0.03",),
            r"codes\.delta: 0\.03 is less than half of the smallest step .* expected at least 0\.0625",
        ),
        (("codes.delta=9.0",), r"codes\.delta: a perturbation of 9 leaves no room"),
        (("run.level=device-codes",), r"has no code generator; use level host-codes"),
        (("run.level=learn",), r"cannot learn by itself; use level device-codes or host-codes"),
    ],
)
def test_what_cannot_be_is_refused_before_it_begins(changes: tuple[str, ...], message: str) -> None:
    uri = f"{WIDE_CHIP}&codes=host"
    with pytest.raises(ConfigError, match=message):
        trainer(*changes, device=SimDevice(uri, parse(uri)))


def test_host_codes_need_single_measurements() -> None:
    class BlocksOnly(Device):
        info = SimDevice(WIDE_CHIP, parse(WIDE_CHIP)).info
        connect = disconnect = read = SimDevice.connect  # type: ignore[assignment]
        apply, infer, probe = SimDevice.apply, SimDevice.infer, SimDevice.probe  # type: ignore[assignment]

    with pytest.raises(ConfigError, match=r"^x:1 takes no single measurements; use level device-codes"):
        trainer("run.level=host-codes", device=BlocksOnly("x:1"))


async def test_data_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError, match="do not fit dataset 'parity-3'"):
        await run(dataset=load_dataset("parity-3"))
