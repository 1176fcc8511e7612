"""A note where a probe's signal is below the noise, on chips that can tell beforehand."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

import mgdhw
from mgdhw.datasets import load
from mgdhw.experiment.load import parse_experiment
from mgdhw.training.events import ReplicasStarted, Started
from mgdhw.training.replicas import Replicas
from mgdhw.training.signal_check import weak_signal
from mgdhw.training.trainer import Trainer
from tests.helpers.chips import REFERENCE_CHIP

XOR = load("xor")
NOISY_CHIP = REFERENCE_CHIP + "&cost_noise=0.05&read_noise=0.1"


def notes_of(uri: str, *changes: str, replicas: int = 0) -> tuple[str, ...]:
    experiment = parse_experiment(
        "[training]\nprobes = 32\nbatch = 4\ntau_theta = 16\n[data]\nname = 'xor'", source="test", overrides=changes
    )

    async def run() -> tuple[str, ...]:
        async with mgdhw.open_device(uri) as device:
            if replicas:
                async for event in Replicas(experiment, device, XOR, replicas):
                    if isinstance(event, ReplicasStarted):
                        return event.notes
            async for event in Trainer(experiment, device, XOR):
                if isinstance(event, Started):
                    return event.notes
        raise AssertionError

    return tuple(note for note in asyncio.run(run()) if "change the cost by" in note)


def test_a_signal_below_the_noise_is_told_with_what_to_do() -> None:
    (note,) = notes_of(NOISY_CHIP, "codes.delta=0.03125")
    assert note.startswith("perturbations of Δ = 0.03125 change the cost by 0.0")
    for word in ("less than the 0.0", "noise on 4 samples", "codes.delta", "training.batch", "mgdhw check"):
        assert word in note


@pytest.mark.parametrize(
    ("uri", "change"),
    [
        (REFERENCE_CHIP, "codes.delta=0.03125"),
        (NOISY_CHIP, "codes.delta=1.0"),
        (REFERENCE_CHIP + "&cost_noise=0.0005", "codes.delta=0.125"),
    ],
)
def test_nothing_is_said_where_there_is_no_noise_or_more_signal(uri: str, change: str) -> None:
    assert notes_of(uri, change) == ()


@pytest.mark.parametrize("uri", [NOISY_CHIP, NOISY_CHIP + "&codes=host"])
def test_replicas_say_it_once(uri: str) -> None:
    assert len(notes_of(uri, "codes.delta=0.03125", replicas=3)) == 1


@pytest.mark.parametrize("family", ["sequential", "sparse", "sinusoidal", "rank1", "walsh"])
def test_every_family_and_mode_is_rehearsed(family: str) -> None:
    changes = f"codes.family={family}", "codes.delta=0.03125"
    assert len(notes_of(NOISY_CHIP, *changes)) == 1
    if family != "sequential":  # which continuous mode refuses
        assert len(notes_of(NOISY_CHIP, *changes, "training.mode=continuous")) == 1


async def test_rehearsing_changes_nothing() -> None:
    experiment = parse_experiment("[training]\nbatch = 4\n[codes]\ndelta = 0.03125", source="test")
    uri = NOISY_CHIP + "&w_max=4&w_min=-4&dw_min_std=1&endurance=1000"
    async with mgdhw.open_device(uri) as device:
        trainer = Trainer(experiment, device, XOR)
        await device.load(XOR)
        await device.write(np.full(13, 0.5), 0)
        before, held = await device.snapshot(), await device.read()
        assert weak_signal(device, trainer._rule, np.zeros(13)) is not None
        after = await device.snapshot()
        np.testing.assert_array_equal(await device.read(), held)
        assert before.keys() == after.keys()
        for name, value in before.items():
            np.testing.assert_array_equal(after[name], value)
