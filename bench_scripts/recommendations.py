"""What `mgdhw check` recommends beside the packaged settings, on random imperfect chips; and over its own seeds.

Ten chips are drawn (by their numbers, from --first on): pulsed cells or cells written by a converter, six to ten bits,
noise of reads and costs, unequal neurons, stuck cells, outputs that have not settled. Half of them learn digits, half
the letters of nist7x7. Each is checked (20,000 evaluations at most), then trained from five seeds with what the check
recommends, and with the settings of the packaged experiment (`mgdhw new`, with the default Δ, and
`examples/nist7x7.toml`), each as long as it says; the packaged ones take 600,000 and 200,000 evaluations, the
recommended ones some 400,000. The recommendation is to be no more than two points of mean test accuracy below; or the
check says that nothing was found that learns.

Then one chip is checked with ten seeds of the check's own: the largest η is to be at most twice the smallest.

Run: python bench_scripts/recommendations.py [--first NUMBER] [--json FILE] [--quick]     (four minutes on one core)
"""

from __future__ import annotations

import argparse
import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import Options, Row, progress, report

import mgdhw
from mgdhw.characterize import Characterization, check, matching_dataset

CHIPS = 10
CHECKS = 10
SEEDS = 5
FIRST_SEED = 1000
"""Seeds that no check has used."""
POINTS = 0.02
FACTOR = 2.0
SEEDED = "sim:analog-8bit?layers=49-4-4&cost_noise=0.01&read_noise=0.05&neuron_std=0.05"
"""The chip that is checked with many seeds."""


@dataclass(frozen=True)
class Task:
    """What is learnt: layers of the chip, and the packaged settings for it."""

    layers: str
    settings: dict[str, Any]


TASKS = (
    Task(
        "64-16-10",
        {
            "data": {"name": "digits"},
            "training": {"probes": 300_000, "batch": 32, "tau_theta": 100},
            "optimizer": {"name": "adamw", "eta": 0.05},
            "schedule": {"name": "cosine", "final": 0.02},
        },
    ),
    Task(
        "49-4-4",
        {
            "data": {"name": "nist7x7"},
            "training": {"probes": 100_000, "batch": 4, "tau_theta": 50},
            "optimizer": {"name": "adam", "eta": 0.05},
            "schedule": {"name": "cosine", "final": 0.05},
        },
    ),
)


def drawn(number: int) -> str:
    """Address of a random chip."""
    rng = np.random.default_rng(number)
    options: dict[str, float] = {
        "seed": number,
        "weight_bits": int(rng.choice([6, 8, 10])),
        "cost_noise": 10 ** rng.uniform(-3, -1.5),
        "read_noise": rng.uniform(0, 0.1),
        "neuron_std": rng.uniform(0, 0.1),
        "stuck": rng.uniform(0, 0.05),
    }
    if number % 3 == 0:
        options |= {"weight_bits": 6 if number % 2 == 0 else 8, "w_max": 4, "w_min": -4}
        options |= {"dw_min_std": rng.uniform(0, 0.5), "up_down": rng.uniform(-0.1, 0.1)}
        options |= dict.fromkeys(("w_max_dtod", "w_min_dtod", "dw_min_dtod"), rng.uniform(0, 0.3))
    else:
        options |= {"write_noise": rng.uniform(0, 0.03), "settling": float(rng.choice([0, 0.1]))}
    text = "&".join(f"{name}={value:.3g}" for name, value in options.items() if value)
    return f"sim:analog-8bit?layers={TASKS[number % 2].layers}&{text}"


async def checked(uri: str, seed: int) -> Characterization:
    """A chip's check."""
    async with mgdhw.open_device(uri) as device:
        return await check(device, matching_dataset(device.info, uri), seed=seed)


def accuracy(uri: str, settings: dict[str, Any], *, quick: bool) -> float:
    """Mean test accuracy of trainings from some seeds."""
    training = settings["training"]
    probes = 4 * training["tau_theta"] if quick else training["probes"]
    values = settings | {
        "seed": FIRST_SEED,
        "device": {"uri": uri},
        "training": training | {"probes": probes},
        "evaluation": {"every": probes},
    }
    trained = mgdhw.train_replicas(values, replicas=2 if quick else SEEDS, runs=None)
    return float(np.mean([one.accuracy for one in trained.replicas]))


def beside_packaged(number: int, *, quick: bool) -> Row:
    """Check a chip, and train it with both settings."""
    uri, task = drawn(number), TASKS[number % 2]
    result = asyncio.run(checked(uri, number))
    advice = result.recommendation
    theirs = accuracy(uri, task.settings, quick=quick)
    if advice is None:
        progress(f"{uri}: {result.problem}")
        plain = str(result.problem).startswith("no setting was found that learns")
        return Row(uri, "test accuracy", None, theirs, "packaged settings", "says that nothing learns", plain)
    mine = advice.experiment.model_dump(mode="json", exclude_none=True)
    ours = accuracy(uri, mine, quick=quick)
    progress(
        f"{uri}: {ours:.1%} with Δ {advice.delta:.3g}, τ {advice.tau} ({advice.baseline}), B {advice.batch}, η"
        f" {advice.eta:.3g} ({advice.experiment.optimizer.name}); {theirs:.1%} with the packaged settings"
    )
    holds = bool(ours >= theirs - POINTS)
    return Row(uri, "test accuracy", ours, theirs, "packaged settings", f"ours >= peer - {POINTS:g}", holds)


def over_seeds(checks: int) -> Row:
    """The largest and the smallest η of one chip's checks."""
    etas = []
    for seed in range(checks):
        advice = asyncio.run(checked(SEEDED, seed)).recommendation
        etas.append(np.inf if advice is None else advice.eta)
        progress(f"{SEEDED}, seed {seed}: η = {etas[-1]:.3g}")
    most, least = max(etas), min(etas)
    name = f"{SEEDED}, {checks} seeds of the check"
    target = f"ours <= {FACTOR:g} peer"
    return Row(name, "largest η", most, least, "smallest η", target, bool(most <= FACTOR * least))


def given(argv: list[str] | None = None) -> tuple[Options, int]:
    """Options from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write machine and rows to FILE")
    parser.add_argument("--quick", action="store_true", help="a smoke run; measures nothing")
    parser.add_argument("--first", type=int, default=0, metavar="NUMBER", help="of the ten chips")
    values = parser.parse_args(argv)
    return Options(values.json, values.quick), values.first


def main(options: Options, first: int) -> None:
    """All chips, then all seeds of one."""
    logging.getLogger("mgdhw").setLevel(logging.ERROR)  # what the chips have to say of themselves is no news
    rows = [
        beside_packaged(number, quick=options.quick)
        for number in ([1] if options.quick else range(first, first + CHIPS))
    ]
    rows.append(over_seeds(2 if options.quick else CHECKS))
    report("The recommendation of mgdhw check beside the packaged settings", rows, options)


if __name__ == "__main__":
    main(*given())
