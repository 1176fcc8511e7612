"""Clauses about opening, closing and cancelling."""

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
from mgdhw.testing.check import GRACE_SECONDS, Opener
from mgdhw.testing.device_under_test import (
    DeviceUnderTest,
    Probe,
    intercepted,
    opened_dut,
    require_success,
    require_theta,
)
from mgdhw.testing.requirements import expect_refusal, require, require_equal
from mgdhw.testing.stimuli import block_for, dataset_for, theta_for
from mgdhw.testing.training_cases import CASES, segment_for

LONG_BLOCK = 16
TURNS = (0, 1, 2, 3, 5, 8)
"""Event-loop iterations after which a request is cancelled: before, during, or after its first action."""
SHARES = (0.1, 0.5, 0.9)
"""Fractions of its duration after which a request is cancelled."""


class Interruption(Exception):
    """Raised by the checks inside `async with`."""


async def closing_is_allowed_in_any_state(opener: Opener) -> None:
    """`close` may be called before `open`, twice, and after use; the device can be opened afterwards."""
    device = opener()
    await require_success(device.close(), "closing a device that was never opened")
    await require_success(device.close(), "closing it again")
    async with opened_dut(opener) as dut:
        await require_success(dut.device.close(), "closing within `async with`")  # which closes it once more
    await require_success(dut.device.close(), "closing for the third time")
    await device.open()
    await require_success(device.close(), "closing a device that was just opened")


async def devices_can_be_reopened(opener: Opener) -> None:
    """After `close`, the same object and a new one can be opened; both are the same device."""
    device = opener()
    identities = []
    for again in (device, device, opener(), device):
        async with again:
            identities.append(again.info.identity)
            await again.load(dataset_for(again.info))
            actual = await again.write(theta_for(again.info))
            require_theta(again.info, actual, await again.read(), "after reopening")
            await again.probe(block_for(again.info))
    require(len(set(identities)) == 1, f"its identity changes when it is reopened: {', '.join(identities)}")


async def closed_devices_refuse(opener: Opener) -> None:
    """A closed device refuses every request with DeviceUnavailable and does not access the hardware."""
    async with opened_dut(opener) as dut:
        block, samples = block_for(dut.info, n_probes=1), np.arange(1)
        segment = segment_for(dut, CASES[0])
    device = dut.device
    requests: dict[str, Callable[[], Awaitable[Any]]] = {
        "read": device.read,
        "write": lambda: device.write(dut.theta),
        "infer": lambda: device.infer(samples),
        "learn": lambda: device.learn(segment),
        **{f"probe ({level})": partial(probe, block) for level, probe in dut.levels.items()},
    }
    if isinstance(device, HostCodes):
        requests["measure"] = partial(device.measure, samples, block.first_step, Part.PLUS)
    touched: list[str] = []
    with (
        intercepted(device, "apply", lambda *given: touched.append("writes parameters")),
        intercepted(device, "connect", lambda *given: touched.append("connects")),
    ):
        for name, request in requests.items():
            await expect_refusal(request(), DeviceUnavailable, f"{name} on a closed device")
            require(not touched, f"{name} on a closed device {' and '.join(touched)}")


async def errors_end_in_a_closed_device(opener: Opener) -> None:
    """An error inside `async with` propagates unchanged and leaves a closed device that can be reopened."""
    for _ in range(2):
        raised = Interruption("raised inside `async with`")
        try:
            async with opened_dut(opener) as dut:
                await dut.device.probe(block_for(dut.info, n_probes=1))
                raise raised
        except Exception as error:
            require(
                error is raised,
                f"{type(error).__name__} ({error}) is raised instead of the error from inside `async with`",
            )
        else:
            raise ConformanceError("an error raised inside `async with` does not propagate")
        require(not dut.device.entered, "the device is still marked as inside `async with`")
    async with opened_dut(opener) as dut:
        await dut.device.probe(block_for(dut.info, n_probes=1))


async def cancelled_blocks_leave_theta(opener: Opener) -> None:
    """A block cancelled at any point ends promptly with CancelledError; θ is restored, the next result is correct."""
    async with opened_dut(opener) as dut:
        block = block_for(dut.info, n_probes=LONG_BLOCK)
        for level, probe in dut.levels.items():
            before = await probe(block)

            async def check(what: str, level: str = level, probe: Probe = probe, before: Costs = before) -> None:
                await dut.require_theta(f"{level}: {what}", probed=True)
                if dut.is_repeatable:
                    require_equal(await probe(block), before, f"{level}: {what}", "the next result", "the one before")

            await _cancel_everywhere(partial(probe, block), check)


async def cancelled_segments_leave_a_usable_device(opener: Opener) -> None:
    """A segment cancelled at any point ends with CancelledError; repeating it gives its result."""
    async with opened_dut(opener) as dut:
        dut.needs_learning()
        segment = segment_for(dut, CASES[0])
        before = await dut.device.learn(segment)

        async def check(what: str) -> None:
            after = await dut.device.learn(segment)
            if dut.is_repeatable:
                require_equal(after, before, what, "the repeated segment", "the one before")
            await _usable(dut)

        await _cancel_everywhere(lambda: dut.device.learn(segment), check)


async def cancelled_requests_leave_a_usable_device(opener: Opener) -> None:
    """After `read`, `write` or `infer` is cancelled at any point, the next request gets its own result."""
    async with opened_dut(opener) as dut:
        samples = block_for(dut.info).order.samples(0, 1)[0]
        requests: tuple[Callable[[], Awaitable[Any]], ...] = (
            dut.device.read,
            lambda: dut.device.write(theta_for(dut.info, 1)),
            lambda: dut.device.infer(samples),
        )
        for request in requests:
            await _cancel_everywhere(request, lambda what: _usable(dut))


async def cancelled_closing_closes(opener: Opener) -> None:
    """Cancelled while closing, however often, the device still closes completely and can be reopened."""
    for turns in TURNS[:4]:
        entered = asyncio.Event()

        async def use(entered: asyncio.Event = entered) -> None:
            async with opened_dut(opener):
                entered.set()
                await asyncio.Event().wait()

        task = asyncio.ensure_future(use())
        await asyncio.wait({task, asyncio.ensure_future(entered.wait())}, return_when=asyncio.FIRST_COMPLETED)
        task.cancel()
        await _turn(turns)
        task.cancel()
        await _ended(task, "a close cancelled twice")
        async with opened_dut(opener) as dut:
            await dut.require_theta("after a cancelled close")


async def _usable(dut: DeviceUnderTest) -> None:
    """Raise ConformanceError unless the device accepts a θ, reads it back and can probe there."""
    for number in (1, 0):
        actual = await dut.device.write(theta_for(dut.info, number))
        require_theta(dut.info, actual, await dut.device.read(), "after a cancelled request")
    await dut.device.probe(block_for(dut.info, n_probes=2))


async def _cancel_everywhere(request: Callable[[], Awaitable[Any]], check: Callable[[str], Awaitable[None]]) -> None:
    """Cancel a request at many points, and check the device after each."""
    began = time.monotonic()
    await request()
    whole = time.monotonic() - began

    async def made() -> Any:
        return await request()

    for turns in TURNS:
        what = f"cancelled after {turns} event-loop iterations"
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
    """Wait for a cancelled task to end. Raises ConformanceError unless it ends with CancelledError."""
    await asyncio.wait({task}, timeout=GRACE_SECONDS)
    require(task.done(), f"{what} is still running {GRACE_SECONDS:g} s later")
    if not task.cancelled():
        error = task.exception()
        ending = "normally" if error is None else f"with {type(error).__name__} ({error})"
        raise ConformanceError(f"{what} ends {ending}, expected CancelledError") from error


async def _turn(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)
