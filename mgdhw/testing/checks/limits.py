"""What is refused, how, and that nothing came of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import numpy as np

from mgdhw.arrays import FloatArray
from mgdhw.block import Baseline, CodeSpec
from mgdhw.device import DeviceInfo
from mgdhw.errors import ConfigError, DeviceError, LimitExceeded, MgdhwError
from mgdhw.testing.bench import Bench, answer, on_bench
from mgdhw.testing.check import NotApplicable, Opener
from mgdhw.testing.demands import demand, refusal
from mgdhw.testing.fitted import SEED, block_for, dataset_for, theta_for
from mgdhw.testing.recipes import CASES, segment_for

AMPLITUDE = 3
"""Of the perturbations that must not fit, in code units: one that is two less fits whatever the device rounds to."""


async def parameters_beyond_their_limits_are_refused(opener: Opener) -> None:
    """A parameter outside its limits, or no number, is refused with LimitExceeded before anything is sent."""
    async with on_bench(opener) as bench:
        low, high, lsb = _grid(bench.info)
        for index in sorted({0, bench.info.n_parameters // 2, bench.info.n_parameters - 1}):
            beyond = (high[index] + 2 * lsb[index], low[index] - 2 * lsb[index], np.nan, np.inf, -np.inf)
            for value in beyond:
                theta = theta_for(bench.info, 1)
                theta[index] = value
                await refusal(bench.device.write(theta), LimitExceeded, f"writing {value:g} to parameter {index}")
                await bench.demand_theta(f"after {value:g} was refused for parameter {index}")


async def parameters_at_their_limits_are_taken(opener: Opener) -> None:
    """Every parameter may be as low as its lower limit and as high as its upper one."""
    async with on_bench(opener) as bench:
        low, high, _ = _grid(bench.info)
        for index in sorted({0, bench.info.n_parameters - 1}):
            for value in (low[index], high[index]):
                theta = theta_for(bench.info)
                theta[index] = value
                stored = await answer(bench.device.write(theta), f"writing the limit {value:g} to parameter {index}")
                inside = not bench.info.exact_writes or bool(low[index] <= stored[index] <= high[index])
                demand(
                    inside, f"parameter {index} was to be at its limit {value:g} and is {stored[index]:g}, beyond it"
                )


async def perturbations_beyond_the_limits_are_refused(opener: Opener) -> None:
    """A block whose θ ± Δ leaves the limits is refused with LimitExceeded, at every level; a smaller Δ is taken."""
    async with on_bench(opener) as bench:
        bench.needs_exact_writes()
        low, high, lsb = _grid(bench.info)
        if float(np.min((high - low) / lsb)) < 4 * AMPLITUDE:
            raise NotApplicable(f"a parameter has too few steps for perturbations of {AMPLITUDE}")
        index = bench.info.n_parameters - 1
        for edge in (high[index] - (AMPLITUDE - 1) * lsb[index], low[index] + (AMPLITUDE - 1) * lsb[index]):
            theta = theta_for(bench.info)
            theta[index] = edge
            at_edge = Bench(bench.device, bench.dataset, await bench.device.write(theta), {})
            for level, probe in bench.levels.items():
                for baseline in (Baseline.HELD, Baseline.ANTITHETIC):
                    too_large = block_for(
                        bench.info, baseline=baseline, codes=CodeSpec("random", SEED, AMPLITUDE), n_probes=3
                    )
                    what = f"{level}: perturbing parameter {index} at {edge:g} by {AMPLITUDE} steps ({baseline})"
                    await refusal(probe(too_large), LimitExceeded, what)
                    await at_edge.demand_theta(f"after the refusal of {what}")
                small = block_for(bench.info, codes=CodeSpec("random", SEED, AMPLITUDE - 2), n_probes=3)
                await answer(
                    probe(small), f"{level}: perturbing parameter {index} at {edge:g} by {AMPLITUDE - 2} steps"
                )


async def segments_beyond_the_limits_are_refused(opener: Opener) -> None:
    """A segment that begins outside the limits is refused with LimitExceeded, and leaves θ alone."""
    async with on_bench(opener) as bench:
        bench.needs_learning()
        _, high, lsb = _grid(bench.info)
        segment = segment_for(bench, CASES[0])
        segment.state.theta[0] = high[0] + 2 * lsb[0]
        await refusal(
            bench.device.learn(segment), LimitExceeded, f"learning from parameter 0 at {high[0] + 2 * lsb[0]:g}"
        )
        await bench.demand_theta("after a segment was refused")


async def parameters_of_other_shapes_are_refused(opener: Opener) -> None:
    """Anything but a vector of P parameters is refused with ConfigError."""
    async with on_bench(opener) as bench:
        p = bench.info.n_parameters
        for shape in ((), (p - 1,), (p + 1,), (p, 1), (1, p)):
            await refusal(bench.device.write(np.zeros(shape)), ConfigError, f"writing parameters of shape {shape}")
            await bench.demand_theta(f"after parameters of shape {shape} were refused")


async def data_of_other_sizes_are_refused(opener: Opener) -> None:
    """A dataset of other sizes than the device's is refused with ConfigError, and the one before it stays."""
    async with on_bench(opener) as bench:
        info, samples = bench.info, np.arange(bench.dataset.n_samples)
        before = await bench.device.infer(samples)
        for n_inputs, n_outputs in ((info.n_inputs + 1, info.n_outputs), (info.n_inputs, info.n_outputs + 1)):
            sized = _of_sizes(info, n_inputs, n_outputs)
            what = f"a dataset of {n_inputs} inputs and {n_outputs} outputs"
            await refusal(bench.device.load(dataset_for(sized, 1)), ConfigError, what)
            after = await answer(bench.device.infer(samples), f"inferring after {what} was refused")
            demand(after.shape == before.shape, f"after {what} was refused, outputs have the shape {after.shape}")
            if bench.is_deterministic:
                demand(bool((after == before).all()), f"outputs change when {what} is refused")


async def errors_name_the_device(opener: Opener) -> None:
    """Every error carries the address of the device, and shows it."""
    async with on_bench(opener) as bench:
        info, device = bench.info, bench.device
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
            except MgdhwError as error:  # that there has to be one is another clause
                demand(device.uri in str(error), f"the error about {what} does not name {device.uri}: {error}")
                carried = not isinstance(error, DeviceError) or error.uri == device.uri
                demand(carried, f"the error about {what} does not carry the device's address: {error}")


def _grid(info: DeviceInfo) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(P,) lower limits, upper limits, steps."""
    low, high, lsb = (
        np.broadcast_to(v, (info.n_parameters,)) for v in (info.theta_min, info.theta_max, info.theta_lsb)
    )
    return low, high, lsb


def _of_sizes(info: DeviceInfo, n_inputs: int, n_outputs: int) -> DeviceInfo:
    return replace(info, n_inputs=n_inputs, n_outputs=n_outputs)
