"""The nonideal chip, bit by bit: the second part of `docs/chip.md` in executable form, beside `datapath.py`.

Noise is a function of the step, the measurement and the place: no function here has state.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mgdhw.arrays import IntArray
from mgdhw.block import Baseline, Block, Costs, HeldBaseline, Part
from mgdhw.codes import Codes
from mgdhw.random.gaussian import gaussians, scaled, strength
from mgdhw.random.philox import Stream
from mgdhw_sim.reference import cells as cells_
from mgdhw_sim.reference import datapath
from mgdhw_sim.reference.cells import Cells
from mgdhw_sim.reference.datapath import CodeArray, activate, cost_codes, exact_product, saturate, shift_round
from mgdhw_sim.reference.variation import NEURON_UNIT, NeuronMismatch, fixed, neurons_of
from mgdhw_sim.spec import ChipSpec

WORK_VALUES = 1 << 21
"""Values of a layer that are worked on at a time."""
WIDEST = 16
"""Rows of noise that are drawn for each one that is used, at most."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When and as what measurements are made: what their noise is keyed by.

    Args:
        steps: (K,) of the probes.
        part: which of a probe's measurements.
        rows: (B,) numbers of the samples within a measurement.
    """

    steps: IntArray
    part: Part
    rows: IntArray


def temperature(spec: ChipSpec, step: int) -> int:
    """Number of the temperature step that a step belongs to; at number 0 the chip has its nominal temperature."""
    return step // spec.nonidealities.temperature_every if spec.nonidealities.temperature_std > 0 else 0


def neurons_at(spec: ChipSpec, number: int) -> NeuronMismatch:
    """The neurons at a temperature."""
    own = neurons_of(spec)
    if number == 0:
        return own
    nonidealities = spec.nonidealities
    g = gaussians(spec.seed, Stream.TEMPERATURE, [number], 1)[0]
    kelvin = int(scaled(g, strength(nonidealities.temperature_std * 256))[0])  # 8 fraction bits
    shift = fixed(nonidealities.temperature_midpoint, 2.0 ** (spec.signal_fraction_bits + 8))
    steeper = fixed(nonidealities.temperature_steepness, NEURON_UNIT << 8)
    return NeuronMismatch(
        midpoint=own.midpoint + _rounded(kelvin * shift, 16),
        steepness=np.clip(own.steepness + _rounded(kelvin * steeper, 16), 0, 2 * NEURON_UNIT - 1),
        amplitude=own.amplitude,
        offset=own.offset,
    )


def _rounded(value: int, bits: int) -> int:
    return (value + (1 << (bits - 1))) >> bits


def row_noise(spec: ChipSpec, stream: Stream, std: float, moment: Moment, n: int, layer: int = 0) -> IntArray:
    """(K, B, n) noise of n places for each sample of each measurement; `std` in the units of what it is added to."""
    size = strength(std)
    k, b = moment.steps.size, moment.rows.size
    if size == 0:
        return np.zeros((1, 1, n), dtype=np.int64)
    blocks = -(-n // 8)  # a row begins with a block of its own
    first, last = int(moment.rows.min()), int(moment.rows.max())
    if last - first > WIDEST * b:  # far apart: what lies between them would take all memory
        runs = np.split(moment.rows, np.flatnonzero(np.diff(moment.rows) != 1) + 1)
        return np.concatenate([row_noise(spec, stream, std, replace(moment, rows=r), n, layer) for r in runs], axis=1)
    g = gaussians(
        spec.seed,
        stream,
        moment.steps,
        (last - first + 1) * blocks * 8,
        first_block=first * blocks,
        layer=layer,
        substream=int(moment.part),
    )
    return scaled(g.reshape(k, -1, blocks * 8)[:, moment.rows - first, :n].reshape(k, b, n), size)


def signals(spec: ChipSpec, fine: IntArray, x: CodeArray, neurons: NeuronMismatch, moment: Moment) -> IntArray:
    """The whole network, settled.

    Args:
        spec: the chip.
        fine: (P,) or (K, P) fine weights.
        x: (K, B, n_in) or (1, B, n_in) input codes.
        neurons: at the temperature that it has.
        moment: of K steps.

    Returns:
        (K, B, n_out) signals of the last layer.
    """
    full = (1 << (spec.input_bits + spec.input_fine_bits)) - 1
    noise = spec.nonidealities.input_noise * 2.0 ** (spec.input_fraction_bits + spec.input_fine_bits)
    signal = x.astype(np.int64) << spec.input_fine_bits
    signal = np.clip(signal + row_noise(spec, Stream.INPUT, noise, moment, x.shape[-1]), -full, full)
    signal = np.broadcast_to(signal, (moment.steps.size, *signal.shape[1:]))
    last, first_neuron = len(spec.layers) - 2, 0
    for number, layer in enumerate(spec.topology.layers):
        own = slice(first_neuron, first_neuron + layer.n_out)
        first_neuron += layer.n_out
        w = fine[..., layer.weights].reshape(*fine.shape[:-1], layer.n_out, layer.n_in)
        x_fraction = spec.input_fraction_bits + spec.input_fine_bits if number == 0 else spec.signal_fraction_bits
        bound = int(np.abs(signal).sum(axis=-1).max()) * max(int(w.max()), -int(w.min()))
        total = exact_product(signal, w, bound) + (fine[..., layer.biases] << x_fraction)[..., None, :]
        z = shift_round(total, x_fraction + spec.fine_fraction_bits - spec.signal_fraction_bits)
        read = spec.nonidealities.read_noise * 2.0**spec.signal_fraction_bits
        z = saturate(z + row_noise(spec, Stream.READ, read, moment, layer.n_out, number), spec.signal_bits)
        z = saturate(shift_round((z - neurons.midpoint[own]) * neurons.steepness[own], 12), spec.signal_bits)
        h = activate(spec, z, last=number == last)
        signal = saturate(shift_round(h * neurons.amplitude[own], 12) + neurons.offset[own], spec.signal_bits)
    return signal


def costs(spec: ChipSpec, outputs: IntArray, targets: IntArray, moment: Moment) -> IntArray:
    """(K,) cost codes summed over the samples, each with its noise."""
    codes = cost_codes(spec, outputs, targets)
    noise = row_noise(spec, Stream.COST, spec.nonidealities.cost_noise / spec.cost_lsb, moment, 1)[..., 0]
    return np.asarray(np.clip(codes + noise, 0, (1 << spec.cost_bits) - 1).sum(axis=-1))


def output_codes(spec: ChipSpec, outputs: IntArray, moment: Moment) -> IntArray:
    """Output ADC: (K, B, n_out) codes, with its noise and its bow."""
    adc = datapath.output_converter(spec)
    noise = spec.nonidealities.adc_noise * 2.0**spec.signal_fraction_bits
    seen = outputs + row_noise(spec, Stream.ADC, noise, moment, outputs.shape[-1])
    code = np.clip(shift_round(seen, spec.signal_fraction_bits - adc.fraction_bits), adc.low, adc.high)
    bow = fixed(spec.nonidealities.adc_inl, 1 << 8)
    centred = 2 * code - (adc.low + adc.high + 1)  # -2**b_y ... 2**b_y
    code = code + shift_round(bow - shift_round(bow * centred * centred, 2 * spec.output_bits), 8)
    return np.clip(code, adc.low, adc.high)


class NonidealChip:
    """A nonideal chip at work: its cells, and a sample memory.

    Args:
        spec: what the chip is.
        cells: what its cells hold.
        inputs, targets: (N, n_in) and (N, n_out) codes of all samples.
    """

    def __init__(self, spec: ChipSpec, cells: Cells, inputs: CodeArray, targets: CodeArray) -> None:
        self.spec = spec
        self.cells = cells
        self.inputs = inputs
        self.targets = targets

    def conditions(self, step: int) -> tuple[int, int]:
        """What a step has in common with those at which the chip is the same: tick and temperature."""
        return cells_.tick(self.spec, step), temperature(self.spec, step)

    def measure(self, samples: IntArray, step: int, part: Part) -> int:
        """One evaluation of (B,) samples with the weights as they are, settled."""
        tick, number = self.conditions(step)
        fine, neurons = cells_.weights(self.spec, self.cells, tick), neurons_at(self.spec, number)
        total = 0
        for rows in self._parts(samples.size):
            moment, seen = Moment(np.array([step]), part, rows), samples[rows]
            out = signals(self.spec, fine, self.inputs[seen][None], neurons, moment)
            total += int(costs(self.spec, out, self.targets[seen][None].astype(np.int64), moment)[0])
        return total

    def infer(self, samples: IntArray, step: int) -> IntArray:
        """(B, n_out) output codes of (B,) samples at a step. Noise goes by it, and by the sample's number."""
        tick, number = self.conditions(step)
        fine, neurons = cells_.weights(self.spec, self.cells, tick), neurons_at(self.spec, number)
        moment = Moment(np.array([step]), Part.INFER, samples)
        out = signals(self.spec, fine, self.inputs[samples][None], neurons, moment)
        return np.asarray(output_codes(self.spec, out, moment)[0])

    def probe(self, block: Block, most: int) -> Costs:
        """Run a block, `most` probes at a time at most."""
        codes = Codes(block.codes, self.spec.topology)
        end = block.first_step + block.n_probes
        known = block.valid_held()
        plus: list[IntArray] = []
        reference: list[IntArray] = []
        measured_at = set(block.baseline_steps())
        step, before = block.first_step, self._before(block, codes)
        while step < end:
            size = min(most, end - step, self._unchanged_steps(step))
            steps = np.arange(step, step + size)
            change = codes.values(step, size)
            outputs, before = self._outputs(block, steps, change, measured_at, before)
            perturbed = self._costs(block, steps, outputs[Part.PLUS], Part.PLUS)
            plus.append(perturbed)
            if block.baseline is Baseline.ANTITHETIC:
                reference.append(self._costs(block, steps, outputs[Part.MINUS], Part.MINUS))
            else:
                held = np.zeros(size, dtype=np.int64)
                taken = [s for s in steps.tolist() if s in measured_at]
                values: list[int] = []
                if taken:
                    at = np.array(taken)
                    values = self._costs(block, at, outputs[Part.BASELINE], Part.BASELINE).tolist()
                for j, s in enumerate(steps.tolist()):
                    if taken and s == taken[0]:
                        known = HeldBaseline(values.pop(0), taken.pop(0))
                    held[j] = 0 if known is None else known.value
                reference.append(held)
            step += size
        carried = known if block.baseline is Baseline.HELD else None
        return Costs(np.concatenate(plus), np.concatenate(reference), block.evaluations(), carried)

    def _unchanged_steps(self, step: int) -> int:
        """Steps from this one on, this included, at which the chip is the same."""
        nonidealities = self.spec.nonidealities
        spans = [1 << 40]
        if nonidealities.ages:
            spans.append(nonidealities.drift_every - step % nonidealities.drift_every)
        if nonidealities.temperature_std > 0:
            spans.append(nonidealities.temperature_every - step % nonidealities.temperature_every)
        if step <= self.cells.written:  # a block of steps before the write: nothing is left of one in the next
            spans.append(1)
        return min(spans)

    def _samples(self, block: Block, steps: IntArray) -> IntArray:
        """(K, B) samples of probes."""
        first = block.order.batch_of(int(steps[0]))
        count = block.order.batch_of(int(steps[-1])) - first + 1
        return block.order.samples(first, count)[steps // block.order.tau_x - first]

    def _settled(self, block: Block, steps: IntArray, fine: IntArray, part: Part) -> IntArray:
        """(K, B, n_out) what the outputs go to, all under the same conditions."""
        neurons = neurons_at(self.spec, temperature(self.spec, int(steps[0])))
        samples = self._samples(block, steps)
        parts = [
            signals(self.spec, fine, self.inputs[samples[:, rows]], neurons, Moment(steps, part, rows))
            for rows in self._parts(block.order.batch, steps.size)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def _parts(self, batch: int, times: int = 1) -> list[IntArray]:
        """Numbers of a batch's samples, in as many parts as memory wants. Noise goes by the number, not by the part."""
        values = batch * times * max(self.spec.layers)
        return np.array_split(np.arange(batch), min(batch, -(-values // WORK_VALUES)))

    def _costs(self, block: Block, steps: IntArray, outputs: IntArray, part: Part) -> IntArray:
        targets = self.targets[self._samples(block, steps)].astype(np.int64)
        return costs(self.spec, outputs, targets, Moment(steps, part, np.arange(block.order.batch)))

    def _before(self, block: Block, codes: Codes) -> IntArray | None:
        """(B, n_out) settled outputs just before the block, if nothing has come between."""
        step = block.first_step - 1
        if self.spec.nonidealities.settling == 0 or step < max(0, self.cells.written):
            return None
        change = codes.values(step, 1)
        part = Part.PLUS
        if block.baseline is Baseline.ANTITHETIC:
            change, part = -change, Part.MINUS
        base = cells_.weights(self.spec, self.cells, cells_.tick(self.spec, step))
        return np.asarray(self._settled(block, np.array([step]), cells_.perturbed(self.spec, base, change), part)[0])

    def _outputs(
        self, block: Block, steps: IntArray, change: CodeArray, measured_at: set[int], before: IntArray | None
    ) -> tuple[dict[Part, IntArray], IntArray]:
        """Outputs of probes under the same conditions, by part, each with what is left in it of the one before it.

        Returns:
            (K, B, n_out) for each part, baselines only where one is measured; and where the last one was going.
        """
        spec, residue = self.spec, fixed(self.spec.nonidealities.settling, 1 << 15)
        base = cells_.weights(spec, self.cells, cells_.tick(spec, int(steps[0])))
        going = {Part.PLUS: self._settled(block, steps, cells_.perturbed(spec, base, change), Part.PLUS)}
        if block.baseline is Baseline.ANTITHETIC:
            going[Part.MINUS] = self._settled(block, steps, cells_.perturbed(spec, base, -change), Part.MINUS)
        measured = [j for j, s in enumerate(steps.tolist()) if s in measured_at]
        if measured:
            going[Part.BASELINE] = self._settled(block, steps[measured], base, Part.BASELINE)
        last = going.get(Part.MINUS, going[Part.PLUS])
        if residue == 0:
            return going, last[-1]
        earlier = int(steps[0]) - 1
        if earlier < self.cells.written or self.conditions(earlier) != self.conditions(earlier + 1):
            before = None
        first = (going[Part.BASELINE] if measured[:1] == [0] else going[Part.PLUS])[0] if before is None else before
        preceding = np.concatenate([first[None], last[:-1]])  # what comes before each probe's first evaluation
        came = dict(going)
        came[Part.PLUS] = preceding.copy()
        if measured:
            came[Part.PLUS][measured] = going[Part.BASELINE]
            came[Part.BASELINE] = preceding[measured]
        if Part.MINUS in going:
            came[Part.MINUS] = going[Part.PLUS]
        left = {part: h + shift_round(residue * (came[part] - h), 15) for part, h in going.items()}
        return left, last[-1]
