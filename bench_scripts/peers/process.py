"""A peer, seen from the race: a process that is asked for a rate."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


class Peer:
    """Starts a peer, and waits until it is compiled and warm.

    Args:
        module: its file in this folder.
        case, replicas, images, seconds: what it runs; see `peers.task`.
    """

    def __init__(self, module: str, case: str, replicas: int, images: str, seconds: float) -> None:
        command = [sys.executable, "-m", f"peers.{module}", case, f"--replicas={replicas}", f"--images={images}"]
        self._name = module
        self._process = subprocess.Popen(
            [*command, f"--seconds={seconds}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
        )
        self._read()

    def rate(self) -> float:
        """Steps (times replicas) per second, of one run."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._read()

    def close(self) -> None:
        """End it."""
        self._process.communicate()

    def _read(self) -> float:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(
                f"peer {self._name} ended with {self._process.wait()}; see above (pip install 'mgdhw[bench]')"
            )
        return float(line)
