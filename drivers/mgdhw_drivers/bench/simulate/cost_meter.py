"""An instrument that measures the cost of the sample that is applied, from outputs and targets."""

from __future__ import annotations

import numpy as np

from mgdhw_drivers.bench.rack import Cost
from mgdhw_drivers.bench.simulate.chip import SimulatedChip
from mgdhw_drivers.bench.simulate.faults import FaultInjector
from mgdhw_drivers.bench.simulate.instrument import SimulatedInstrument
from mgdhw_drivers.bench.simulate.meter import disturbed
from mgdhw_drivers.scpi import Call


class CostMeter(SimulatedInstrument):
    """It answers the rack's own query.

    Args:
        name, identity, chip, faults: see `SimulatedInstrument`.
        cost: of the rack, with its query.
    """

    kind = "cost meter"

    def __init__(self, name: str, identity: str, chip: SimulatedChip, faults: FaultInjector, cost: Cost) -> None:
        super().__init__(name, identity, chip, faults)
        self._cost = cost
        self.tree.add((cost.query or "READ?").partition(" ")[0].upper(), self._read, (0, None))

    async def _read(self, call: Call) -> float:
        costs = await self.chip.cost(self.chip.levels()[None])
        readings = (costs - self._cost.offset) / self._cost.scale
        return float(disturbed(np.asarray(readings), self.faults)[0])
