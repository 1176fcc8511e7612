"""Clauses about `info`, `write` and `read`."""

from __future__ import annotations

import numpy as np

from mgdhw.costs import COSTS
from mgdhw.device import Capability, HostCodes
from mgdhw.testing.check import NotApplicable, Opener
from mgdhw.testing.device_under_test import opened_dut, require_success, require_theta
from mgdhw.testing.requirements import require, require_equal
from mgdhw.testing.stimuli import block_for, theta_for


async def info_is_complete(opener: Opener) -> None:
    """An open device describes itself: identity, parameters, limits and capabilities."""
    async with opener() as device:
        require(hasattr(device, "info"), "the device is open but has no info; connect() has to set it")
        info = device.info
        require(bool(info.model and info.identity), "info.model or info.identity is empty")
        require(info.n_parameters >= 1, f"info.topology has {info.n_parameters} parameters, expected at least one")
        require(info.n_inputs >= 1 and info.n_outputs >= 1, "info.n_inputs or info.n_outputs is below 1")
        for name in ("theta_min", "theta_max", "theta_lsb"):
            shape = np.shape(getattr(info, name))
            require(
                shape in ((), (info.n_parameters,)),
                f"info.{name} has the shape {shape}, expected a number or ({info.n_parameters},)",
            )
        require(bool(np.all(np.asarray(info.theta_lsb) > 0)), "info.theta_lsb is not positive")
        steps = (np.asarray(info.theta_max) - np.asarray(info.theta_min)) / np.asarray(info.theta_lsb)
        require(bool(np.all(steps >= 4)), f"a parameter has {float(np.min(steps)):g} steps, too few to perturb")
        require(info.cost_lsb > 0, f"info.cost_lsb is {info.cost_lsb:g}, expected more than 0")
        known = ", ".join(sorted(COSTS))
        require(device.cost_function() is not None, f"info.cost_kind is {info.cost_kind!r}, expected one of {known}")
        can = info.capabilities
        require(bool(can & (Capability.MEASURE | Capability.PROBE)), "info.capabilities has neither MEASURE nor PROBE")
        require(
            Capability.MEASURE not in can or isinstance(device, HostCodes),
            "info.capabilities has MEASURE, but the device is not a HostCodes",
        )


async def write_answers_what_is_held(opener: Opener) -> None:
    """`write` returns the actual parameters: a (P,) vector near the requested one, equal to what is read back."""
    async with opened_dut(opener) as dut:
        info, device = dut.info, dut.device
        for number in (1, 0):
            requested = theta_for(info, number)
            actual = await device.write(requested.copy())
            theta_read = await device.read()
            for name, value in (("write", actual), ("read", theta_read)):
                is_vector = (
                    isinstance(value, np.ndarray) and value.shape == requested.shape and value.dtype == np.float64
                )
                require(is_vector, f"{name} does not return a float64 vector of shape {requested.shape}")
            require_theta(info, actual, theta_read, "read after write")
            if info.exact_writes:
                far = np.abs(actual - requested) > 1.000001 * np.asarray(info.theta_lsb)
                index = int(np.argmax(far))
                require(
                    not far.any(),
                    f"parameter {index} was set to {requested[index]:g} and is {actual[index]:g}, over a step away",
                )


async def write_is_absolute(opener: Opener) -> None:
    """The parameters after a write do not depend on those before; writing one does not move another."""
    async with opened_dut(opener) as dut:
        dut.needs_exact_writes()
        info, device = dut.info, dut.device
        requested, lsb = theta_for(info), np.asarray(info.theta_lsb)
        for before in (theta_for(info, 1), requested + 2 * lsb, requested - 2 * lsb):
            await device.write(before)
            await device.write(requested)
            await dut.require_theta("the same write after a different one")
        for index in sorted({0, info.n_parameters - 1}):
            moved = requested.copy()
            moved[index] = theta_for(info, 1)[index]
            await device.write(moved)
            expected, theta_read = dut.theta.copy(), await device.read()
            expected[index] = theta_read[index]
            require_theta(info, expected, theta_read, f"after a write that moves parameter {index} alone")


async def write_is_idempotent(opener: Opener) -> None:
    """Repeating a write, or writing the current parameters, changes nothing."""
    async with opened_dut(opener) as dut:
        dut.needs_exact_writes()
        await dut.device.write(theta_for(dut.info))
        await dut.require_theta("the same write again")
        await require_success(dut.device.write(dut.theta.copy()), "writing the current parameters")
        await dut.require_theta("writing the current parameters")


async def write_is_done_when_it_answers(opener: Opener) -> None:
    """Costs and outputs after a write belong to the new θ, from the first one on."""
    async with opened_dut(opener) as dut:
        dut.needs_repeatability()
        dut.needs_exact_writes()
        device, samples = dut.device, np.arange(dut.dataset.n_samples)
        other, same = theta_for(dut.info, 1), theta_for(dut.info)
        block = block_for(dut.info)
        await device.write(same)
        costs, outputs = await device.probe(block), await device.infer(samples)
        await device.write(other)
        await device.write(same)
        first = await device.probe(block)
        require_equal(first, costs, "probing right after a write", "the costs", "those at rest")
        await device.write(other)
        await device.write(same)
        require_equal(
            await device.infer(samples), outputs, "inferring right after a write", "the outputs", "those at rest"
        )


async def memory_can_be_restored(opener: Opener) -> None:
    """`restore` restores a state from `snapshot`, on the same device or a new one: costs are as before."""
    async with opened_dut(opener) as dut:
        dut.needs_determinism()
        if not dut.cells:
            raise NotApplicable("the device has no state besides θ that could be saved")
        block = block_for(dut.info)
        costs = await dut.device.probe(block)
        cells = await dut.device.snapshot()
        await dut.device.write(theta_for(dut.info, 1), block.first_step)
        await dut.device.probe(block)
    async with opened_dut(opener) as dut:
        await dut.device.write(theta_for(dut.info, 1))
        await dut.device.restore(cells)
        restored = await dut.device.snapshot()
        require_equal(restored, cells, "after restore", "the cell state", "the one restored")
        await dut.device.write(theta_for(dut.info))
        again = await dut.device.probe(block)
        require_equal(again, costs, "after restore", "the costs", "those before")
