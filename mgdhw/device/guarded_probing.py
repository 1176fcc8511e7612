"""Blocks whose costs are checked: a probe whose cost is no measurement is measured again, then is an error.

`probe` has no side effects, so the affected probes alone are asked for again, at their own steps.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mgdhw.block import Baseline, Block, Costs, HeldBaseline, Part, Target
from mgdhw.device.base import Device
from mgdhw.device.guarded import cost_message, final_overload
from mgdhw.device.host_codes import HostCodes
from mgdhw.device.info import Capability
from mgdhw.device.readings import overloaded
from mgdhw.errors import DeviceFault, Overload
from mgdhw.learning.nodes import check_node_costs


async def probe(device: Device, block: Block, *, host_codes: bool = False) -> Costs:
    """The costs of a block, every one of them a measurement.

    Evaluations are counted as if nothing had been repeated; `device.guard` counts what was.

    Args:
        device: what is measured.
        block: what is asked for.
        host_codes: whether the host makes the codes also for a device that can.

    Raises:
        Overload: a cost is none, also when repeated: names the step and the measurement.
        DeviceFault: they are of another shape.
    """
    device.check_codes(block.codes)
    ask = device.probe
    if host_codes and isinstance(device, HostCodes):
        ask = device.probe_with_host_codes
    costs = _of_block(device, block, await _asked(device, block, ask))
    # What the host expands, it has checked reading by reading.
    expanded = host_codes or Capability.PROBE not in device.info.capabilities
    declared = () if expanded else device.acquisition.overload
    bad = overloaded(costs.perturbed, declared) | _overloaded_references(costs, block, declared)
    if block.codes.target is Target.NODES:
        return await _whole(device, block, costs, bad, declared, ask)
    if not bad.any():
        return costs
    perturbed, reference, held = costs.perturbed.copy(), costs.reference.copy(), costs.held
    own = set(block.baseline_steps()) if block.baseline is Baseline.HELD else set[int]()
    baseline = block.valid_held()
    for j in range(block.n_probes):
        step = block.first_step + j
        if step in own:
            baseline = HeldBaseline(reference[j].item(), step)
        elif baseline is not None:
            reference[j] = baseline.value
        one = replace(block, first_step=step, n_probes=1, held=None if step in own else baseline)
        for attempt in range(device.guard.repeat + 1):
            part = _overloaded_part(perturbed[j].item(), reference[j].item(), block, declared)
            if part is None:
                break
            value = perturbed[j] if part is Part.PLUS else reference[j]
            if attempt == device.guard.repeat:
                raise final_overload(device.uri, cost_message(step, float(value)), attempt, part)
            device.guard.add(overloads=1)
            again = _of_block(device, one, await _asked(device, one, ask))
            perturbed[j], reference[j] = again.perturbed[0], again.reference[0]
            if step in own:
                baseline = HeldBaseline(reference[j].item(), step)
    if block.baseline is Baseline.HELD:
        held = baseline
    return Costs(perturbed, reference, costs.evaluations, held)


async def _whole(
    device: Device,
    block: Block,
    costs: Costs,
    bad: NDArray[np.bool_],
    declared: Sequence[float],
    ask: Callable[[Block], Awaitable[Costs]],
) -> Costs:
    """A block that perturbs nodes: its sums are of all its probes, so it is measured again as a whole."""
    for attempt in range(device.guard.repeat + 1):
        if not bad.any():
            check_node_costs(block, costs, device.info.topology, device.uri)
            return costs
        j = int(np.argmax(bad))
        part = _overloaded_part(costs.perturbed[j].item(), costs.reference[j].item(), block, declared)
        assert part is not None, "it is bad"
        if attempt == device.guard.repeat:
            value = float((costs.perturbed if part is Part.PLUS else costs.reference)[j])
            raise final_overload(device.uri, cost_message(block.first_step + j, value), attempt, part)
        device.guard.add(overloads=1)
        costs = _of_block(device, block, await _asked(device, block, ask))
        bad = overloaded(costs.perturbed, declared) | _overloaded_references(costs, block, declared)
    raise AssertionError("the last attempt returns or raises")


async def _asked(device: Device, block: Block, ask: Callable[[Block], Awaitable[Costs]]) -> Costs:
    """The answer to a block; an overload that the driver recognizes itself is repeated."""
    for attempt in range(device.guard.repeat + 1):
        try:
            return await ask(block)
        except Overload as error:
            if error.final:
                raise
            if attempt == device.guard.repeat:
                raise final_overload(device.uri, str(error), attempt) from error
            device.guard.add(overloads=1)
    raise AssertionError("the last attempt returns or raises")


def _of_block(device: Device, block: Block, costs: Costs) -> Costs:
    size = block.n_probes
    if costs.perturbed.shape != (size,) or costs.reference.shape != (size,):
        raise DeviceFault(f"answered {costs.perturbed.size} costs to a block of {size} probes", uri=device.uri)
    return costs


def _overloaded_references(costs: Costs, block: Block, declared: Sequence[float]) -> NDArray[np.bool_]:
    return overloaded(costs.reference, () if block.baseline is Baseline.NONE else declared)


def _overloaded_part(
    perturbed: int | float, reference: int | float, block: Block, declared: Sequence[float]
) -> Part | None:
    """Which of a probe's costs is no measurement."""
    if overloaded(perturbed, declared):
        return Part.PLUS
    if overloaded(reference, () if block.baseline is Baseline.NONE else declared):
        return Part.MINUS if block.baseline is Baseline.ANTITHETIC else Part.BASELINE
    return None
