"""What `info`, `write` and `read` promise."""

from __future__ import annotations

import numpy as np

from mgdhw.costs import COSTS
from mgdhw.device import Capability, HostCodes
from mgdhw.testing.bench import answer, demand_theta, on_bench
from mgdhw.testing.check import NotApplicable, Opener
from mgdhw.testing.demands import demand, demand_same
from mgdhw.testing.fitted import block_for, theta_for


async def info_is_complete(opener: Opener) -> None:
    """An open device says what it is, what it can hold and what it can do."""
    async with opener() as device:
        demand(hasattr(device, "info"), "the device is open and has no info; open() fills it in")
        info = device.info
        demand(bool(info.model and info.identity), "info.model or info.identity is empty")
        demand(info.n_parameters >= 1, f"info.topology has {info.n_parameters} parameters, expected one at least")
        demand(info.n_inputs >= 1 and info.n_outputs >= 1, "info.n_inputs or info.n_outputs is below 1")
        for name in ("theta_min", "theta_max", "theta_lsb"):
            shape = np.shape(getattr(info, name))
            demand(
                shape in ((), (info.n_parameters,)),
                f"info.{name} has the shape {shape}, expected a number or ({info.n_parameters},)",
            )
        demand(bool(np.all(np.asarray(info.theta_lsb) > 0)), "info.theta_lsb is not positive")
        steps = (np.asarray(info.theta_max) - np.asarray(info.theta_min)) / np.asarray(info.theta_lsb)
        demand(bool(np.all(steps >= 4)), f"a parameter has {float(np.min(steps)):g} steps, too few to be perturbed")
        demand(info.cost_lsb > 0, f"info.cost_lsb is {info.cost_lsb:g}, expected more than 0")
        known = ", ".join(sorted(COSTS))
        demand(device.cost_function() is not None, f"info.cost_kind is {info.cost_kind!r}, expected one of {known}")
        can = info.capabilities
        demand(bool(can & (Capability.MEASURE | Capability.PROBE)), "it can neither MEASURE nor PROBE")
        demand(
            Capability.MEASURE not in can or isinstance(device, HostCodes),
            "it says that it can MEASURE, but is no HostCodes, so nobody can ask it to",
        )


async def write_answers_what_is_held(opener: Opener) -> None:
    """`write` answers what the hardware really holds: a (P,) vector near the one asked for, and the one read back."""
    async with on_bench(opener) as bench:
        info, device = bench.info, bench.device
        for number in (1, 0):
            asked = theta_for(info, number)
            stored = await device.write(asked.copy())
            held = await device.read()
            for name, value in (("write", stored), ("read", held)):
                is_vector = isinstance(value, np.ndarray) and value.shape == asked.shape and value.dtype == np.float64
                demand(is_vector, f"{name} answers no float64 vector of shape {asked.shape}")
            demand_theta(info, stored, held, "after a write, against its answer")
            if info.exact_writes:
                far = np.abs(stored - asked) > 1.000001 * np.asarray(info.theta_lsb)
                index = int(np.argmax(far))
                demand(
                    not far.any(),
                    f"parameter {index} was to be {asked[index]:g} and is {stored[index]:g}, more than a step away",
                )


async def write_is_absolute(opener: Opener) -> None:
    """What is held after a write does not depend on what was held before, and no parameter moves with another."""
    async with on_bench(opener) as bench:
        bench.needs_exact_writes()
        info, device = bench.info, bench.device
        asked, lsb = theta_for(info), np.asarray(info.theta_lsb)
        for before in (theta_for(info, 1), asked + 2 * lsb, asked - 2 * lsb):
            await device.write(before)
            await device.write(asked)
            await bench.demand_theta("the same write after another")
        for index in sorted({0, info.n_parameters - 1}):
            moved = asked.copy()
            moved[index] = theta_for(info, 1)[index]
            await device.write(moved)
            expected, held = bench.theta.copy(), await device.read()
            expected[index] = held[index]
            demand_theta(info, expected, held, f"after a write that moves parameter {index} alone")


async def write_is_idempotent(opener: Opener) -> None:
    """Writing again, or writing what is held, changes nothing."""
    async with on_bench(opener) as bench:
        bench.needs_exact_writes()
        await bench.device.write(theta_for(bench.info))
        await bench.demand_theta("the same write again")
        await answer(bench.device.write(bench.theta.copy()), "writing what is held")
        await bench.demand_theta("writing what is held")


async def write_is_done_when_it_answers(opener: Opener) -> None:
    """Costs and outputs after a write are those of the θ that was written, from the first on."""
    async with on_bench(opener) as bench:
        bench.needs_determinism()
        bench.needs_exact_writes()
        device, samples = bench.device, np.arange(bench.dataset.n_samples)
        other, same = theta_for(bench.info, 1), theta_for(bench.info)
        block = block_for(bench.info)
        await device.write(same)
        costs, outputs = await device.probe(block), await device.infer(samples)
        await device.write(other)
        await device.write(same)
        first = await device.probe(block)
        demand_same(first, costs, "probing right after a write", "the costs", "those at rest")
        await device.write(other)
        await device.write(same)
        demand_same(
            await device.infer(samples), outputs, "inferring right after a write", "the outputs", "those at rest"
        )


async def memory_can_be_restored(opener: Opener) -> None:
    """`restore` puts back what `snapshot` answered, on the same device or a new one: costs are those of then."""
    async with on_bench(opener) as bench:
        bench.needs_determinism()
        if not bench.cells:
            raise NotApplicable("the device remembers nothing but the θ that was asked for, or remembers by itself")
        block = block_for(bench.info)
        costs = await bench.device.probe(block)
        memory = await bench.device.snapshot()
        await bench.device.write(theta_for(bench.info, 1), block.first_step)
        await bench.device.probe(block)
    async with on_bench(opener) as bench:
        await bench.device.write(theta_for(bench.info, 1))
        await bench.device.restore(memory)
        restored = await bench.device.snapshot()
        demand_same(restored, memory, "after restore", "the memory", "the one that was restored")
        await bench.device.write(theta_for(bench.info))
        again = await bench.device.probe(block)
        demand_same(again, costs, "after restore", "the costs", "those of then")
