"""How much memory does the training of a large chip take?

`mgdhw train` of a 784-1024-256-10 chip (1,068,810 parameters) on Fashion-MNIST: the most that the process had resident,
data, interpreter and compiler included. It runs twice, and the second time counts: the first may have to compile.

Run it:     python bench_scripts/memory.py [--json FILE] [--quick]        (needs Fashion-MNIST: `cases.find_images`)
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from cases import find_images
from common import Options, Row, arguments, progress, report

URI = "sim:analog-8bit?layers=784-1024-256-10&activation=tanh&cost=xent&weight_range=1"
EXAMPLE = Path(__file__).parents[1] / "examples" / "fashion.toml"
MEBIBYTES = 400


def resident(probes: int, images: str) -> float:
    """Most MiB that a training had resident."""
    changes = [f"data.name={images}", f"training.probes={probes}", "training.batch=1"]
    changes += ["training.tau_x=100", "training.tau_theta=100"]
    command = [sys.executable, "-c", "from mgdhw.cli.main import main; main()", "train", str(EXAMPLE), "--device", URI]
    with tempfile.TemporaryDirectory() as runs:
        command += [part for change in changes for part in ("--set", change)]
        process = subprocess.Popen([*command, "--runs", runs, "--json", "--quiet"], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        if status != 0:
            raise SystemExit(f"mgdhw train ended with {os.waitstatus_to_exitcode(status)}; see above")
    return usage.ru_maxrss / 1024


def main(options: Options) -> None:
    """Measure it."""
    images = find_images()
    if images == "random":
        raise SystemExit("Fashion-MNIST is not on this machine; apt install dataset-fashion-mnist")
    probes = 200 if options.quick else 20_000
    for number in (1, 2):
        most = resident(probes, images)
        progress(f"run {number}: {most:.0f} MiB")
    row = Row("784-1024-256-10", "MiB resident", most, target=f"ours <= {MEBIBYTES}", holds=most <= MEBIBYTES)
    report("Memory: mgdhw train, Fashion-MNIST", [row], options)


if __name__ == "__main__":
    main(arguments(__doc__))
