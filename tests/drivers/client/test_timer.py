"""The timer that all waiting of a link shares."""

from __future__ import annotations

import asyncio

from mgdhw_drivers.client.timer import RestartableTimer

RESOLUTION = 1e-3
"""How much too early an event loop may be."""


class Bell:
    """Remembers when it was rung."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.rung = asyncio.Event()

    def ring(self) -> None:
        """Now."""
        self.times.append(asyncio.get_running_loop().time())
        self.rung.set()


async def test_it_rings_once_at_the_time_that_was_set_last() -> None:
    bell, now = Bell(), asyncio.get_running_loop().time()
    timer = RestartableTimer(bell.ring)
    timer.set(now + 0.001)
    timer.set(now + 0.05)
    await bell.rung.wait()
    assert len(bell.times) == 1
    assert bell.times[0] >= now + 0.05 - RESOLUTION


async def test_it_can_be_set_to_an_earlier_time_and_again() -> None:
    bell, now = Bell(), asyncio.get_running_loop().time()
    timer = RestartableTimer(bell.ring)
    for times in (1, 2):
        bell.rung.clear()
        timer.set(now + 3600)
        timer.set(now)
        await bell.rung.wait()
        assert len(bell.times) == times


async def test_stopped_it_does_not_ring() -> None:
    stopped, bell, now = Bell(), Bell(), asyncio.get_running_loop().time()
    timer = RestartableTimer(stopped.ring)
    timer.set(now + 0.001)
    timer.stop()
    RestartableTimer(bell.ring).set(now + 0.002)
    await bell.rung.wait()
    assert stopped.times == []
