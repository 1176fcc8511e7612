"""Hostile answers against the host: each case ends in a typed error or in the right digest, in bounded time and memory.

    python -m tests.hostile.answers [--only TEXT] [--side-by-side N] [--verbose]

plays all of them, in processes and on lines that are real, and prints a table of how they ended.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import resource
import sys
import time
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import mgdhw
from mgdhw.device import open_device
from mgdhw.errors import MgdhwError
from mgdhw_drivers.protocol.numbers import Type
from tests.helpers.paths import ROOT
from tests.hostile.cases import CASES, Case

OPTIONS = "timeout=0.3&reconnect=0.6&progress=1.5&dead_man=1"
SECONDS = 60.0
"""In which a case has to be over, on a machine that is busy with other things."""
MEGABYTES = 400
"""That this process may grow by, whatever comes."""
DIGEST = "the right digest"


@dataclass(frozen=True)
class Ending:
    """How a case ended: `DIGEST`, the name of a typed error, or what must not be."""

    name: str
    how: str
    said: str
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether it ended as it has to."""
        return self.how == DIGEST or self.how.startswith("typed: ")


class Boards:
    """The process of hostile boards."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._lock = asyncio.Lock()

    async def serve(self, name: str) -> str:
        """The address of a case."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        async with self._lock:
            self._process.stdin.write(f"serve {name}\n".encode())
            address = (await self._process.stdout.readline()).decode().strip()
        assert address, "the process of hostile boards has ended"
        return address

    def end(self, name: str) -> None:
        """Serve it no longer."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"end {name}\n".encode())


@asynccontextmanager
async def boards() -> AsyncIterator[Boards]:
    """Hostile boards, as long as this lasts."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.hostile.boards",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        yield Boards(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 10.0)
        except TimeoutError:
            process.kill()
            await process.wait()


def experiment(level: str, chip: str) -> dict[str, Any]:
    """A short training of XOR."""
    return {
        "device": {"uri": chip},
        "data": {"name": "xor"},
        "training": {"probes": 60, "tau_theta": 10, "tau_x": 3},
        "optimizer": {"name": "adam", "eta": 0.05},
        "evaluation": {"every": 30},
        "run": {"level": level, "retries": 1},
    }


async def wanted(cases: Iterable[Case]) -> dict[tuple[str, str], str]:
    """Digests by chip and level, trained in this process."""
    return {
        (chip, level): (await mgdhw.train_async(experiment(level, chip), runs=None)).digest
        for chip, level in {(case.chip, case.level) for case in cases}
    }


async def play(case: Case, board: Boards, digests: dict[tuple[str, str], str]) -> Ending:
    """One case."""
    address = await board.serve(case.name)
    began = time.monotonic()
    try:
        async with asyncio.timeout(SECONDS):
            how, said = await _work(case, f"{address}?{OPTIONS}", digests[case.chip, case.level])
    except TimeoutError:
        how, said = "HANGS", ""
    except MgdhwError as error:
        how, said = f"typed: {type(error).__name__}", str(error)
    except Exception as error:
        how, said = f"NOT TYPED: {type(error).__name__}", "".join(traceback.format_exception(error))
    finally:
        board.end(case.name)
    return Ending(case.name, how, said, time.monotonic() - began)


async def _work(case: Case, uri: str, digest: str) -> tuple[str, str]:
    if case.answer == Type.STATISTICS:
        async with open_device(uri) as device:
            await device.statistics()  # type: ignore[attr-defined]  # of a board
        return DIGEST, ""
    result = await mgdhw.train_async(experiment(case.level, case.chip), device=uri, runs=None)
    return (DIGEST, "") if result.digest == digest else ("WRONG DIGEST", "")


async def play_all(cases: Sequence[Case], side_by_side: int, tell: Any = None) -> list[Ending]:
    """All of some cases, several at a time."""
    digests = await wanted(cases)
    turns = asyncio.Semaphore(side_by_side)
    async with boards() as board:

        async def one(case: Case) -> Ending:
            async with turns:
                ending = await play(case, board, digests)
            if tell is not None:
                tell(ending)
            return ending

        return list(await asyncio.gather(*(one(case) for case in cases)))


def megabytes() -> float:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 10 if sys.platform != "darwin" else 1 << 20)


def main() -> int:
    """Play, tell, and count what does not hold."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--side-by-side", type=int, default=8)
    parser.add_argument("--verbose", action="store_true", help="a line for each")
    chosen = parser.parse_args()
    logging.getLogger("mgdhw").setLevel(logging.ERROR)
    cases = [case for case in CASES.values() if chosen.only in case.name]

    def tell(ending: Ending) -> None:
        if chosen.verbose or not ending.holds:
            print(f"{ending.name:60} {ending.seconds:5.1f} s  {ending.how}  {ending.said}", flush=True)  # noqa: T201

    before, began = megabytes(), time.monotonic()
    endings = asyncio.run(play_all(cases, chosen.side_by_side, tell))
    grown = megabytes() - before
    lines = [f"{count:5}  {how}" for how, count in Counter(ending.how for ending in endings).most_common()]
    slowest = max(endings, key=lambda ending: ending.seconds)
    bad = sum(not ending.holds for ending in endings) + (grown > MEGABYTES)
    lines += [
        f"{len(endings)} cases in {time.monotonic() - began:.0f} s; the slowest, {slowest.name!r}, took"
        f" {slowest.seconds:.1f} s; memory grew by {grown:.0f} MB",
        f"{bad} do not hold",
    ]
    print("\n".join(lines))  # noqa: T201
    return 1 if bad else 0


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.exit(main())
