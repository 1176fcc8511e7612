"""Noise of probes that measure twice, drawn in advance for some of them together: a block to a lane, of any kind.

All lanes are in use and vectors don't wait for each other, as they would if each measurement drew its own.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from mgdhw.compiled.kernels.gaussian_draws import far_draw, field_of, gaussian_pairs
from mgdhw.compiled.kernels.gaussian_noise import FIELDS, scaled
from mgdhw.compiled.kernels.int16_pairs import add_pairs, choose_pairs, clip_pairs, scale_pairs, shift_pairs
from mgdhw.compiled.kernels.philox import in_order, philox_of_key
from mgdhw.compiled.kernels.simd import LANES, load, load_pairs, store_pairs
from mgdhw.compiled.kernels.vector_math import i32, lowest_bit, to_u32, to_u64, u64
from mgdhw.compiled.options import INLINE, JIT
from mgdhw.random.philox import Stream
from mgdhw_sim.engines.numba import kernel_args, nonideal_args
from mgdhw_sim.engines.numba.kernels import scalar_segments
from mgdhw_sim.engines.numba.kernels.nonideal_scalar_segments import BASELINE, MINUS, PLUS
from mgdhw_sim.engines.numba.kernels.scalar_arithmetic import MSE
from mgdhw_sim.engines.numba.kernels.segments import Setup
from mgdhw_sim.reference.chip import Chip

ROOM = 1 << 14
"""Numbers that are drawn in advance, about: the nearest cache holds them."""
MOST_PROBES = 16
"""Of a chunk."""
FOR, DRAWN, STRENGTH, HALF_OF = range(4)
"""Fields of `DualWorkspace.state`."""
NOTHING = -1
"""No step."""

SIZE, N_IN, FIRST, BIAS, NEURON, PLACE, STEP, FRACTION, HALF, DOWN, UP, LANES_USED, LAST, WIDE, ENDS, ROWS = range(16)
"""Fields of a group of neurons: how many they are, their inputs, the first one's number in its layer; where their
biases are in θ, and they in the network; where their draws begin, the first measurement's before the second's, and how
far it is to the next unit's; by how many bits biases go up, what is then added to sums, and by how many bits these go
down, or up; bits of the lanes that are in use; whether they are the last layer's, whether there are more in their
layer, whether they end it; from ROWS on, where eight rows of weights begin (some again where neurons are fewer)."""


class DualWorkspace(NamedTuple):
    """Work space of probes that measure twice. What belongs to a sample of a probe is a unit: units follow each other,
    probe by probe. (first measurement, second one) are (baseline, plus) or (plus, minus).
    """

    probes: int
    """Of a chunk, which are drawn for together; a power of two from 4 on."""
    state: Any
    """(4,) fields: the first step of the next chunk, and how much of what is drawn for it is there already: blocks, and
    where the next one's strengths begin; which half of the room for noise and inputs it goes to. The other half is the
    present chunk's."""
    blocks: int
    """Blocks of noise of a unit; a multiple of 4."""
    offsets: Any
    numbers: Any
    purposes: Any
    """(lanes,) of each block: how many probes after the first it is, its number, and what it is for, which is
    stream + 256 layer + 65536 measurement."""
    strengths: Any
    """(8 blocks,) of a unit's draws."""
    places: Any
    steps: Any
    """(2,) where the draws of the first unit's inputs begin, the first measurement's before the second's; those of its
    costs, eight numbers apart; and how far it is to the next unit's. Where there are none, zeros lie."""
    groups: Any
    """(groups, fields) of up to eight neurons each, layer by layer."""
    noise: Any
    """The draws, scaled."""
    x: Any
    """(2 chunks of units, 2, padded n_in) inputs with their noise."""
    targets: Any
    """(samples, padded n_out) targets as signals; empty if errors are too large."""
    width: int
    """Padded n_out."""
    signals: Any
    spare: Any
    """(2, room) signals of one layer."""
    room: int
    wide: Any
    """(16,) some numbers."""


@njit(**JIT)
def begin_chunk(setup, nonideal, dual, first, count, first_batch, samples):
    """Have all that is drawn for probes first ... first + count - 1, and go on to what comes after them.

    Args:
        samples: (batches, B) from this first batch on, one after the other.
    """
    state = dual.state
    if state[FOR] != first:  # nothing has been drawn for these
        state[FOR], state[DRAWN], state[STRENGTH] = first, 0, 0
    draw_until(setup, nonideal, dual, count)
    load_noisy_inputs(setup, nonideal, dual, first, count, first_batch, samples)
    state[FOR], state[DRAWN], state[STRENGTH], state[HALF_OF] = first + count, 0, 0, 1 - state[HALF_OF]


@njit(**INLINE)
def draw_until(setup, nonideal, dual, count):
    """Draw for the next chunk until there is enough for so many probes."""
    state = dual.state
    while state[DRAWN] < count * setup.order.batch * dual.blocks:
        lane, first = state[DRAWN], state[FOR]
        steps = u64(first) + to_u64(load(dual.offsets, lane))
        w0, w1, w2, w3 = in_order(
            *philox_of_key(
                to_u32(steps), to_u32(steps >> u64(32)), load(dual.numbers, lane), load(dual.purposes, lane),
                nonideal.key0, nonideal.key1,
            )
        )  # fmt: skip
        half = state[HALF_OF] * dual.probes * setup.order.batch * dual.blocks
        at, strength = FIELDS * (half + lane), state[STRENGTH]
        g0, g1, far = gaussian_pairs(w0, w1)
        strength = put_scaled(dual, at, g0, strength)
        strength = put_scaled(dual, at + 32, g1, strength)
        g2, g3, further = gaussian_pairs(w2, w3)
        strength = put_scaled(dual, at + 64, g2, strength)
        strength = put_scaled(dual, at + 96, g3, strength)
        if far | further != 0:
            put_far(nonideal, dual, first, half, lane, 0, w0, w1, far)
            put_far(nonideal, dual, first, half, lane, 64, w2, w3, further)
        state[DRAWN], state[STRENGTH] = lane + LANES, strength


@njit(**INLINE)
def put_scaled(dual, at, draws, strength):
    """32 draws."""
    store_pairs(dual.noise, at, scale_pairs(draws, load_pairs(dual.strengths, strength)))
    return strength + 32 if strength + 32 < FIELDS * dual.blocks else 0


@njit(**JIT)
def put_far(nonideal, dual, first, half, lane, behind, one, other, far):
    """Tail draws of second words, of the blocks from a lane on, so many numbers behind their beginning."""
    while far != 0:
        bit = lowest_bit(far)
        far &= far - np.uint64(1)
        place = FIELDS * lane + behind + (bit >> 1) + 32 * (bit & 1)
        size = np.int64(dual.strengths[place % (FIELDS * dual.blocks)])
        if size == 0:
            continue
        block = place // FIELDS
        index = FIELDS * np.int64(dual.numbers[block]) + place % FIELDS
        purpose, step = np.int64(dual.purposes[block]), first + np.int64(dual.offsets[block])
        draw = far_draw(field_of(one, other, bit), nonideal.key0, nonideal.key1, purpose, step, index)
        dual.noise[FIELDS * half + place] = scaled(draw, size)


@njit(**INLINE)
def load_noisy_inputs(setup, nonideal, dual, first, count, first_batch, samples):
    """Inputs of the chunk's probes with their noise."""
    n_in, stride, batch = setup.net.sizes[0], setup.net.strides[0], setup.order.batch
    own, unit = FIELDS * ((n_in + FIELDS - 1) // FIELDS), dual.state[HALF_OF] * dual.probes * batch
    for step in range(first, first + count):
        sample = (step // setup.order.tau_x - first_batch) * batch
        for row in range(batch):
            source, place = samples[sample + row] * stride, dual.places[0] + unit * dual.steps[0]
            for i in range(0, stride, 32):
                bits = np.uint64(0xFFFFFFFF) >> np.uint64(max(0, i + 32 - n_in))  # what is behind the last one is 0
                fine = shift_pairs(load_pairs(setup.samples, source + i), nonideal.input_fine)
                for measurement in range(2):
                    more = choose_pairs(bits, load_pairs(dual.noise, place + measurement * own + i), i32(0))
                    x = clip_pairs(add_pairs(fine, more), nonideal.input_top)
                    store_pairs(dual.x, (2 * unit + measurement) * stride + i, x)
            unit += 1


def dual_workspace(chip: Chip, setup: Setup, period: int) -> DualWorkspace | None:
    """Work space, if all probes measure twice, and 32 bits hold all sums.

    Args:
        chip: one of small numbers.
        setup: of its kernels.
        period: probes from one update to the next.
    """
    antithetic = setup.baseline == scalar_segments.ANTITHETIC
    anew = setup.baseline == scalar_segments.HELD and min(period, setup.order.tau_x) == 1
    signs = setup.predrawn and len(setup.plan.groups) == 1
    if not (antithetic or anew or setup.baseline == scalar_segments.EVERY) or not signs or not setup.samples.size:
        return None
    if not _fits(chip, setup):
        return None
    batch = setup.order.batch
    table, places = _blocks(chip, batch, (PLUS, MINUS) if antithetic else (BASELINE, PLUS))
    blocks, stride = len(table) // batch, int(setup.net.strides[0])
    fitting = min(MOST_PROBES, ROOM // (batch * (FIELDS * blocks + 2 * stride)))
    probes = 1 << max(2, fitting.bit_length() - 1)
    lanes = probes * batch * blocks

    def column(number: int) -> NDArray[np.uint32]:
        return np.tile(table[:, number], probes).astype(np.uint32)

    zeros, width = 2 * FIELDS * lanes, (max(chip.spec.layers) + 31) // 32 * 32 + 32
    steps, places = np.where(places < 0, 0, FIELDS * blocks), np.where(places < 0, zeros, places)
    return DualWorkspace(
        probes=probes,
        blocks=blocks,
        state=np.array([NOTHING, 0, 0, 0]),
        offsets=np.repeat(np.arange(probes, dtype=np.uint32), batch * blocks),
        numbers=column(0),
        purposes=column(1),
        strengths=np.repeat(table[:blocks, 2], FIELDS).astype(np.int16),
        places=places[[0, -1]],
        steps=steps[[0, -1]],
        groups=_groups(chip, setup, places[1:], steps[1:]),
        noise=np.zeros(zeros + 2 * width, dtype=np.int16),
        x=np.zeros(2 * probes * batch * 2 * stride, dtype=np.int16),
        targets=_target_signals(chip),
        width=(chip.spec.layers[-1] + 7) // FIELDS * FIELDS,
        signals=np.zeros(2 * width, dtype=np.int16),
        spare=np.zeros(2 * width, dtype=np.int16),
        room=width,
        wide=np.zeros(LANES, dtype=np.int32),
    )


def _fits(chip: Chip, setup: Setup) -> bool:
    """Whether 32 bits hold the sums of all layers, and what is left of a measurement."""
    spec, net, fixed = chip.spec, setup.net, nonideal_args.constants_of(chip.spec)
    inputs = [fixed.input_top, *(nonideal_args.largest_signal(spec) for _ in spec.layers[2:])]
    for layer, largest in enumerate(inputs):
        fraction = net.signal_fraction if layer else net.input_fraction
        excess = fraction + net.weight_fraction - net.signal_fraction
        most = (fixed.weight_top + 1) * (spec.layers[layer] * largest + (1 << fraction))
        if most << max(0, -excess) >= 1 << 30:
            return False
    return fixed.settling * 2 * nonideal_args.largest_signal(spec, last=True) + (1 << 14) < 1 << 31


def _blocks(chip: Chip, batch: int, measurements: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(batch · blocks, 3) number, purpose and strength of each block of a probe; (L + 2,) where those of inputs, of
    each layer's columns and of costs begin in a unit, -1 if there are none."""
    spec, fixed = chip.spec, nonideal_args.constants_of(chip.spec)
    rows = [(Stream.INPUT, 0, spec.layers[0], fixed.input_size)]
    rows += [(Stream.READ, number, n, fixed.read_size) for number, n in enumerate(spec.layers[1:])]
    rows += [(Stream.COST, 0, 1, fixed.cost_size)]
    table: list[tuple[int, int, int]] = []
    places: list[int] = []
    for sample in range(batch):
        places, begin = [], len(table)
        for stream, layer, n, size in rows:
            places.append(FIELDS * (len(table) - begin) if size else -1)
            own = -(-n // FIELDS)
            order = [(measurement, block) for block in range(own) for measurement in measurements]
            if stream == Stream.INPUT:
                order.sort(key=lambda each: measurements.index(each[0]))
            if size:
                table += [
                    (sample * own + block, int(stream) + (layer << 8) + (measurement << 16), size)
                    for measurement, block in order
                ]
        table += [(0, 0, 0)] * (-len(table) % 4)
    return np.array(table, dtype=np.int64).reshape(-1, 3), np.array(places)


def _groups(chip: Chip, setup: Setup, places: NDArray[np.int64], steps: NDArray[np.int64]) -> NDArray[np.int64]:
    """`DualWorkspace.groups`."""
    net, sizes, groups, neuron = setup.net, chip.spec.layers, [], 0
    for layer, (n_in, n_out) in enumerate(pairwise(sizes)):
        fraction = net.signal_fraction if layer else net.input_fraction
        excess, start = fraction + net.weight_fraction - net.signal_fraction, int(net.starts[layer])
        for first in range(0, n_out, FIELDS):
            size = min(FIELDS, n_out - first)
            fields = {
                SIZE: size,
                N_IN: n_in,
                FIRST: first,
                BIAS: start + n_in * n_out + first,
                NEURON: neuron + first,
                PLACE: places[layer] + 2 * first if steps[layer] else places[layer],
                STEP: steps[layer],
                FRACTION: fraction,
                HALF: 1 << (excess - 1) if excess > 0 else 0,
                DOWN: max(0, excess),
                UP: max(0, -excess),
                LANES_USED: ((1 << size) - 1) * 0x101,
                LAST: layer == len(sizes) - 2,
                WIDE: n_out > FIELDS,
                ENDS: first + size == n_out,
            }
            rows = {ROWS + k: start + (first + min(k, size - 1)) * n_in for k in range(FIELDS)}
            groups.append([value for _, value in sorted((fields | rows).items())])
        neuron += n_out
    return np.array(groups, dtype=np.int64)


def _target_signals(chip: Chip) -> NDArray[np.int32]:
    """Targets of all samples as signals, padded, if 16 bits hold all errors, and 32 bits their sums of squares."""
    if "target_signals" not in chip.engine_cache:
        net, (_, targets) = kernel_args.net(chip.spec), chip.memory
        n = targets.shape[1]
        shift = net.target_shift
        signals = targets.astype(np.int64) << -shift if shift <= 0 else (targets + (1 << (shift - 1))) >> shift
        most = nonideal_args.largest_signal(chip.spec, last=True) + int(np.abs(signals).max(initial=0))
        small = net.cost == MSE and n * most**2 < 1 << 31 and most < 1 << 15
        wide = np.zeros((len(targets) if small else 0, -(-n // FIELDS) * FIELDS), dtype=np.int32)
        if small:
            wide[:, :n] = signals
        chip.engine_cache["target_signals"] = wide.ravel()
    found: NDArray[np.int32] = chip.engine_cache["target_signals"]
    return found
