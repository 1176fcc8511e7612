"""Clauses about invalid requests: they are refused and have no effect."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.block import Baseline, CodeSpec
from mgdhw.device import DeviceInfo
from mgdhw.errors import ConfigError, DeviceError, LimitExceeded, MgdhwError
from mgdhw.testing.check import NotApplicable, Opener
from mgdhw.testing.device_under_test import DeviceUnderTest, opened_dut, require_success
from mgdhw.testing.requirements import expect_refusal, require
from mgdhw.testing.stimuli import SEED, block_for, dataset_for, theta_for
from mgdhw.testing.training_cases import CASES, segment_for

AMPLITUDE = 3
"""Of the perturbations that must not fit, in code units: one that is two less fits whatever the device rounds to."""


async def parameters_beyond_their_limits_are_refused(opener: Opener) -> None:
    """A parameter that is NaN or outside its limits is refused with LimitExceeded before anything is sent."""
    async with opened_dut(opener) as dut:
        low, high, lsb = _grid(dut.info)
        for index in sorted({0, dut.info.n_parameters // 2, dut.info.n_parameters - 1}):
            beyond = (high[index] + 2 * lsb[index], low[index] - 2 * lsb[index], np.nan, np.inf, -np.inf)
            for value in beyond:
                theta = theta_for(dut.info, 1)
                theta[index] = value
                await expect_refusal(dut.device.write(theta), LimitExceeded, f"writing {value:g} to parameter {index}")
                await dut.require_theta(f"after {value:g} was refused for parameter {index}")


async def parameters_at_their_limits_are_taken(opener: Opener) -> None:
    """Every parameter may be set to its lower and to its upper limit."""
    async with opened_dut(opener) as dut:
        low, high, _ = _grid(dut.info)
        for index in sorted({0, dut.info.n_parameters - 1}):
            for value in (low[index], high[index]):
                theta = theta_for(dut.info)
                theta[index] = value
                actual = await require_success(
                    dut.device.write(theta), f"writing the limit {value:g} to parameter {index}"
                )
                inside = not dut.info.exact_writes or bool(low[index] <= actual[index] <= high[index])
                require(inside, f"parameter {index} was set to its limit {value:g} and is {actual[index]:g}, beyond it")


async def perturbations_beyond_the_limits_are_refused(opener: Opener) -> None:
    """A block with θ ± Δ outside the limits is refused with LimitExceeded at every level; a smaller Δ is accepted."""
    async with opened_dut(opener) as dut:
        dut.needs_exact_writes()
        low, high, lsb = _grid(dut.info)
        if float(np.min((high - low) / lsb)) < 4 * AMPLITUDE:
            raise NotApplicable(f"a parameter has too few steps for perturbations of {AMPLITUDE}")
        index = dut.info.n_parameters - 1
        for edge in (high[index] - (AMPLITUDE - 1) * lsb[index], low[index] + (AMPLITUDE - 1) * lsb[index]):
            theta = theta_for(dut.info)
            theta[index] = edge
            at_edge = DeviceUnderTest(dut.device, dut.dataset, await dut.device.write(theta), {})
            for level, probe in dut.levels.items():
                for baseline in (Baseline.HELD, Baseline.ANTITHETIC):
                    too_large = block_for(
                        dut.info, baseline=baseline, codes=CodeSpec("random", SEED, AMPLITUDE), n_probes=3
                    )
                    what = f"{level}: perturbing parameter {index} at {edge:g} by {AMPLITUDE} steps ({baseline})"
                    await expect_refusal(probe(too_large), LimitExceeded, what)
                    await at_edge.require_theta(f"after the refusal of {what}")
                small = block_for(dut.info, codes=CodeSpec("random", SEED, AMPLITUDE - 2), n_probes=3)
                await require_success(
                    probe(small), f"{level}: perturbing parameter {index} at {edge:g} by {AMPLITUDE - 2} steps"
                )


async def segments_beyond_the_limits_are_refused(opener: Opener) -> None:
    """A segment that starts outside the limits is refused with LimitExceeded; θ is unchanged."""
    async with opened_dut(opener) as dut:
        dut.needs_learning()
        _, high, lsb = _grid(dut.info)
        segment = segment_for(dut, CASES[0])
        segment.state.theta[0] = high[0] + 2 * lsb[0]
        await expect_refusal(
            dut.device.learn(segment), LimitExceeded, f"learning from parameter 0 at {high[0] + 2 * lsb[0]:g}"
        )
        await dut.require_theta("after a segment was refused")


async def parameters_of_other_shapes_are_refused(opener: Opener) -> None:
    """Anything but a vector of P parameters is refused with ConfigError."""
    async with opened_dut(opener) as dut:
        p = dut.info.n_parameters
        for shape in ((), (p - 1,), (p + 1,), (p, 1), (1, p)):
            await expect_refusal(dut.device.write(np.zeros(shape)), ConfigError, f"writing parameters of shape {shape}")
            await dut.require_theta(f"after parameters of shape {shape} were refused")


async def data_of_other_sizes_are_refused(opener: Opener) -> None:
    """A dataset of the wrong size is refused with ConfigError; the previous one stays loaded."""
    async with opened_dut(opener) as dut:
        info, samples = dut.info, np.arange(dut.dataset.n_samples)
        before = await dut.device.infer(samples)
        for n_inputs, n_outputs in ((info.n_inputs + 1, info.n_outputs), (info.n_inputs, info.n_outputs + 1)):
            sized = _of_sizes(info, n_inputs, n_outputs)
            what = f"a dataset of {n_inputs} inputs and {n_outputs} outputs"
            await expect_refusal(dut.device.load(dataset_for(sized, 1)), ConfigError, what)
            after = await require_success(dut.device.infer(samples), f"inferring after {what} was refused")
            require(after.shape == before.shape, f"after {what} was refused, outputs have the shape {after.shape}")
            if dut.is_repeatable:
                require(bool((after == before).all()), f"outputs change when {what} is refused")


async def errors_name_the_device(opener: Opener) -> None:
    """Every error has the address of the device as an attribute and in its message."""
    async with opened_dut(opener) as dut:
        info, device = dut.info, dut.device
        _, high, lsb = _grid(info)
        other = dataset_for(_of_sizes(info, info.n_inputs + 1, info.n_outputs))
        requests: dict[str, Callable[[], Awaitable[object]]] = {
            "a parameter beyond its limit": lambda: device.write(high + 2 * lsb),
            "parameters of another shape": lambda: device.write(np.zeros(info.n_parameters + 1)),
            "a dataset of another size": lambda: device.load(other),
        }
        for what, request in requests.items():
            try:
                await request()
            except MgdhwError as error:  # whether there is one is checked by other clauses
                require(device.uri in str(error), f"the error about {what} does not name {device.uri}: {error}")
                carried = not isinstance(error, DeviceError) or error.uri == device.uri
                require(carried, f"the error about {what} does not have the device's address as `uri`: {error}")


def _grid(info: DeviceInfo) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(P,) lower limits, upper limits, steps."""
    low, high, lsb = (
        np.broadcast_to(v, (info.n_parameters,)) for v in (info.theta_min, info.theta_max, info.theta_lsb)
    )
    return low, high, lsb


def _of_sizes(info: DeviceInfo, n_inputs: int, n_outputs: int) -> DeviceInfo:
    return replace(info, n_inputs=n_inputs, n_outputs=n_outputs)
