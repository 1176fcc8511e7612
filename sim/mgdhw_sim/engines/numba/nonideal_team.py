"""Work space for the kernels of nonideal chips of small numbers, for each thread of a team."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mgdhw.block import Baseline, CodeSpec
from mgdhw.compiled.kernels.gaussian_noise import FIELDS
from mgdhw.compiled.kernels.simd import LANES
from mgdhw.random.philox import Stream
from mgdhw.random.sample_order import SampleOrder
from mgdhw_sim.engines.numba import kernel_args, nonideal_args
from mgdhw_sim.engines.numba.kernels import cell_writes, nonideal_dual_noise, segments, thread_team
from mgdhw_sim.engines.numba.kernels.nonideal_batch_noise import AHEAD, STRIP, tail_draws
from mgdhw_sim.engines.numba.kernels.nonideal_batch_remainder import FEW
from mgdhw_sim.engines.numba.kernels.nonideal_large_batch import NonidealTile, SplitProbe
from mgdhw_sim.engines.numba.kernels.nonideal_segments import NonidealRun
from mgdhw_sim.engines.numba.kernels.nonideal_small_batch import Rows
from mgdhw_sim.engines.numba.team_choice import ProbeThreads
from mgdhw_sim.reference.chip import Chip

Answer = TypeVar("Answer")


EVEN, LEANING = 0.5, 0.53
"""Share of the cells that the first of two threads updates; the latter where its measurement mostly is that of a
baseline, which needs no perturbed weights and takes less time."""


def fits(chip: Chip, order: SampleOrder) -> bool:
    """Whether a chip's numbers, and the sums of its costs, are small enough for these kernels."""
    network = nonideal_args.nonideal_int16_network(chip.spec)
    if network is None or order.batch << chip.spec.cost_bits >= segments.FULL:
        return False
    return order.batch < kernel_args.WIDE_BATCH or bool(network.bits.min() >= 0)


class NonidealTeam:
    """The threads of a team, each with its arguments for kernels.

    Args:
        chip: it fits.
        codes, order, baseline: of a block or a segment.
        cell_arrays: the cells' state.
        period: probes from one update to the next.
    """

    def __init__(
        self,
        chip: Chip,
        codes: CodeSpec,
        order: SampleOrder,
        baseline: Baseline,
        cell_arrays: nonideal_args.CellArrays,
        period: int = segments.FOREVER,
    ) -> None:
        spec, size = chip.spec, kernel_args.padded(chip.topology.n_parameters)
        network: Any = nonideal_args.nonideal_int16_network(spec)
        setup = kernel_args.setup(chip, network, codes, order, baseline)._replace(predrawn=codes.family == "random")
        self._threads = ProbeThreads(chip, setup)
        self.n_threads = self._threads.n_threads
        space, predrawn_buffers = (
            kernel_args.space(chip, order),
            kernel_args.predrawn_buffers(chip, setup, self.n_threads),
        )
        rows = None if space is None else _rows(chip, order.batch)
        tile = _tile(chip, order.batch) if space is None else None
        dual = None if space is None else nonideal_dual_noise.dual_workspace(chip, setup, period)
        weights = nonideal_args.weights(spec, np.int16, codes.amplitude, both=space is not None)
        perturbed = kernel_args.zeros(size, np.int16)
        paired = self.n_threads == 2 and space is None and setup.predrawn and setup.plan.groups.shape[0] == 1
        self._raws = [kernel_args.zeros(0 if tile is None else tile.raw.size, np.int32) for _ in range(2)]
        self._teams = thread_team.teams(self.n_threads, order.batch, chip.topology)
        if paired:
            uneven = baseline is Baseline.EVERY or (baseline is Baseline.HELD and period == 1)
            self._teams = _leaning(self._teams, LEANING if uneven else EVEN)
        all_buffers = [cell_writes.write_buffers(place.end - place.first if paired else 0) for place in self._teams]
        fines = [
            weights.fine,
            *(kernel_args.room(weights.fine, size) if paired else weights.fine for _ in all_buffers[1:]),
        ]
        self.places = []
        for thread in range(self.n_threads):
            own = None if tile is None else _own_tile(tile)
            run = NonidealRun(
                setup=setup,
                nonideal=nonideal_args.constants_of(spec),
                cell_arrays=cell_arrays,
                weights=weights._replace(fine=fines[thread], tick=weights.tick.copy()),
                neurons=nonideal_args.neurons(spec),
                until=np.zeros(1, dtype=np.int64),
                perturbed=perturbed,
                buffers=all_buffers[thread],
                predrawn=predrawn_buffers[thread],
                team=self._teams[thread],
                inputs=setup.inputs.reshape(-1),
                split=self._split(thread, own, size, fines[-1 - thread], all_buffers[-1 - thread], works=paired),
            )
            self.places.append((run, rows, space, own, dual))

    def _split(
        self,
        thread: int,
        tile: Any,
        size: int,
        theirs: NDArray[np.int16],
        buffers: cell_writes.WriteBuffers,
        *,
        works: bool,
    ) -> SplitProbe:
        """For a thread that does measurements by itself, if that `works`: with work space of its own.

        Args:
            theirs, buffers: fine weights and work space of the other thread.
        """
        nobody, sums = np.zeros(1, dtype=np.int64), np.zeros(thread_team.SLOTS, dtype=np.int64)
        alone = thread_team.Team(0, 1, nobody, sums, 0, 0 if tile is None else tile.width, 0, size)
        if works:
            tile = tile._replace(raw=self._raws[thread])
        perturbed = kernel_args.zeros(size if works else 0, np.int16)
        return SplitProbe(
            works, alone, tile, perturbed, np.full(1, -1, dtype=np.int64), theirs, buffers.changed_weights, *self._raws
        )

    def run(self, work: Callable[[int], Answer], probes: int) -> Answer:
        """Run every thread of so many probes at once; the first one's answer."""
        return self._threads.run(work, probes, lambda: thread_team.release(self._teams[0]))


def _leaning(teams: list[thread_team.Team], share: float) -> list[thread_team.Team]:
    """A team of two of which the first has a share of all parameters; any, since each holds all weights for itself."""
    one, other = teams
    border = int(share * other.end) // 32 * 32
    return [one._replace(end=border), other._replace(first=border)]


def _rows(chip: Chip, batch: int) -> Rows:
    """The noise of a sample's measurement, in the order in which it is used."""
    spec, fixed = chip.spec, nonideal_args.constants_of(chip.spec)
    sources = [(Stream.INPUT, 0, spec.layers[0], fixed.input_size)]
    sources += [(Stream.READ, number, n, fixed.read_size) for number, n in enumerate(spec.layers[1:])]
    sources += [(Stream.COST, 0, 1, fixed.cost_size)]
    blocks: list[int] = []
    strides: list[int] = []
    purposes: list[int] = []
    strengths: list[int] = []
    places: list[int] = []
    for stream, layer, n, size in sources:
        own = -(-n // FIELDS)
        places.append(FIELDS * len(blocks) if size else -1)
        if size:
            # Inputs are read in whole vectors: what is behind the last one is 0.
            room = -(-n // 32) * 4 if stream == Stream.INPUT else own
            blocks += list(range(room))
            strides += [own] * room
            purposes += [int(stream) + (layer << 8)] * room
            strengths += [size] * n + [0] * (FIELDS * room - n)
    count = len(blocks)
    vectors = -(-count // LANES) * LANES
    behind = FIELDS * vectors

    def laid(values: list[int], kind: type[np.integer[Any]], room: int) -> NDArray[Any]:
        return kernel_args.room(np.array(values, dtype=kind), room)

    return Rows(
        n=count,
        blocks=laid(blocks, np.uint32, vectors),
        strides=laid(strides, np.uint32, vectors),
        purposes=laid(purposes, np.uint32, vectors),
        strengths=laid(strengths, np.int16, behind),
        places=np.array([behind if place < 0 else place for place in places]),
        noise=np.zeros(behind + max(spec.layers) + 64, dtype=np.int16),
        x=np.zeros(kernel_args.padded(spec.layers[0]), dtype=np.int16),
        wide=np.zeros(LANES, dtype=np.int32),
        settled=np.zeros((batch, -(-spec.layers[-1] // FIELDS) * FIELDS), dtype=np.int32),
    )


def _tile(chip: Chip, batch: int) -> NonidealTile:
    """Signals and sums of samples side by side."""
    sizes, width = chip.spec.layers, -(-batch // LANES) * LANES
    inputs, widest = -(-sizes[0] // FIELDS) * FIELDS, -(-max(sizes[1:]) // FIELDS) * FIELDS

    def rows(count: int, kind: type[np.integer[Any]] = np.int32, width: int = width) -> NDArray[Any]:
        return kernel_args.zeros(count * width, kind)

    noisy = kernel_args.zeros(inputs // 2 * STRIP + 1, np.int32)  # one more, for draws that aren't there; below, too
    return NonidealTile(
        width=width,
        few=batch // LANES * LANES if 0 < batch % LANES <= FEW else width,
        places=rows(1, np.int64),
        noisy=noisy,
        shorts=noisy.view(np.int16),
        words=kernel_args.zeros(4 * max(width, AHEAD) + LANES, np.uint32),
        tail=tail_draws(width, max(STRIP * max(inputs, widest), FIELDS * width)),
        draws=kernel_args.zeros(max(widest * STRIP, FIELDS * width) + 1, np.int16),
        sums=rows(widest, width=STRIP),
        signals=rows(widest // 2 + FIELDS, width=STRIP),
        spare=rows(widest // 2, width=STRIP),
        raw=rows(sizes[-1]),
        outputs=rows(sizes[-1]),
        targets=rows(sizes[-1]),
        settled=rows(sizes[-1]),
    )


def _own_tile(tile: NonidealTile) -> NonidealTile:
    """One thread's: what it alone writes is its own."""
    noisy = kernel_args.zeros(tile.noisy.size, tile.noisy.dtype)
    names = ("places", "targets", "draws", "sums", "signals", "spare", "words")
    own: dict[str, Any] = {name: kernel_args.room(getattr(tile, name), getattr(tile, name).size) for name in names}
    others = tail_draws(tile.width, tile.tail.far_blocks.size)
    return tile._replace(**own, noisy=noisy, shorts=noisy.view(np.int16), tail=others)
