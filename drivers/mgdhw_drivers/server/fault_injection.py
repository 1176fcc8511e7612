"""Faults on purpose: what cables, noise and resets do to a link, seeded and reproducible."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from typing import Self

from mgdhw.errors import ConfigError
from mgdhw.parsing import did_you_mean, short_repr

UNITS = {"ms": 1e-3, "us": 1e-6, "s": 1.0}


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong, how often. Shares are of frames, in each direction.

    Args:
        drop: frames that vanish.
        corrupt: frames of which a bit is flipped.
        dup: frames that come twice.
        split: frames that come in two halves, `delay` apart (1 ms if there is none).
        delay: seconds by which a late frame, and all behind it, are late.
        late: frames that are late; all of them if only a delay is given.
        reboot: frames from the host that reset the board.
        unplug: frames from the host that unplug the board, for `away` seconds.
        away: how long it is gone then.
    """

    drop: float = 0.0
    corrupt: float = 0.0
    dup: float = 0.0
    split: float = 0.0
    delay: float = 0.0
    late: float = 0.0
    reboot: float = 0.0
    unplug: float = 0.0
    away: float = 0.2

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `drop=0.01,delay=5ms`. Raises ConfigError."""
        chosen = parse_faults(text, [field.name for field in fields(cls)], ("delay", "away"))
        if "delay" in chosen:
            chosen.setdefault("late", 1.0)
        return cls(**chosen)


@dataclass(frozen=True, slots=True)
class Damage:
    """What becomes of one frame: pieces of bytes, each with the pause before it in seconds; and of the board."""

    pieces: tuple[tuple[float, bytes], ...]
    reboot: bool = False
    unplug: bool = False


class FaultInjector:
    """Decides what becomes of each frame of one direction. The same seed and frames give the same damage.

    Args:
        faults: what goes wrong, how often.
        seed: of the draws.
        direction: a name; each direction has draws of its own.
    """

    def __init__(self, faults: Faults, seed: int, direction: str) -> None:
        self._faults = faults
        self._random = random.Random(f"{seed} {direction}")

    def inject(self, frame: bytes) -> Damage:
        """The damage to a frame (its end included)."""
        faults, happens = self._faults, self._happens
        # Every share is drawn for every frame, so that one fault changes nothing about the others.
        drop, corrupt, dup, split, late = (
            happens(share) for share in (faults.drop, faults.corrupt, faults.dup, faults.split, faults.late)
        )
        reboot, unplug = happens(faults.reboot), happens(faults.unplug)
        bit = self._random.randrange(8 * len(frame))
        if corrupt:
            frame = frame[: bit // 8] + bytes([frame[bit // 8] ^ 1 << bit % 8]) + frame[bit // 8 + 1 :]
        pause = faults.delay if late else 0.0
        pieces: list[tuple[float, bytes]] = []
        if not drop:
            half = len(frame) // 2
            for _ in range(2 if dup else 1):
                if split:
                    pieces += [(pause, frame[:half]), (faults.delay or 1e-3, frame[half:])]
                else:
                    pieces.append((pause, frame))
                pause = 0.0
        return Damage(tuple(pieces), reboot, unplug)

    def _happens(self, share: float) -> bool:
        return self._random.random() < share


def parse_faults(text: str, known: Sequence[str], times: Collection[str] = ()) -> dict[str, float]:
    """Faults from `drop=0.01,delay=5ms`.

    Args:
        text: as given on a command line.
        known: names that there are.
        times: those of them that are times, in seconds; the others are shares.

    Raises:
        ConfigError: naming what is wrong.
    """
    chosen: dict[str, float] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = item.partition("=")
        if name not in known:
            raise ConfigError(f"--faults: no fault {short_repr(name)}{did_you_mean(name, known)} ({', '.join(known)})")
        if name in chosen:
            raise ConfigError(f"--faults: {name} is given twice; leave one of them out")
        chosen[name] = _seconds(item, value) if name in times else _share(item, value)
    return chosen


def _share(item: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise ConfigError(f"--faults: {short_repr(item)}: expected a share, 0 ... 1")
    return value


def _seconds(item: str, text: str) -> float:
    unit = next((unit for unit in UNITS if text.endswith(unit)), "")
    try:
        value = float(text.removesuffix(unit)) * UNITS[unit]
    except (ValueError, KeyError):
        value = -1.0
    if not 0.0 <= value <= 60.0:
        raise ConfigError(f"--faults: {short_repr(item)}: expected a time, for example 5ms")
    return value
