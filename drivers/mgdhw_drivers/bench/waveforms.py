"""Hardware-timed blocks as waveforms: what every channel does, point by point. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.device.motion import ROUNDING
from mgdhw.errors import LimitExceeded
from mgdhw_drivers.bench.groups import ByteOrder, NumberType, number_type


@dataclass(frozen=True, slots=True)
class PointMotion:
    """How fast channels may move, in points.

    Args:
        step: (C,) largest change from one level to the next; inf: no limit.
        hold: points that a level is held at least before a channel may move on.
    """

    step: FloatArray
    hold: int


@dataclass(frozen=True, slots=True)
class Waveforms:
    """One playback.

    Args:
        levels: (N, C) levels of every channel at every point.
        windows: [first, end) of the points in which each measurement is read.
    """

    levels: FloatArray
    windows: list[tuple[int, int]]


def compile_waveforms(
    rows: FloatArray, rest: FloatArray, motion: PointMotion, points: int, window: tuple[int, int], max_points: int
) -> Iterator[Waveforms]:
    """The playbacks that take measurements, one after the other.

    Each begins and ends with the levels at rest: whatever a generator does between playbacks, no channel jumps.

    Args:
        rows: (n, C) levels of each measurement.
        rest: (C,) levels before and after.
        motion: of the channels.
        points: points of a measurement.
        window: the part of them, [first, end), that is read.
        max_points: longest playback; at least one measurement fits.
    """
    length = max(points, motion.hold)
    at_once = max(1, (max_points - 2 * motion.hold) // length)
    for first in range(0, len(rows), at_once):
        part = rows[first : first + at_once]
        levels = np.concatenate([rest[None], part, rest[None]])
        counts = [motion.hold, *[length] * len(part), motion.hold]
        starts = [motion.hold + length * index for index in range(len(part))]
        windows = [(start + window[0], start + window[1]) for start in starts]
        yield Waveforms(np.repeat(levels, counts, axis=0), windows)


def check_moves(waveforms: Waveforms, low: FloatArray, high: FloatArray, motion: PointMotion, uri: str) -> None:
    """Raise LimitExceeded if any point of a playback is outside of its limits, or a channel moves too far or too soon.

    Steps of the host are ramped; those of a generator are not.

    Args:
        waveforms: the playback.
        low, high: (C,) limits of the levels.
        motion: of the channels.
        uri: of the device.
    """
    levels = waveforms.levels
    room = ROUNDING * np.where(np.isfinite(motion.step), motion.step, high - low)
    outside = ~((levels >= low - room) & (levels <= high + room)).all(axis=0)
    if outside.any():
        column = int(np.argmax(outside))
        raise LimitExceeded(
            f"channel {column + 1} of the waveforms would be outside its limits {low[column]:g} ... {high[column]:g};"
            " nothing was sent",
            uri=uri,
        )
    moves = np.abs(np.diff(levels, axis=0))
    limited = np.isfinite(motion.step)
    moved = np.flatnonzero((moves[:, limited] > 0).any(axis=1))
    too_far = (moves > motion.step + room).any()
    if too_far or (limited.any() and (np.diff(moved) < motion.hold).any()):
        raise LimitExceeded("waveforms would move a parameter too fast; nothing was sent", uri=uri)


def encode(levels: FloatArray, dtype: NumberType, byte_order: ByteOrder, unit: float, uri: str) -> bytes:
    """Points of a channel, (N,), as the content of a block.

    Args:
        levels: in the units of the channel.
        dtype, byte_order: of the numbers.
        unit: level of one count, for integers.
        uri: of the device.

    Raises:
        LimitExceeded: an integer cannot hold a level.
    """
    numbers = number_type(dtype, byte_order)
    if numbers.kind == "f":
        return levels.astype(numbers).tobytes()
    counts = np.round(levels / unit)
    span = np.iinfo(numbers)
    if counts.min() < span.min or counts.max() > span.max:
        raise LimitExceeded(
            f"a level of {levels[np.argmax(np.abs(levels))]:g} has no {dtype} at {unit:g} a count; nothing was sent"
            " (see blocks.unit and blocks.dtype)",
            uri=uri,
        )
    return counts.astype(numbers).tobytes()
