"""A peer, seen from the race: a process that is asked for a rate."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Self


class Peer:
    """Starts a peer, and waits until it is compiled and warm.

    Args:
        module: its file in this folder.
        case, replicas, images, seconds: what it runs; see `peers.task`.
    """

    def __init__(self, module: str, case: str, replicas: int, images: str, seconds: float) -> None:
        self._start(module, [case, f"--replicas={replicas}", f"--images={images}", f"--seconds={seconds}"])

    @classmethod
    def with_arguments(cls, module: str, *arguments: str) -> Self:
        """Start one that takes other arguments."""
        peer = cls.__new__(cls)
        peer._start(module, list(arguments))
        return peer

    def _start(self, module: str, arguments: list[str]) -> None:
        self._name = module
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"peers.{module}", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
        )
        self._read()

    def rate(self) -> float:
        """Steps (times replicas) per second, of one run."""
        return self.ask("")

    def ask(self, line: str) -> float:
        """The number that it answers a line with."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
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
