"""How fast is the ideal network, how much memory does it take, and how does it compare with what one would write?

- study: the network of width d = 4 of the 2025 paper (7,318 parameters), B = 100, layer by layer, an update for each
  round;
- cnn: the network of the 2023 paper (14,378 parameters), B = 1000, all parameters at once, an update for each probe;
- d = 1 ... 24: time and memory of a probe of `study`, for each engine that can be had here.

Peers are a jitted JAX loop that runs the whole network for each layer (`peers/ideal_jax.py`), and PyTorch in its
fastest setting, which runs what follows a perturbed layer only (`peers/ideal_torch.py`). Each is a process of its own;
all take turns, A B C A B C, a stretch at a time, and a number is the median of the stretches.

Run it:     python bench_scripts/ideal.py [--json FILE] [--quick]        (pip install 'mgdhw[bench]')
"""

from __future__ import annotations

import os
from importlib.util import find_spec

import numpy as np
from common import Options, Row, arguments, progress, report
from peers.ideal_task import MEMORY
from peers.process import Peer

ROUNDS, SECONDS = 7, 1.0
WIDTHS = (1, 4, 24)
BARS = {
    ("study", "jax"): 3.0,
    ("study", "torch"): 3.0,
    ("cnn", "torch"): 2.0,
}
"""How many times as fast we want to be."""
NAMES = {
    "jax": "JAX, the whole network for each layer",
    "torch": "PyTorch, from the perturbed layer on",
}


def race(case: str, peers: list[str], options: Options) -> list[Row]:
    """Iterations per second of a case, interleaved."""
    seconds, rounds = (0.2, 1) if options.quick else (SECONDS, ROUNDS)
    names = ["ours", *peers]
    progress(f"{case}: compiling {', '.join(names)}")
    running = {name: Peer.with_arguments(f"ideal_{name}", case, f"--seconds={seconds}") for name in names}
    rates: dict[str, list[float]] = {name: [] for name in names}
    try:
        for _ in range(rounds):
            for name, peer in running.items():
                rates[name].append(peer.rate())
    finally:
        for peer in running.values():
            peer.close()
    ours = float(np.median(rates["ours"]))
    rows = []
    for name in peers:
        theirs, bar = float(np.median(rates[name])), BARS.get((case, name))
        progress(f"{case}: {ours:.4g} iterations/s; {NAMES[name]}: {theirs:.4g}; ratio {ours / theirs:.3g}")
        target = None if bar is None else f"ours >= {bar:g} x peer"
        holds = None if bar is None else ours >= bar * theirs
        rows.append(Row(case, "iterations/s", ours, theirs, NAMES[name], target, holds))
    return rows


def probes(width: int, engine: str, options: Options) -> list[Row]:
    """Time of a probe and memory of a process at a width."""
    seconds = 0.2 if options.quick else SECONDS
    progress(f"d = {width}, {engine}")
    peer = Peer.with_arguments(
        "ideal_ours", "study", f"--width={width}", f"--options=engine={engine}", f"--seconds={seconds}"
    )
    try:
        rate = float(np.median([peer.rate() for _ in range(1 if options.quick else 3)]))
        memory = peer.ask(MEMORY)
    finally:
        peer.close()
    case = f"study d = {width}, {engine}"
    return [Row(case, "ms/probe", 1e3 / (9 * rate)), Row(case, "MB resident", memory)]


def main() -> None:
    """Race, and report."""
    options = arguments(__doc__)
    os.environ.setdefault("OMP_NUM_THREADS", str(len(os.sched_getaffinity(0))))
    peers = [name for name in NAMES if find_spec(name) is not None]
    rows = race("study", peers, options) + race("cnn", peers, options)
    engines = ["numba", *(["jax"] if "jax" in peers else []), "reference"]
    for width in WIDTHS[:1] if options.quick else WIDTHS:
        for engine in engines:
            if engine == "numba" or width < max(WIDTHS):
                rows += probes(width, engine, options)
    report("The ideal network", rows, options)


if __name__ == "__main__":
    main()
