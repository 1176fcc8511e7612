"""Random chips, data and blocks for comparing implementations of the chip with each other, bit for bit.

Draw number n is the same everywhere (`random.Random(n)`), so a failure is reproduced by its number.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np

from mgdhw.block import Baseline, Block, CodeSpec, Costs
from mgdhw.codes import FAMILIES
from mgdhw.datasets import Dataset
from mgdhw.random.sample_order import SampleOrder
from mgdhw_sim.nonidealities import Nonidealities
from mgdhw_sim.points import TABLE, Points, Tables
from mgdhw_sim.reference.chip import Chip
from mgdhw_sim.reference.tables import ACTIVATIONS
from mgdhw_sim.spec import PULSED_BITS, ChipSpec

# Tables of exponentials and logarithms are slow to make, so the draws of one test share a few widths of signals.
SIGNALS = (
    ((12, 1.0), (16, 8.0), (24, 64.0)),
    ((12, 64.0), (18, 4.0), (24, 1.0)),
    ((13, 2.0), (20, 16.0), (23, 8.0)),
    ((14, 32.0), (17, 1.0), (21, 2.0)),
    ((15, 8.0), (19, 64.0), (22, 4.0)),
)
STEPS = (0, 1, 7, 100, 2**16 - 3, 2**32 - 5, 2**33 + 1, 2**40 + 12345)


def draw_layers(rng: Random) -> tuple[int, ...]:
    """From 1-1 to a few layers of a few neurons each, and sometimes more inputs than one block of random bits."""
    if rng.random() < 0.1:
        return (rng.randint(20, 150), rng.randint(1, 40), rng.randint(1, 12))
    return tuple(rng.randint(1, 6) for _ in range(rng.randint(2, 4)))


def draw_chip(rng: Random, signals: Sequence[tuple[int, float]]) -> ChipSpec:
    """Any chip with one of these widths and ranges of signals."""
    signal_bits, signal_range = rng.choice(signals)
    signal_fraction = signal_bits - round(math.log2(signal_range)) - 1
    cost, output_activation = rng.choice(("mse", "xent")), rng.choice(list(ACTIVATIONS))
    swing = 0 if output_activation in ("logistic", "tanh") else round(math.log2(signal_range)) - 1
    likely = (2 * swing if cost == "mse" else swing + 1) + rng.randint(0, 1)
    cost_exponent = rng.choice((*[min(likely, 6)] * 4, rng.randint(-6, 6)))
    widest_cost = max(6, min(20, 2 * signal_fraction + cost_exponent))
    return ChipSpec(
        layers=draw_layers(rng),
        activation=rng.choice(list(ACTIVATIONS)),
        output_activation=output_activation,
        weight_bits=rng.choice((5, 6, 7, rng.randint(8, 16), rng.randint(8, 16))),
        weight_range=2.0 ** rng.randint(-2, 6),
        input_bits=rng.randint(1, 16),
        input_bipolar=rng.random() < 0.5,
        signal_bits=signal_bits,
        signal_range=signal_range,
        lut_bits=rng.choice((4, 5, 6, 7, 8, 12) if signal_bits in (12, 24) else (4, 5, 6, 7, 8)),
        output_bits=rng.randint(4, 16),
        cost=cost,
        cost_bits=rng.choice((widest_cost, widest_cost, rng.randint(6, widest_cost))),
        cost_range=2.0 ** max(cost_exponent, 6 - 2 * signal_fraction),
    )


def draw_points(rng: Random, reach: float, low: float, high: float) -> Points:
    """A curve through a few points, some of them beyond where anybody looks, steep or flat or both."""
    inputs = {rng.choice((rng.uniform(-1.5, 1.5) * reach, rng.randint(-8, 8) / 8 * reach)) for _ in range(9)}
    values = [rng.choice((rng.uniform(low, high), low, high, rng.uniform(low, high) / 50)) for _ in inputs]
    return Points.of(zip(inputs, values, strict=True))


def draw_tables(rng: Random, spec: ChipSpec, kind: str = "any") -> ChipSpec:
    """The chip with curves by points instead of its own: "curves", "cost", or any of them."""
    reach = spec.signal_range
    tables = Tables(
        draw_points(rng, reach, -reach, reach),
        rng.choice((None, draw_points(rng, reach, 0.0, reach / rng.choice((1, 2, 1000))))),
        draw_points(rng, 2 * reach, 0.0, rng.choice((1.5, 0.2)) * spec.cost_range),
    )
    changes: dict[str, Any] = {"tables": tables}
    if kind != "cost":
        changes |= {name: TABLE for name in ("activation", "output_activation") if rng.random() < 0.7}
    if kind == "cost" or (kind == "any" and rng.random() < 0.7):
        changes["cost"] = TABLE
    return replace(spec, **changes)


def draw_dataset(rng: Random, spec: ChipSpec) -> Dataset:
    """Inputs that meet a converter's rails, its ties and their neighbours; targets of classes or of anything."""
    count, n_in, n_out = rng.randint(1, 12), spec.layers[0], spec.layers[-1]
    lsb = 2.0**-spec.input_fraction_bits

    def one_input() -> float:
        value = rng.uniform(-1.3, 1.3)
        if rng.random() < 0.3:
            value = (np.floor(value / lsb) + 0.5) * lsb
            value = float(np.nextafter(value, rng.choice((-9.0, value, 9.0))))
        return value

    inputs = np.array([[one_input() for _ in range(n_in)] for _ in range(count)])
    if rng.random() < 0.5:
        targets = np.eye(n_out)[[rng.randrange(n_out) for _ in range(count)]]
    else:
        targets = np.array([[rng.random() for _ in range(n_out)] for _ in range(count)])
    if rng.random() < 0.2:
        return Dataset("drawn", np.clip(inputs * 255, 0, 255).astype(np.uint8), 1 / 255, targets, count)
    return Dataset("drawn", inputs, 1.0, targets, count)


def draw_parameters(rng: Random, family: str) -> tuple[float, ...]:
    density = rng.choice((2**-15, 0.1, rng.random() * 0.9 + 0.01, 1.0))
    return (density,) if family == "sparse" else ()


def draw_block(rng: Random, spec: ChipSpec, samples: int, family: str = "") -> Block:
    half = 1 << (spec.weight_bits - 1)
    first_step, n_probes = rng.choice(STEPS) + rng.randint(0, 9), rng.randint(1, 16)
    family = family or rng.choice(list(FAMILIES))
    return Block(
        first_step=first_step,
        n_probes=n_probes,
        codes=CodeSpec(
            family=family,
            seed=rng.getrandbits(64),
            amplitude=rng.choice((1, 3, rng.randint(1, half // 8), rng.randint(1, half // 2))),
            groups=rng.choice(("all", "layer")),
            parameters=draw_parameters(rng, family),
        ),
        order=SampleOrder(rng.getrandbits(64), samples, rng.choice((1, 1, 2, 5)), rng.choice((1, 2, 3, 7))),
        baseline=rng.choice(list(Baseline)),
    )


def draw_theta(rng: Random, spec: ChipSpec, amplitude: int) -> list[float]:
    """Parameters off the converter's grid, at times at the edge of the guard band."""
    lsb, half = spec.weight_lsb, 1 << (spec.weight_bits - 1)
    low, high = -half + amplitude, half - 1 - amplitude
    scale = min(1.0, spec.signal_range / spec.weight_range) * 2.0 ** -rng.randint(-1, 4)

    def one() -> float:
        if rng.random() < 0.1:
            return rng.choice((low, high)) * lsb
        return min(max(rng.uniform(-half, half) * scale, low), high) * lsb

    return [one() for _ in range(spec.topology.n_parameters)]


def draw_moved(rng: Random, spec: ChipSpec, theta: list[float], amplitude: int) -> list[float]:
    """Some of the parameters moved."""
    other = draw_theta(rng, spec, amplitude)
    if spec.nonidealities.pulsed:  # near by, so that there are not so many pulses
        other = [0.9 * a + 0.1 * b for a, b in zip(theta, other, strict=True)]
    return [b if rng.random() < 0.5 else a for a, b in zip(theta, other, strict=True)]


def cut(rng: Random, block: Block) -> list[Block]:
    """The block in arbitrary pieces; their held baselines are still to be filled in."""
    step, left, pieces = block.first_step, block.n_probes, []
    while left:
        size = rng.randint(1, left)
        pieces.append(replace(block, first_step=step, n_probes=size))
        step, left = step + size, left - size
    return pieces


def run_pieces(chip: Chip, pieces: Sequence[Block]) -> Costs:
    """The pieces one after the other, each with the baseline that the one before left."""
    answers: list[Costs] = []
    held = pieces[0].held
    for piece in pieces:
        answers.append(chip.probe(replace(piece, held=held)))
        held = answers[-1].held
    return Costs(
        np.concatenate([answer.perturbed for answer in answers]),
        np.concatenate([answer.reference for answer in answers]),
        sum(answer.evaluations for answer in answers),
        held,
    )


def draw_effects(rng: Random, spec: ChipSpec) -> ChipSpec:
    """The same chip with any non-idealities, often all of them, at moderate strengths."""
    lsb, share = spec.weight_lsb, rng.choice((0.2, 0.5, 1.0, 1.0))

    def some(low: float, high: float) -> float:
        return rng.uniform(low, high) if rng.random() < share else 0.0

    nonidealities: dict[str, Any] = {
        "dac_offset": min(some(-2, 2) * lsb, 8.0),
        "dac_gain": some(-0.05, 0.05),
        "dac_inl": some(-2, 2),
        "cell_gain_std": some(0, 0.2),
        "cell_offset_std": min(some(0, 2) * lsb, 1.0),
        "stuck": some(0, 0.2),
        "dead": some(0, 0.2),
        "perturbation_std": some(0, 0.2),
        "input_noise": some(0, 0.1),
        "read_noise": some(0, 0.2),
        "ir_row": some(0, 0.3),
        "ir_column": some(0, 0.3),
        "neuron_std": some(0, 0.2),
        "midpoint_std": some(0, 0.2),
        "steepness_std": some(0, 0.2),
        "amplitude_std": some(0, 0.2),
        "offset_std": some(0, 0.2),
        "adc_noise": some(0, 0.1),
        "adc_inl": some(-2, 2),
        "cost_noise": min(some(0, 8) * spec.cost_lsb, 16.0),
        "write_noise": min(some(0, 1) * lsb, 8.0),
        "drift_every": rng.choice((1, 3, 10, 100)),
        "retention": some(1, 1000),
        "rest": some(-3, 3) * lsb,
        "drift_nu": some(0, 0.1),
        "drift_nu_dtod": some(0, 0.5),
        "temperature_std": some(0, 20),
        "temperature_every": rng.choice((2, 7, 50)),
        "temperature_steepness": some(-0.01, 0.01),
        "temperature_midpoint": some(-0.01, 0.01),
        "settling": some(0, 0.5),
        "endurance": rng.choice((0.0, some(1, 60))),
        "endurance_dtod": some(0, 0.3),
    }
    if spec.weight_bits <= PULSED_BITS and rng.random() < 0.6:
        nonidealities |= {
            "w_max": spec.weight_range * rng.uniform(0.3, 0.9),
            "w_min": -spec.weight_range * rng.uniform(0.3, 0.9),
            "dw_min": rng.choice((0.0, lsb, lsb * rng.uniform(0.125, 1))),
            "up_down": some(-0.3, 0.3),
            "w_max_dtod": some(0, 0.3),
            "w_min_dtod": some(0, 0.3),
            "dw_min_dtod": some(0, 0.3),
            "up_down_dtod": some(0, 0.1),
            "dw_min_std": some(0, 1),
        }
    return replace(spec, nonidealities=Nonidealities(**nonidealities), seed=rng.getrandbits(64))
