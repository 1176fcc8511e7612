"""The core driving a chip's converters instead of simulating it: the calls that a port has to answer."""

from collections.abc import Callable

import numpy as np
from numpy.testing import assert_array_equal

from mgdhw.block import Baseline, Block, CodeSpec
from mgdhw.codes import Codes
from mgdhw.datasets import Dataset
from mgdhw.random.sample_order import SampleOrder
from mgdhw_sim.reference import datapath
from mgdhw_sim.reference.chip import Chip
from mgdhw_sim.spec import ChipSpec

from .core import Core, CoreChip
from .structures import Hardware

SPEC = ChipSpec(layers=(4, 3, 2), output_bits=12)


class Converters:
    """Converters around a simulated chip."""

    def __init__(self) -> None:
        self.codes = np.full(SPEC.topology.n_parameters, 99, dtype=np.int16)  # whatever was there before
        self.inputs = np.zeros(4, dtype=np.int64)
        self.outputs = np.zeros(2, dtype=np.int64)
        self.settings = 0

    def set_parameter(self, _: int | None, i: int, code: int) -> None:
        self.codes[i] = code
        self.settings += 1

    def apply_input(self, _: int | None, i: int, code: int) -> None:
        self.inputs[i] = code

    def trigger(self, _: int | None) -> None:
        signals = datapath.outputs(SPEC, self.codes, self.inputs[None])
        self.outputs = datapath.output_codes(SPEC, signals)[0]

    def read_output(self, _: int | None, j: int) -> int:
        return int(self.outputs[j])

    def hardware(self) -> Hardware:
        methods: list[Callable[..., object]] = [self.set_parameter, self.apply_input, self.trigger, self.read_output]
        kinds = [kind for name, kind in Hardware._fields_ if name != "self"]
        return Hardware(None, *(kind(method) for kind, method in zip(kinds, methods, strict=True)))


def test_a_block_on_hardware(core: Core) -> None:
    rng = np.random.default_rng(2)
    data = Dataset("drawn", rng.random((5, 4)), 1.0, np.eye(2)[rng.integers(0, 2, 5)], 5)
    bench, simulated = Converters(), Chip(SPEC)
    chip = CoreChip(core, SPEC, hardware=bench.hardware())
    assert not bench.codes.any()  # it began with everything at 0
    chip.load(data)
    simulated.load(data)
    chip.write(rng.integers(-90, 90, bench.codes.size).astype(np.int16), 0)
    block = Block(3, 20, CodeSpec("sequential", 1, 5), SampleOrder(4, 5, 1, 3), Baseline.EVERY)
    began = bench.settings
    answer = chip.probe(block)

    inputs, targets = simulated.memory
    codes = Codes(block.codes, SPEC.topology).values(block.first_step, block.n_probes)

    def cost(parameters: np.ndarray, step: int) -> int:
        sample = block.order.samples(block.order.batch_of(step))[0]
        signals = datapath.outputs(SPEC, parameters, inputs[sample].astype(np.int64))
        measured = datapath.output_codes(SPEC, signals) << (SPEC.signal_fraction_bits - SPEC.output_bits)
        return int(datapath.cost_codes(SPEC, measured, targets[sample].astype(np.int64))[0])

    steps = range(block.first_step, block.first_step + block.n_probes)
    assert_array_equal(answer.perturbed, [cost(chip.codes + codes[k], step) for k, step in enumerate(steps)])
    assert_array_equal(answer.reference, [cost(chip.codes, step) for step in steps])
    # Only what changes is set: all once at first, then one parameter to and fro in each probe.
    assert bench.settings - began <= bench.codes.size + 2 * block.n_probes
