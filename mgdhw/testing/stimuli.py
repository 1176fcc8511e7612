"""Datasets, parameters, codes and blocks for any device, derived from its description alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.block import Baseline, Block, CodeSpec, HeldBaseline
from mgdhw.codes import FAMILIES
from mgdhw.datasets import Dataset
from mgdhw.device import Capability, DeviceInfo
from mgdhw.device.motion import ROUNDING
from mgdhw.random.philox import Stream, words
from mgdhw.random.sample_order import SampleOrder
from mgdhw.variants import interval_of

SEED = 0x9E3779B97F4A7C15  # uses all 64 bits
SAMPLES, TRAINING_SAMPLES = 13, 11  # primes: batches straddle the ends of epochs
BATCH = 2
TAU_X = 4
FIRST_STEP = 5  # in the middle of a batch and of a cycle of groups
PROBES = 10  # a block spans three batches
AMPLITUDE = 4  # code units, enough for sinusoidal codes
POINTS = 20  # at most, of the ramp from one θ to its mirror image
PLACE = 0.2  # θ lies in this central share of its range, so that nothing saturates


def dataset_for(info: DeviceInfo, number: int = 0, samples: int = SAMPLES) -> Dataset:
    """A dataset of a device's sizes; different contents for each number. One-hot targets if the cost is for classes."""
    drawn = words(SEED + number, Stream.DATA, np.arange(samples), info.n_inputs + info.n_outputs)
    inputs = (drawn[:, : info.n_inputs] >> np.uint32(24)).astype(np.uint8)
    targets = (drawn[:, info.n_inputs :] >> np.uint32(24)) / 256.0
    if info.cost_kind == "xent":
        targets = np.eye(info.n_outputs)[targets.argmax(axis=1)]
    return Dataset(f"conformance {number}", inputs, 1 / 255, targets, min(samples, TRAINING_SAMPLES))


def theta_for(info: DeviceInfo, number: int = 0) -> FloatArray:
    """(P,) parameters about the middle of their range. Number 1 is the mirror image of number 0."""
    low, high = _limits(info)
    uniform = words(SEED, Stream.INIT, [0], info.n_parameters)[0] * 2.0**-31 - 1.0
    room = (PLACE / 2) * (high - low)
    if info.motion is not None:
        room = np.minimum(room, POINTS / 2 * np.asarray(info.motion.max_step))
    return np.asarray((low + high) / 2 + room * (uniform if number == 0 else -uniform))


def amplitude_for(info: DeviceInfo) -> int:
    """Amplitude, in code units, for which there is room on both sides of θ."""
    low, high = _limits(info)
    steps = float(np.min((high - low) / np.asarray(info.theta_lsb)))
    swing = np.inf if info.motion is None else float(np.min(np.asarray(info.motion.max_step) / info.theta_lsb))
    return int(min(AMPLITUDE, max(1.0, steps / 8), max(1.0, swing / 2 + ROUNDING)))


def order_for(seed: int = SEED) -> SampleOrder:
    """The order of the training samples, two to a batch, four probes to a batch."""
    return SampleOrder(seed, TRAINING_SAMPLES, BATCH, TAU_X)


def block_for(
    info: DeviceInfo,
    *,
    baseline: Baseline = Baseline.HELD,
    first_step: int = FIRST_STEP,
    n_probes: int = PROBES,
    held: HeldBaseline | None = None,
    codes: CodeSpec | None = None,
) -> Block:
    """A block, by default with random codes."""
    if codes is None:
        codes = CodeSpec("random", SEED, amplitude_for(info))
    return Block(first_step, n_probes, codes, order_for(), baseline, held)


def parameters_for(family: str) -> tuple[float, ...]:
    """Of a family of codes: midway between its default and its largest, so that most parameters are perturbed."""
    return tuple((float(field.default) + min(1.0, interval_of(field).high)) / 2 for field in fields(FAMILIES[family]))  # type: ignore[arg-type]


def codes_for(info: DeviceInfo) -> Iterator[CodeSpec]:
    """Codes of every family that suits the device, for all parameters at once and layer by layer.

    Also codes with an amplitude for each layer, if the device supports them.
    """
    for family, kind in FAMILIES.items():
        if kind.needs_layers and not info.topology.layers:
            continue
        for groups in ("all", "layer") if info.topology.layers else ("all",):
            yield CodeSpec(family, SEED, amplitude_for(info), groups, parameters_for(family))
    amplitude, layers = amplitude_for(info), len(info.topology.layers)
    if Capability.AMPLITUDES in info.capabilities and amplitude > 1 and layers > 1:
        yield CodeSpec("random", SEED, amplitude, amplitudes=((1, amplitude) * layers)[:layers])


def _limits(info: DeviceInfo) -> tuple[FloatArray, FloatArray]:
    shape = (info.n_parameters,)
    return np.broadcast_to(info.theta_min, shape), np.broadcast_to(info.theta_max, shape)
