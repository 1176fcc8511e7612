"""Starting up: importing mgdhw, the command's help, the first training on a machine, and every later one.

Wall times of whole processes, from the shell to their end, the interpreter's own start included; medians of five or
more, after one that isn't counted (it fills the disk's cache).

- `import mgdhw`, beside a bare interpreter;
- `mgdhw --help`;
- a training of one probe on the default chip, warm: its end is later than its first probe, which the target is about;
- the same on an empty cache of machine code: what the first training on a machine takes longer;
- the same on the reference engine, which compiles nothing, for comparison.

Run: python bench_scripts/startup.py [--json FILE] [--quick]     (about two minutes on one core)
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from common import Row, arguments, progress, report, stopwatch

MGDHW = (sys.executable, "-c", "from mgdhw.cli.main import main; main()")
TRAIN = (*MGDHW, "train", "--set", "training.probes=1", "--quiet", "--json")
IMPORT_SECONDS, HELP_SECONDS, FIRST_PROBE_SECONDS, COMPILE_SECONDS = 0.15, 0.3, 1.5, 20.0


def seconds(command: Sequence[str], folder: Path, cache: Path) -> float:
    """Wall time of a process that runs in a folder, with a cache folder of its own."""
    environment = {key: value for key, value in os.environ.items() if key != "NUMBA_CACHE_DIR"}
    environment["XDG_CACHE_HOME"] = str(cache)
    with stopwatch() as taken:
        subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, check=True)
    return taken[0]


def main() -> None:
    """Run all cases and report."""
    options = arguments(__doc__)
    times = 1 if options.quick else 7
    few = 1 if options.quick else 5
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        warm = folder / "cache"

        def typical(case: str, command: Sequence[str]) -> float:
            progress(case)
            seconds(command, folder, warm)
            return median(seconds(command, folder, warm) for _ in range(times))

        bare = typical("a bare interpreter", (sys.executable, "-c", "pass"))
        imported = typical("import mgdhw", (sys.executable, "-c", "import mgdhw"))
        helped = typical("mgdhw --help", (*MGDHW, "--help"))
        trained = typical("one probe, warm", TRAIN)
        reference = typical("one probe, reference", (*TRAIN, "--device", "sim:analog-8bit?engine=reference"))
        progress("one probe, on an empty cache")
        first = median(seconds(TRAIN, folder, folder / f"empty{number}") for number in range(few))
    rows = [
        Row("import mgdhw", "s", imported, bare, "python -c pass", f"<= {IMPORT_SECONDS}", imported <= IMPORT_SECONDS),
        Row("mgdhw --help", "s", helped, None, None, f"<= {HELP_SECONDS}", helped <= HELP_SECONDS),
        Row(
            "train one probe, warm", "s", trained, reference, "engine=reference", f"<= {FIRST_PROBE_SECONDS}",
            trained <= FIRST_PROBE_SECONDS,
        ),
        Row(
            "train one probe, first run: longer by", "s", first - trained, None, None, f"<= {COMPILE_SECONDS}",
            first - trained <= COMPILE_SECONDS,
        ),
    ]  # fmt: skip
    report("Starting up", rows, options)


if __name__ == "__main__":
    main()
