"""Hardware-timed blocks as waveforms: what every channel does, point by point. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.device.motion import ROUNDING, ramp
from mgdhw.errors import LimitExceeded
from mgdhw_drivers.bench.groups import ByteOrder, NumberType, number_type


@dataclass(frozen=True, slots=True)
class Pace:
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
    rows: FloatArray, rest: FloatArray, pace: Pace, points: int, window: tuple[int, int], max_points: int, uri: str
) -> Iterator[Waveforms]:
    """The playbacks that take measurements, one after the other.

    Each begins and ends with the levels at rest, and goes from one measurement to the next by ramps where that is
    further than a channel may move at once. So a channel never jumps, whatever a generator does between playbacks.

    Args:
        rows: (n, C) levels of each measurement.
        rest: (C,) levels before and after.
        pace: of the channels.
        points: points of a measurement.
        window: the part of them, [first, end), that is read.
        max_points: longest playback.
        uri: of the device, for errors.

    Raises:
        LimitExceeded: one measurement with its ramps is longer than `max_points`.
    """
    first = 0
    while first < len(rows):
        levels, counts, starts = [rest], [pace.hold], list[int]()
        used, at = pace.hold, rest
        for row in rows[first:]:
            way = _way(at, row, pace)
            length = max(points, pace.hold)
            back = pace.hold * (len(_way(row, rest, pace)) + 1)
            if used + pace.hold * len(way) + length + back > max_points:
                break
            levels += [*way, row]
            counts += [pace.hold] * len(way) + [length]
            used += pace.hold * len(way)
            starts.append(used)
            used += length
            at = row
        if not starts:
            raise LimitExceeded(
                f"one measurement with its ramps has more points than a waveform may have, {max_points:,}; nothing was"
                " sent (raise blocks.max_points or max_step, or use run.level=host-codes)",
                uri=uri,
            )
        way = _way(at, rest, pace)
        levels += [*way, rest]
        counts += [pace.hold] * (len(way) + 1)
        yield Waveforms(
            np.repeat(np.array(levels), counts, axis=0), [(start + window[0], start + window[1]) for start in starts]
        )
        first += len(starts)


def check_moves(waveforms: Waveforms, low: FloatArray, high: FloatArray, pace: Pace, uri: str) -> None:
    """Raise LimitExceeded if any point of a playback is outside of its limits, or a channel moves too far or too soon.

    What was compiled complies; it is checked all the same before it is sent.

    Args:
        waveforms: the playback.
        low, high: (C,) limits of the levels.
        pace: of the channels.
        uri: of the device.
    """
    levels = waveforms.levels
    room = ROUNDING * np.where(np.isfinite(pace.step), pace.step, high - low)
    outside = ~((levels >= low - room) & (levels <= high + room)).all(axis=0)
    if outside.any():
        column = int(np.argmax(outside))
        raise LimitExceeded(
            f"channel {column + 1} of the waveforms would be outside its limits {low[column]:g} ... {high[column]:g};"
            " nothing was sent",
            uri=uri,
        )
    moves = np.abs(np.diff(levels, axis=0))
    limited = np.isfinite(pace.step)
    moved = np.flatnonzero((moves[:, limited] > 0).any(axis=1))
    too_far = (moves > pace.step + room).any()
    if too_far or (limited.any() and (np.diff(moved) < pace.hold).any()):
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


def _way(start: FloatArray, target: FloatArray, pace: Pace) -> list[FloatArray]:
    """Levels between two, if one move would be too far."""
    if bool((np.abs(target - start) <= pace.step).all()):
        return []
    return list(ramp(start, target, pace.step))[:-1]
