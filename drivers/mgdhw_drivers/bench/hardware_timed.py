"""Hardware-timed measurements: waveforms are uploaded, played once and recorded."""

from __future__ import annotations

import math

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.concurrency.completion import run_to_completion
from mgdhw.device.motion import whole_steps
from mgdhw_drivers.bench.channel_values import ParameterValues
from mgdhw_drivers.bench.groups import ChannelGroup
from mgdhw_drivers.bench.inputs import Levels
from mgdhw_drivers.bench.instruments import Instruments
from mgdhw_drivers.bench.messages import Message
from mgdhw_drivers.bench.outputs import Outputs
from mgdhw_drivers.bench.rack import Blocks, Place, Rack
from mgdhw_drivers.bench.templates import header
from mgdhw_drivers.bench.waveforms import PointMotion, Waveforms, check_moves, compile_waveforms, encode


class HardwareTimed:
    """Measurements as waveforms of all channels.

    Args:
        rack: with a section [blocks].
        blocks: that section.
        parameters, inputs, outputs, instruments: of the rack.
        uri: of the device.
    """

    def __init__(
        self,
        rack: Rack,
        blocks: Blocks,
        parameters: ParameterValues,
        inputs: Levels,
        outputs: Outputs,
        instruments: Instruments,
        uri: str,
    ) -> None:
        self._rack, self._blocks, self._instruments, self._uri = rack, blocks, instruments, uri
        self._parameters, self._inputs, self._outputs = parameters, inputs, outputs
        groups: tuple[ChannelGroup, ...] = (*rack.parameters, *rack.inputs)
        self._channels: list[tuple[ChannelGroup, Place]] = [
            (group, place) for group in groups for place in rack.places(group)
        ]
        no_limit = np.full(rack.n_inputs, np.inf)
        limits = [group.limits for group in rack.inputs for _ in rack.places(group)]
        low, high = np.array(limits).reshape(-1, 2).T
        self._low = np.concatenate([parameters.low, low])
        self._high = np.concatenate([parameters.high, high])
        # Rounded up with a tolerance: 100 us are 10 points of 10 us, whatever their quotient is in floating point.
        hold = math.ceil(float(parameters.step_time.max()) / blocks.sample_time - 1e-6)
        step = np.concatenate([whole_steps(parameters.max_step, parameters.lsb), no_limit])
        self._motion = PointMotion(step, max(1, hold))
        self._dead = math.ceil(rack.measurement.dead_time / blocks.sample_time - 1e-6)

    async def measure(self, theta: FloatArray, levels: FloatArray, rest: FloatArray, readings: int) -> FloatArray:
        """(n, readings, n_out) outputs for (n, P) parameters and (n, n_in) levels of inputs. Restores the parameters.

        What is no measurement is NaN.

        Args:
            theta: (n, P), within the limits.
            levels: (n, n_in).
            rest: (P,) what the parameters hold before and after.
            readings: of each measurement.

        Raises:
            LimitExceeded: before anything is sent.
        """
        rows = np.concatenate([self._rounded(theta), levels], axis=1)
        blocks = self._blocks
        first, end = blocks.window
        stride = blocks.points + self._dead
        points = readings * stride - self._dead
        found = []
        start = np.concatenate([rest, self._inputs.rest])
        playbacks = list(compile_waveforms(rows, start, self._motion, points, (0, points), blocks.max_points))
        for playback in playbacks:
            check_moves(playback, self._low, self._high, self._motion, self._uri)
        for playback in playbacks:
            windows = [
                (start + number * stride + first, start + number * stride + end)
                for start, _ in playback.windows
                for number in range(readings)
            ]
            outputs = await self._play(playback, windows)
            found.append(outputs.reshape(-1, readings, self._rack.n_outputs))
        return np.concatenate(found)

    def _rounded(self, theta: FloatArray) -> FloatArray:
        """(n, P) parameters exactly as they are sent one after another; equal rows, of several samples, once."""
        different, which = np.unique(theta, axis=0, return_inverse=True)
        return np.array([self._parameters.rounded(row)[0] for row in different])[which.reshape(-1)]

    async def _play(self, playback: Waveforms, windows: list[tuple[int, int]]) -> FloatArray:
        blocks, points = self._blocks, len(playback.levels)
        uploads = [
            Message(
                place.instrument,
                header(group.waveform or "", channel=place.channel),
                encode(playback.levels[:, column], blocks.dtype, blocks.byte_order, blocks.unit, self._uri),
            )
            for column, (group, place) in enumerate(self._channels)
        ]
        try:
            await self._instruments.send(uploads)
            rate = f"{1 / blocks.sample_time:.9g}"
            await self._instruments.take(blocks.start, {"points": str(points), "rate": rate})
            return await self._outputs.read_record(points, windows)
        finally:
            self._inputs.forget_selection()
            await run_to_completion(self._instruments.take(blocks.stop))
