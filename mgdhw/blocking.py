"""Instruments whose calls block: plain methods, in a thread of the device's own."""

from __future__ import annotations

import asyncio
import threading
from abc import abstractmethod
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from mgdhw.arrays import FloatArray, IntArray
from mgdhw.concurrency.completion import run_to_completion
from mgdhw.concurrency.threads import leave_behind
from mgdhw.device import HostCodes
from mgdhw.device.driver_results import checked_outputs
from mgdhw.errors import DeviceFault, DeviceUnavailable

Answer = TypeVar("Answer")


class BlockingDevice(HostCodes):
    """A device that sets parameters and reads outputs by calls that wait for the instrument.

    Its plain methods (`start_up`, `shut_down`, `set_parameters`, `read_outputs`) run in one thread, which is the
    device's own, one after the other. Whoever is cancelled meanwhile waits until the call that runs has ended, which
    no program can interrupt; nothing else is called for him. So a call should be short, and end by itself when nothing
    answers: give the instrument a timeout. What it raises as OSError (a timeout, a cable) or LinkError is repeated.

    The cost of an evaluation is computed from outputs and targets, as `info.cost_kind` says, in units of the cost; an
    instrument that measures it itself overrides `measure`, and uses `in_thread`.
    """

    _contract = "blocking.BlockingDevice"

    samples_per_reading = 1
    """How many samples `read_outputs` is given at once. Ctrl-C is answered, and progress shown, after each reading."""

    _thread: ThreadPoolExecutor | None = None
    _turn: asyncio.Lock
    _shutting: Future[None] | None = None

    @abstractmethod
    def start_up(self) -> None:
        """Reach the instrument, move nothing, and fill in `info`. Raises DeviceUnavailable."""

    @abstractmethod
    def shut_down(self) -> None:
        """Leave the instrument in its safe state, and let go of it; also if `start_up` has failed half-way."""

    @abstractmethod
    def set_parameters(self, theta: FloatArray) -> FloatArray | None:
        """Set every parameter, (P,), and answer what is stored, if that is something else."""

    @abstractmethod
    def read_outputs(self, inputs: FloatArray) -> FloatArray:
        """One reading: (n, n_outputs) for (n, n_inputs) inputs, n at most `samples_per_reading`."""

    def read_parameters(self) -> FloatArray | None:
        """(P,) what the instrument holds; None where it cannot be read, and what was set last is what it holds."""
        return None

    async def in_thread(self, call: Callable[..., Answer], *arguments: Any) -> Answer:
        """What a call answers that blocks, made in the device's thread when no other runs there."""
        thread = self._thread
        if thread is None:
            self.check_open()
            raise DeviceFault("it has no thread outside of `async with`", uri=self.uri)
        async with self._turn:
            return await run_to_completion(asyncio.get_running_loop().run_in_executor(thread, call, *arguments))

    # --- the contract ------------------------------------------------------------------------------------------------

    async def connect(self) -> None:
        if self._shutting is not None and not self._shutting.done():
            raise DeviceUnavailable("its shut_down() has not come back yet; look at the hardware", uri=self.uri)
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=self.uri)
        await self.in_thread(self.start_up)

    async def disconnect(self) -> None:
        if self._thread is None:
            return
        thread = self._thread
        calls: list[threading.Thread] = []

        def shut_down() -> None:
            calls.append(threading.current_thread())
            self.shut_down()

        try:
            async with self._turn:
                self._shutting = thread.submit(shut_down)
                await asyncio.wrap_future(self._shutting)
        except asyncio.CancelledError:  # it does not come back; asked again, it waits for the same thread
            leave_behind(*calls)
            raise
        except BaseException:
            self._thread = None
            thread.shutdown()
            raise
        self._thread = None
        thread.shutdown()

    async def apply(self, theta: FloatArray, step: int) -> FloatArray:
        actual = await self.in_thread(self.set_parameters, theta)
        return theta if actual is None else actual

    async def read(self) -> FloatArray:
        self.check_open()
        held = await self.in_thread(self.read_parameters)
        return await super().read() if held is None else held

    async def infer(self, samples: IntArray, step: int = 0) -> FloatArray:
        self.check_open()
        inputs, size = self.dataset.values(samples), self.samples_per_reading
        parts = [np.zeros((0, self.info.n_outputs))]
        for start in range(0, samples.size, size):
            asked = inputs[start : start + size]
            answer = await self.in_thread(self.read_outputs, asked)
            parts.append(checked_outputs(answer, len(asked), self.info.n_outputs, self.uri, "read_outputs"))
            self.tick()
        return np.concatenate(parts)
