"""Trainings of simulated racks in which everything goes wrong: typed errors, the same θ, no jump, a safe end.

python -m tests.drivers.bench.scenarios 100        # seeds for each rack; prints how they end
"""

import asyncio
import os
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

import mgdhw
from mgdhw.arrays import FloatArray
from mgdhw.errors import DeviceError
from mgdhw_drivers.bench.crash import FOLDER
from mgdhw_drivers.bench.simulate.faults import Faults
from mgdhw_drivers.bench.simulate.recorder import Cause, read_moves
from mgdhw_drivers.bench.simulate.simulation import SimulationSettings
from tests.drivers.bench.simulated import Simulated, simulated

SOURCE, UNITS, GENERATOR = "source-and-scope", "source-measure-units", "generator-and-digitizer"
QUICK = {
    SOURCE: (
        ('timeout = "2 s"', 'timeout = "0.2 s"'),
        ('identity = "SCOPE2"', 'identity = "SCOPE2"\ntimeout = "0.2 s"'),
    ),
    UNITS: (
        ('identity = "SMU1"', 'identity = "SMU1"\ntimeout = "0.2 s"'),
        ('identity = "SRC2"', 'identity = "SRC2"\ntimeout = "0.2 s"'),
        ('timeout = "5 s"', 'timeout = "0.2 s"'),
    ),
    GENERATOR: (('timeout = "10 s"', 'timeout = "0.3 s"'),),
}
"""Short timeouts: late replies come after 0.05 to 0.6 s."""
EXPERIMENT: dict[str, Any] = {
    "seed": 1,
    "data": {"name": "xor"},
    "codes": {"delta": 0.0625},
    "training": {"probes": 24, "batch": 4, "tau_x": 8, "init": "uniform", "tau_theta": 8},
    "optimizer": {"name": "adam", "eta": 0.2},
    "evaluation": {"every": 12},
}


def faults_of(seed: int) -> Faults:
    """A few kinds of faults, each more or less often."""
    draw = random.Random(seed)
    kinds = {
        "late": 0.01, "garbage": 0.01, "half": 0.01, "close": 0.01, "reboot": 0.005, "error": 0.003,
        "overload": 0.02, "interlock": 0.02,
    }  # fmt: skip
    chosen = draw.sample(sorted(kinds), draw.randint(1, 4))
    return Faults(**{name: kinds[name] * draw.uniform(0.3, 1.0) for name in chosen}, delay=draw.uniform(0.05, 0.6))


def check_moves(rack: Simulated, path: Path) -> None:
    """No parameter ever moved too far, or too soon; what is switched off and on falls, which no host can help."""
    (group,) = rack.simulation.rack.parameters
    owned = set(rack.simulation.rack.places(group))
    assert group.max_step is not None
    levels = dict.fromkeys(owned, 0.0)
    moved = dict.fromkeys(owned, -np.inf)
    for move in read_moves(path):
        if move.place in owned:
            if move.cause is not Cause.POWER:
                assert abs(move.level - levels[move.place]) <= group.max_step + 1e-9, move
                if abs(move.level - levels[move.place]) > 0.2:  # a step of a ramp, and no perturbation
                    assert move.seconds - moved[move.place] >= 0.9 * group.step_time, move
            levels[move.place], moved[move.place] = move.level, move.seconds


async def trained(name: str, folder: Path, seed: int | None) -> tuple[FloatArray | None, Exception | None]:
    """θ of a training with the faults of a seed, or the error in which it ended."""
    record = folder / "moves.csv"
    faults = Faults() if seed is None else faults_of(seed)
    settings = SimulationSettings(faults=faults, seed=seed or 0, record=record)
    async with simulated(name, folder, *QUICK[name], settings=settings) as rack:
        error: Exception | None = None
        theta: FloatArray | None = None
        try:
            theta = (await mgdhw.train_async(EXPERIMENT, device=rack.device(), runs=None)).theta
        except DeviceError as problem:
            error = problem
        unconfirmed = error is not None and any("safe" in note for note in getattr(error, "__notes__", ()))
        rack.recorder.__exit__(None, None, None)
        check_moves(rack, record)
        values = rack.simulation.ports[0].instrument.chip.levels()
        assert unconfirmed or not values[: rack.simulation.rack.n_parameters].any(), values
    return theta, error


async def main(seeds: int) -> int:
    """Run the scenarios of all racks; how many do not hold."""
    bad = 0
    for name in QUICK:
        ends: Counter[str] = Counter()
        with tempfile.TemporaryDirectory() as folder:
            os.environ[FOLDER] = folder
            expected, _ = await trained(name, Path(folder), None)
            for seed in range(seeds):
                try:
                    theta, error = await trained(name, Path(folder), seed)
                    end = type(error).__name__ if theta is None else "finished"
                    if theta is not None and not np.array_equal(theta, expected):
                        end = "WRONG θ"
                except AssertionError as problem:
                    end = f"BROKEN: {problem}"
                bad += end.startswith(("WRONG", "BROKEN"))
                ends[end] += 1
        print(f"{name}: {', '.join(f'{count} {end}' for end, count in ends.most_common())}", flush=True)  # noqa: T201
    return bad


if __name__ == "__main__":
    sys.exit(1 if asyncio.run(main(int(sys.argv[1]))) else 0)
