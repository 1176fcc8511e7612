"""However it ends, the device is closed; and whatever was interrupted, it is usable."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

import numpy as np

from mgdhw.block import Costs, Part
from mgdhw.device import HostCodes
from mgdhw.errors import ConformanceError, DeviceUnavailable
from mgdhw.testing.bench import Bench, Probe, answer, demand_theta, on_bench, watched
from mgdhw.testing.check import GRACE_SECONDS, Opener
from mgdhw.testing.demands import demand, demand_same, refusal
from mgdhw.testing.fitted import block_for, dataset_for, theta_for
from mgdhw.testing.recipes import CASES, segment_for

LONG_BLOCK = 16
TURNS = (0, 1, 2, 3, 5, 8)
"""Turns of the event loop after which a request is cancelled: somewhere before, in, or after what it does first."""
SHARES = (0.1, 0.5, 0.9)
"""Shares of its duration after which a request is cancelled. What has to hold holds wherever that falls."""


class Interruption(Exception):
    """What the checks raise inside `async with`."""


async def closing_is_allowed_in_any_state(opener: Opener) -> None:
    """`close` may be called before `open`, twice, and after use, and the device can then be opened."""
    device = opener()
    await answer(device.close(), "closing a device that was never opened")
    await answer(device.close(), "closing it again")
    async with on_bench(opener) as bench:
        await answer(bench.device.close(), "closing within `async with`")  # which closes it once more
    await answer(bench.device.close(), "closing for the third time")
    await device.open()
    await answer(device.close(), "closing a device that was just opened")


async def devices_can_be_reopened(opener: Opener) -> None:
    """After `close` the same object can be opened again, and so can a new one; it is the same device."""
    device = opener()
    identities = []
    for again in (device, device, opener(), device):
        async with again:
            identities.append(again.info.identity)
            await again.load(dataset_for(again.info))
            stored = await again.write(theta_for(again.info))
            demand_theta(again.info, stored, await again.read(), "after reopening")
            await again.probe(block_for(again.info))
    demand(len(set(identities)) == 1, f"opened again it has another identity: {', '.join(identities)}")


async def closed_devices_refuse(opener: Opener) -> None:
    """Once closed, a device refuses every request with DeviceUnavailable, and touches nothing."""
    async with on_bench(opener) as bench:
        block, samples = block_for(bench.info, n_probes=1), np.arange(1)
        segment = segment_for(bench, CASES[0])
    device = bench.device
    requests: dict[str, Callable[[], Awaitable[Any]]] = {
        "read": device.read,
        "write": lambda: device.write(bench.theta),
        "infer": lambda: device.infer(samples),
        "learn": lambda: device.learn(segment),
        **{f"probe ({level})": partial(probe, block) for level, probe in bench.levels.items()},
    }
    if isinstance(device, HostCodes):
        requests["measure"] = partial(device.measure, samples, block.first_step, Part.PLUS)
    touched: list[str] = []
    with (
        watched(device, "apply", lambda *given: touched.append("writes parameters")),
        watched(device, "connect", lambda *given: touched.append("connects")),
    ):
        for name, request in requests.items():
            await refusal(request(), DeviceUnavailable, f"{name} on a closed device")
            demand(not touched, f"{name} on a closed device {' and '.join(touched)}")


async def errors_end_in_a_closed_device(opener: Opener) -> None:
    """An error inside `async with` comes out as it is, and leaves a device that is closed and can be opened."""
    for _ in range(2):
        raised = Interruption("raised inside `async with`")
        try:
            async with on_bench(opener) as bench:
                await bench.device.probe(block_for(bench.info, n_probes=1))
                raise raised
        except Exception as error:
            demand(error is raised, f"{type(error).__name__} ({error}) comes out instead of the error raised inside")
        else:
            raise ConformanceError("an error raised inside `async with` does not come out")
        demand(not bench.device.entered, "the device believes that it is still inside `async with`")
    async with on_bench(opener) as bench:
        await bench.device.probe(block_for(bench.info, n_probes=1))


async def cancelled_blocks_leave_theta(opener: Opener) -> None:
    """A block that is cancelled anywhere ends at once with CancelledError; θ is as it was, the next answer right."""
    async with on_bench(opener) as bench:
        block = block_for(bench.info, n_probes=LONG_BLOCK)
        for level, probe in bench.levels.items():
            before = await probe(block)

            async def check(what: str, level: str = level, probe: Probe = probe, before: Costs = before) -> None:
                await bench.demand_theta(f"{level}: {what}", probed=True)
                if bench.is_deterministic:
                    demand_same(await probe(block), before, f"{level}: {what}", "the next answer", "the one before")

            await _cancel_everywhere(partial(probe, block), check)


async def cancelled_segments_leave_a_usable_device(opener: Opener) -> None:
    """A segment that is cancelled anywhere ends with CancelledError, and repeating it gives its answer."""
    async with on_bench(opener) as bench:
        bench.needs_learning()
        segment = segment_for(bench, CASES[0])
        before = await bench.device.learn(segment)

        async def check(what: str) -> None:
            after = await bench.device.learn(segment)
            if bench.is_deterministic:
                demand_same(after, before, what, "the repeated segment", "the one before")
            await _usable(bench)

        await _cancel_everywhere(lambda: bench.device.learn(segment), check)


async def cancelled_requests_leave_a_usable_device(opener: Opener) -> None:
    """`read`, `write` and `infer` cancelled anywhere leave a device that answers the next request, and not the last."""
    async with on_bench(opener) as bench:
        samples = block_for(bench.info).order.samples(0, 1)[0]
        requests: tuple[Callable[[], Awaitable[Any]], ...] = (
            bench.device.read,
            lambda: bench.device.write(theta_for(bench.info, 1)),
            lambda: bench.device.infer(samples),
        )
        for request in requests:
            await _cancel_everywhere(request, lambda what: _usable(bench))


async def cancelled_closing_closes(opener: Opener) -> None:
    """Cancelled while it closes, however often, the device closes to the end, and can be opened again."""
    for turns in TURNS[:4]:
        entered = asyncio.Event()

        async def use(entered: asyncio.Event = entered) -> None:
            async with on_bench(opener):
                entered.set()
                await asyncio.Event().wait()

        task = asyncio.ensure_future(use())
        await asyncio.wait({task, asyncio.ensure_future(entered.wait())}, return_when=asyncio.FIRST_COMPLETED)
        task.cancel()
        await _turn(turns)
        task.cancel()
        await _ended(task, "a closing cancelled twice")
        async with on_bench(opener) as bench:
            await bench.demand_theta("after a closing that was cancelled")


async def _usable(bench: Bench) -> None:
    """Raise ConformanceError unless the device takes a θ, gives it back and probes there."""
    for number in (1, 0):
        stored = await bench.device.write(theta_for(bench.info, number))
        demand_theta(bench.info, stored, await bench.device.read(), "after a cancelled request")
    await bench.device.probe(block_for(bench.info, n_probes=2))


async def _cancel_everywhere(request: Callable[[], Awaitable[Any]], check: Callable[[str], Awaitable[None]]) -> None:
    """Cancel a request at many moments, and check the device after each."""
    began = time.monotonic()
    await request()
    whole = time.monotonic() - began

    async def made() -> Any:
        return await request()

    for turns in TURNS:
        what = f"cancelled after {turns} turns of the event loop"
        await _cancel(made(), _turn(turns), what)
        await check(what)
    for share in SHARES:
        what = f"cancelled after {100 * share:g} % of its time"
        await _cancel(made(), asyncio.sleep(share * whole), what)
        await check(what)


async def _cancel(request: Coroutine[Any, Any, Any], moment: Awaitable[None], what: str) -> None:
    task = asyncio.ensure_future(request)
    await moment
    if task.cancel():
        await _ended(task, f"a request {what}")
    else:
        task.result()


async def _ended(task: asyncio.Task[Any], what: str) -> None:
    """Wait for a cancelled task to end. Raises ConformanceError if it doesn't, or not as one that was cancelled."""
    await asyncio.wait({task}, timeout=GRACE_SECONDS)
    demand(task.done(), f"{what} goes on for {GRACE_SECONDS:g} s more")
    if not task.cancelled():
        error = task.exception()
        ending = "as if it had not been" if error is None else f"with {type(error).__name__} ({error})"
        raise ConformanceError(f"{what} ends {ending}, expected CancelledError") from error


async def _turn(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)
