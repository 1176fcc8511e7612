"""How fast does the simulated chip train, beside the tools that one would use instead?

A step is one probe: a cost with codes applied, the baseline that it needs, and (τ_θ = 1) an update. The chip computes
it in integers, to the bit; the peers in floating point, on the same data. Each peer is written and tuned as its own
best users would: what was tried is said in `peers/`.

- a: 2-2-1, 9 parameters, xor, B = 1, random codes, τ_x = τ_θ = 1; one chip, and 256 replicas at once;
- b: 49-4-4, 220 parameters, nist7x7, otherwise like a;
- c: 784-128-10, 101,770 parameters, Fashion-MNIST (or random bytes where it is not to be found), B = 100;
- c': the same with rank1 codes and τ_x = τ_θ = 100, in probes/s, ours and the peer's;
- d: ns per parameter and probe on one core for 784-1024-256-10, B = 1, and the exponent of time against P, as
  `growth.py` measures them;
- e: µs per block that the trainer's loop takes without the device's own calls, at level device-codes, P = 2,410;
- f: seconds of `mgdhw train`, with the compiled engine and with the reference, until 94 % and in all.

b and c run once more on a chip with every non-ideality on (`cases.IMPERFECT`), beside the ideal chip.

Peers: (i) JAX `lax.scan`, (ii) the same under `vmap`, (iii) PyTorch, (iv) noisyopt, (v) JAX with rank-1 codes, windows
at a time, (vi) a float32 loop compiled by numba. (i) and (ii) run twice: as they are commonly written (`jax_scan.py`),
and as fast as we could make them (`jax_mgd.py`: drawn ahead for thousands of steps, with a compiler option that is in
no manual). Each runs in a process of its own, and waits while another is measured. All may use all cores (but d).
Everything is compiled and warm before it is timed (f, too). Ours and a peer take turns, A B A B; a number is the median
of 5 runs or more, each of about half a second. The reference engine's training takes long and is run once.

What is quoted of a race is its fastest peer, whichever that is: the table of ratios has a row for each race that names
it, and says NO where ours falls short of its bar. The bars are what was once hoped for, not what was found.

Run it:     pip install 'mgdhw[bench]'; python bench_scripts/speed.py [--data DATASET] [--json FILE] [--quick]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import growth
import host
import numpy as np
from cases import CASES, IMPERFECT, REPLICAS, dataset, find_images
from common import Options, Row, progress, report, table
from ours import Ours
from peers.process import Peer

ROUNDS = 5
MICROSECONDS, SECONDS = 200, 5
"""What case e may take for a block, and f in all."""


IMPERFECT_SHARE = 0.5
"""What of its ideal chip's speed the engine is to keep with every non-ideality on."""


@dataclass(frozen=True)
class Race:
    """Ours against some peers.

    Args:
        case, metric: as in the rows.
        peers: module in `peers`, how often ours is to be as fast.
    """

    case: str
    metric: str
    peers: dict[str, float]

    @property
    def replicas(self) -> int:
        """How many are trained at once."""
        return REPLICAS if self.metric == "replicas" else 1


NAMES = {
    "jax_scan": ("(i) JAX lax.scan", "(ii) JAX lax.scan, vmap"),
    "jax_mgd": ("(i) JAX, drawn ahead, one kernel", "(ii) JAX, vmap, drawn ahead, one kernel"),
    "torch_spsa": ("(iii) PyTorch SPSA", ""),
    "noisyopt_spsa": ("(iv) noisyopt", ""),
    "jax_rank1": ("(v) JAX, rank-1 codes, windows", ""),
    "numba_loop": ("(vi) numba, float32", "(vi) numba, float32, side by side"),
}
RACES = (
    Race("a", "single", {"jax_scan": 6, "jax_mgd": 6, "torch_spsa": 20, "noisyopt_spsa": 20, "numba_loop": 6}),
    Race("a", "replicas", {"jax_scan": 2.5, "jax_mgd": 2.5, "numba_loop": 2.5}),
    Race("b", "single", {"jax_scan": 3, "jax_mgd": 3, "torch_spsa": 20, "noisyopt_spsa": 20, "numba_loop": 3}),
    Race("b", "replicas", {"jax_scan": 4, "jax_mgd": 4, "numba_loop": 4}),
    Race("c", "single", {"jax_scan": 3, "jax_mgd": 3}),
    Race("c'", "rank1", {"jax_rank1": 3}),
)


def raced(race: Race, images: str, rounds: int, seconds: float) -> Iterator[Row]:
    """Rows: one for each peer."""
    case = CASES[race.case]
    peers = {name: Peer(name, race.case, race.replicas, images, seconds) for name in race.peers}
    rates: dict[str, list[float]] = {name: [] for name in ("ours", *peers)}
    try:
        with Ours(case, dataset(case, images), race.replicas, seconds) as ours:
            for _ in range(rounds):
                for name, peer in peers.items():
                    rates["ours"].append(ours.rate())
                    rates[name].append(peer.rate())
    finally:
        for peer in peers.values():
            peer.close()
    mine = float(np.median(rates["ours"]))
    for name, times in race.peers.items():
        theirs = float(np.median(rates[name]))
        who = NAMES[name][race.replicas > 1]
        progress(f"{race.case} {race.metric}: {mine:,.0f}/s; {who}: {theirs:,.0f}/s; ratio {mine / theirs:.3g}")
        yield Row(race.case, race.metric, mine, theirs, who, f"ours >= {times:g} x peer", mine >= times * theirs)


def raceable(row: Row) -> bool:
    """Whether a row is of a race against peers."""
    return any((row.case, row.metric) == (race.case, race.metric) for race in RACES)


def fastest(rows: list[Row]) -> list[Row]:
    """Of each race, the row of the peer that was fastest."""
    found: dict[tuple[str, str], Row] = {}
    for row in filter(raceable, rows):
        best = found.get((row.case, row.metric))
        if best is None or (row.peer or 0.0) > (best.peer or 0.0):
            found[row.case, row.metric] = row
    return list(found.values())


def quote(rows: list[Row]) -> None:
    """Print what is to be told of a measurement: each race by its fastest peer, and everything that falls short."""
    quoted = fastest(rows)
    heads = ("case", "metric", "ours", "fastest peer", "", "ratio", "target", "holds")
    lines = [(r.case, r.metric, r.ours, r.peer, r.peer_name, r.ratio, r.target, r.holds) for r in quoted]
    table("Ours beside the fastest peer of each race", heads, lines)
    short = [f"{row.case} {row.metric}" for row in rows if row.holds is False and (row in quoted or not raceable(row))]
    print(f"fall short of their bar: {', '.join(dict.fromkeys(short)) or 'none'}")


def imperfect(letter: str, images: str, rounds: int, seconds: float) -> Row:
    """The row of a case's chip with every non-ideality on, beside the ideal one, which takes the place of a peer."""
    case = CASES[letter]
    data = dataset(case, images)
    rates: list[tuple[float, float]] = []
    with Ours(replace(case, nonidealities=IMPERFECT), data, 1, seconds) as real, Ours(case, data, 1, seconds) as ideal:
        for _ in range(rounds):
            rates.append((real.rate(), ideal.rate()))
    mine, theirs = (float(np.median(each)) for each in zip(*rates, strict=True))
    progress(f"{letter} imperfect: {mine:,.0f}/s; ideal: {theirs:,.0f}/s; ratio {mine / theirs:.3g}")
    target = f"imperfect >= {IMPERFECT_SHARE:g} x ideal"
    return Row(letter, "imperfect", mine, theirs, "the ideal chip", target, mine >= IMPERFECT_SHARE * theirs)


def grown(quick: bool) -> Iterator[Row]:
    """Rows of case d."""
    points = growth.measure(growth.QUICK, 0.02, 1) if quick else growth.measure(growth.SIZES)
    largest, most = points[-1].nanoseconds, growth.NANOSECONDS
    yield Row("d", "growth", largest, target=f"ours <= {most} ns per parameter and probe", holds=largest <= most)
    slope = growth.exponent(points)
    yield Row("d", "growth", slope, target="exponent <= 1 of time against P, above 10,000", holds=slope <= 1)


def unburdened(rounds: int, blocks: int) -> Iterator[Row]:
    """The row of case e."""
    host.overhead(10)  # compiles
    taken = 1e6 * float(np.median([host.overhead(blocks) for _ in range(rounds)]))
    yield Row("e", "overhead", taken, target=f"ours <= {MICROSECONDS} µs per block", holds=taken <= MICROSECONDS)


def trained(rounds: int, probes: int | None) -> Iterator[Row]:
    """Rows of case f."""
    host.digits("numba", 1_000)  # compiles
    before = host.digits("reference", probes)
    after = [host.digits("numba", probes) for _ in range(rounds)]
    reached = [each.accurate for each in after if each.accurate is not None]
    accurate = float(np.median(reached)) if reached else None
    total = float(np.median([each.total for each in after]))
    target = f"ours <= {SECONDS} s"
    yield Row("f", "train", accurate, before.accurate, "engine=reference, until 94 %")
    yield Row("f", "train", total, before.total, "engine=reference, in all", target, total <= SECONDS)


def main(options: Options, images: str, only: str) -> None:
    """Run the cases, one after the other."""
    rounds, seconds = (1, 0.02) if options.quick else (ROUNDS, 0.5)
    progress(f"images: {images}")
    rows: list[Row] = []
    for race in RACES:
        if race.case in only.split(","):
            rows += raced(race, images, rounds, seconds)
    rows += [imperfect(letter, images, rounds, seconds) for letter in "bc" if letter in only.split(",")]
    if "d" in only:
        rows += grown(options.quick)
    if "e" in only:
        rows += unburdened(rounds, 20 if options.quick else 1_000)
    if "f" in only:
        rows += trained(rounds, 2_000 if options.quick else None)
    report("Speed: steps per second (d: ns and an exponent, e: µs, f: s)", rows, options)
    quote(rows)


def given(argv: list[str] | None = None) -> tuple[Options, str, str]:
    """Options from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write machine and rows to FILE")
    parser.add_argument("--quick", action="store_true", help="a smoke run; measures nothing")
    parser.add_argument("--data", default=find_images(), help="images for c: idx:FOLDER, or random")
    parser.add_argument("--cases", default="a,b,c,c',d,e,f", help="only these, separated by commas")
    values = parser.parse_args(argv)
    return Options(values.json, values.quick), values.data, values.cases


if __name__ == "__main__":
    sys.exit(main(*given()))
