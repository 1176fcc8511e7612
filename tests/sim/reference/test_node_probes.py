"""Node perturbation of the simulated chip: blocks term by term, and one digest at all levels and in both forms."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mgdhw.block import Baseline, Block, CodeSpec, Costs, NodeCosts, Target
from mgdhw.codes import Codes
from mgdhw.datasets import load
from mgdhw.device import Capability, open_device
from mgdhw.errors import ConfigError
from mgdhw.experiment.load import parse_experiment
from mgdhw.random.sample_order import SampleOrder
from mgdhw.testing.stimuli import dataset_for, theta_for
from mgdhw.training.events import Finished
from mgdhw.training.trainer import Trainer
from mgdhw_sim.device import SimDevice
from mgdhw_sim.reference import datapath
from mgdhw_sim.reference.node_probes import forward
from mgdhw_sim.uri import parse

CHIP = "sim:analog-8bit?layers=3-4-2"


def costs_one_by_one(device: SimDevice, shift: list[int], sample: int) -> tuple[int, list[list[int]]]:
    """The cost code of one sample, and what each layer takes in: node by node, in Python's integers."""
    spec, codes = device.spec, device.chip.codes.tolist()
    inputs, targets = device.chip.memory
    signal, taken_in = inputs[sample].tolist(), []
    layers = spec.topology.layers
    for number, layer in enumerate(layers):
        taken_in.append(signal)
        fraction = spec.input_fraction_bits if number == 0 else spec.signal_fraction_bits
        after = []
        for j in range(layer.n_out):
            row = codes[layer.weights][j * layer.n_in : (j + 1) * layer.n_in]
            a = sum(w * x for w, x in zip(row, signal, strict=True)) + (codes[layer.biases][j] << fraction)
            bits, top = fraction + spec.weight_fraction_bits - spec.signal_fraction_bits, 1 << (spec.signal_bits - 1)
            z = min(max((a + (1 << bits >> 1)) >> bits, -top), top - 1)
            z = min(max(z + shift[layer.first_node + j], -top), top - 1)
            after.append(int(datapath.activate(spec, np.array([z]), last=number == len(layers) - 1)[0]))
        signal = after
    cost = datapath.cost_codes(spec, np.array([signal]), targets[sample : sample + 1].astype(np.int64))
    return int(cost[0]), taken_in


@pytest.mark.parametrize("groups", ["all", "layer"])
@pytest.mark.parametrize("baseline", [Baseline.HELD, Baseline.EVERY, Baseline.ANTITHETIC])
async def test_blocks_are_what_the_chip_does_to_each_sample(groups: str, baseline: Baseline) -> None:
    device = SimDevice(CHIP, parse(CHIP))
    async with device:
        await device.load(dataset_for(device.info))
        await device.write(theta_for(device.info))
        codes = CodeSpec("random", 7, 3000, groups, target=Target.NODES)  # large: some signals saturate
        block = Block(5, 7, codes, SampleOrder(3, 11, 2, 3), baseline)
        found = await device.probe(block)
        values = Codes(codes, device.info.topology).values(5, 7).tolist()
        sums = [0] * device.info.n_parameters
        perturbed, reference = [], []
        for k, shift in enumerate(values):
            samples = block.order.samples(block.order.batch_of(5 + k), 1)[0].tolist()
            still = [0] * len(shift)
            other = [-code for code in shift] if baseline is Baseline.ANTITHETIC else still
            plus = [costs_one_by_one(device, shift, sample)[0] for sample in samples]
            minus = [costs_one_by_one(device, other, sample)[0] for sample in samples]
            perturbed.append(sum(plus))
            reference.append(sum(minus))
            for one, two, sample in zip(plus, minus, samples, strict=True):
                _, taken_in = costs_one_by_one(device, still, sample)
                for layer, x in zip(device.info.topology.layers, taken_in, strict=True):
                    for j in range(layer.n_out):
                        term = (one - two) * shift[layer.first_node + j]
                        for i in range(layer.n_in):
                            sums[layer.weights.start + j * layer.n_in + i] += term * x[i]
                        sums[layer.biases.start + j] += term
        assert found.perturbed.tolist() == perturbed
        assert found.reference.tolist() == reference
        assert found.node_sums is not None
        assert found.node_sums.dtype == np.int64
        assert found.node_sums.tolist() == sums
        assert any(sums)
        assert found.evaluations == block.evaluations()


class Samples(SimDevice):
    """A chip that answers the costs of samples and the inputs of layers, and leaves the sums to the host."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri, parse(uri))
        can = self.info.capabilities & ~(Capability.NODE_SUMS | Capability.LEARN) | Capability.NODES
        self.info = replace(self.info, capabilities=can)

    async def probe(self, block: Block) -> Costs:
        costs, chip, order = await super().probe(block), self.chip, block.order
        samples = order.samples(block.first_batch(), block.n_batches())
        codes = Codes(block.codes, self.info.topology).values(block.first_step, block.n_probes).astype(np.int64)
        inputs, targets = chip.memory
        perturbed, reference = [], []
        for k in range(block.n_probes):
            batch = samples[order.batch_of(block.first_step + k) - block.first_batch()]
            other = -codes[k] if block.baseline is Baseline.ANTITHETIC else 0 * codes[k]
            for shift, each in ((codes[k], perturbed), (other, reference)):
                outputs, _ = forward(self.spec, chip.codes, inputs[batch], shift[None])
                each.append(datapath.cost_codes(self.spec, outputs[0], targets[batch].astype(np.int64)))
        traces = [forward(self.spec, chip.codes, inputs[batch])[1] for batch in samples]
        taken_in = tuple(np.stack(of_layer)[:, :, None] for of_layer in zip(*traces, strict=True))
        return replace(costs, node_sums=None, nodes=NodeCosts(np.stack(perturbed), np.stack(reference), taken_in))


TEXT = 'seed = 3\n[training]\nprobes = 300\nbatch = 4\ntau_x = 6\ntau_theta = 12\n[codes]\ntarget = "nodes"\n'


async def digest_of(device: SimDevice, *overrides: str) -> str:
    """The digest of a training on digits."""
    last = None
    async with device:
        async for event in Trainer(parse_experiment(TEXT, source="test", overrides=overrides), device, load("digits")):
            last = event
    assert isinstance(last, Finished)
    return last.digest


@pytest.mark.parametrize(
    "rule",
    [
        (),
        ("codes.groups=layer", "codes.delta=[0.0625, 0.125]", "training.baseline=every", "optimizer.name=momentum"),
        ("codes.family=walsh", "training.baseline=antithetic", "training.normalise=oripov", "optimizer.name=sgd"),
    ],
)
async def test_levels_engines_cuts_and_forms_have_one_digest(rule: tuple[str, ...]) -> None:
    chip = "sim:analog-8bit?layers=64-8-10"

    def a_chip(options: str = "") -> SimDevice:
        return SimDevice(chip + options, parse(chip + options))

    learnt = await digest_of(a_chip(), *rule)
    assert await digest_of(a_chip("&engine=reference"), *rule) == learnt
    assert await digest_of(a_chip(), "run.level=device-codes", "run.block=5", *rule) == learnt
    assert await digest_of(Samples(chip), *rule) == learnt
    assert await digest_of(Samples(chip), "run.block=7", *rule) == learnt
    assert await digest_of(a_chip("&engine=reference"), "codes.target=weights", *rule) != learnt


async def test_nonideal_chips_and_those_without_codes_have_no_nodes() -> None:
    for uri in (f"{CHIP}&cost_noise=0.1", f"{CHIP}&codes=host"):
        device = open_device(uri)
        assert not device.info.perturbs_nodes
        async with device:
            await device.load(dataset_for(device.info))
            block = Block(0, 1, CodeSpec(target=Target.NODES), SampleOrder(3, 11, 2, 3))
            with pytest.raises(ConfigError, match="cannot perturb its nodes"):
                await device.probe(block)


def test_what_layers_take_in_does_not_depend_on_the_shift() -> None:
    spec = parse(CHIP)
    generator = np.random.default_rng(1)
    codes = generator.integers(-128, 128, spec.topology.n_parameters).astype(np.int16)
    x = generator.integers(0, 256, (5, 3)).astype(np.int16)
    outputs, taken_in = forward(spec, codes, x)
    still, _ = forward(spec, codes, x, np.zeros((2, 6), dtype=np.int64))
    assert_array_equal(taken_in[0], x)
    assert_array_equal(still, np.stack([outputs, outputs]))
