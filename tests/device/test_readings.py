"""Which readings are measurements, how one is taken, and how repetitions are counted and told."""

import math
import time
from dataclasses import replace

import numpy as np
import pytest

from mgdhw.arrays import FloatArray, IntArray
from mgdhw.block import Baseline, Block, CodeSpec, Costs, Part
from mgdhw.datasets import load
from mgdhw.device import Acquisition, guarded, guarded_probing
from mgdhw.device.readings import GuardCounts, overloaded
from mgdhw.errors import ConfigError, Overload
from mgdhw.random.sample_order import SampleOrder
from mgdhw.testing import FunctionDevice
from tests.helpers.readings import Instrument

XOR = load("xor")
BLOCK = Block(0, 150, CodeSpec(amplitude=40), SampleOrder(0, 4, 2, 5), Baseline.HELD)


@pytest.mark.parametrize(
    "value",
    [9.9e37, -9.9e37, 9.91e37, 9.9, "9.9E+37", "+9.90000000E+37", "9.91E37", np.float32(9.9e37), "nan", "inf", "-inf"],
)
def test_sentinels_are_no_measurements_however_they_are_printed(value: float | str) -> None:
    assert overloaded(float(value)) == (value != 9.9)
    assert overloaded([0.0, float(value)]).tolist() == [False, value != 9.9]


def test_what_a_device_declares_is_no_measurement_either() -> None:
    assert overloaded([-999.0, -999.00001, -998.9, 4095.0], (-999.0, 4095)).tolist() == [True, True, False, True]


def test_cost_codes_are_measurements_unless_declared() -> None:
    codes = np.array([0, 4095, 2**62])
    assert not overloaded(codes).any()
    assert overloaded(codes, (4095.0,)).tolist() == [False, True, False]
    assert overloaded(7, (7,))


def test_counts_in_words() -> None:
    assert str(GuardCounts(12, clipped=5)) == "12 readings measured again (overload), 5 outliers clipped"
    assert str(GuardCounts(1, 1) + GuardCounts(0, 1_000)) == (
        "1 reading measured again (overload), 1,001 outliers measured again"
    )
    assert not GuardCounts()
    assert str(GuardCounts()) == ""


@pytest.mark.parametrize(
    "wrong",
    [
        {"settling_seconds": -1.0},
        {"settling_seconds": math.nan},
        {"dead_seconds": math.inf},
        {"readings": 0},
        {"readings": 1.5},
        {"overload": (math.nan,)},
    ],
)
def test_an_acquisition_that_cannot_be(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=rf"acquisition\.{next(iter(wrong))}"):
        Acquisition(**wrong)  # type: ignore[arg-type]


# --- outputs ----------------------------------------------------------------------------------------------------------


class Meter(FunctionDevice):
    """Reads x₁ of each sample, except that the first `wrong` readings of sample 2 are an overload."""

    def __init__(self, wrong: int, value: float = 9.91e37) -> None:
        super().__init__(None, 1, outputs=lambda theta, inputs: inputs[:, :1])
        self.wrong, self.value = wrong, value
        self.asked: list[list[int]] = []

    async def infer(self, samples: IntArray, step: int = 0) -> FloatArray:
        self.asked.append(samples.tolist())
        outputs = await super().infer(samples, step)
        if self.wrong and 2 in samples:
            self.wrong -= 1
            outputs[samples == 2] = self.value
        return outputs


async def test_only_the_samples_that_were_not_read_are_read_again() -> None:
    async with Meter(2) as device:
        await device.load(XOR)
        assert (await guarded.infer(device, np.arange(4))).ravel().tolist() == [0, 0, 1, 1]
        assert device.asked == [[0, 1, 2, 3], [2], [2]]
        assert device.guard.take() == GuardCounts(2)
        assert device.guard.take() == GuardCounts()


async def test_an_output_that_stays_overloaded_is_named() -> None:
    async with Meter(99, math.nan) as device:
        await device.load(XOR)
        named = r"^function:1: output 1 for sample 2 is not a number; check its range and wiring \(measured 4 times\)$"
        with pytest.raises(Overload, match=named):
            await guarded.infer(device, np.arange(4))
        device.asked.clear()
        with pytest.raises(Overload, match=r"^function:1: the cost of probe 7: output 1 for sample 2.*\(plus\)$"):
            await device.acquire(np.arange(4), 7, Part.PLUS)


async def test_a_driver_may_recognize_an_overload_itself() -> None:
    class Knows(Meter):
        async def infer(self, samples: IntArray, step: int = 0) -> FloatArray:
            outputs = await super().infer(samples, step)
            if (outputs > 1).any():
                raise Overload("bit 0 of its questionable status is set", uri=self.uri)
            return outputs

    async with Knows(2) as device:
        await device.load(XOR)
        assert (await guarded.infer(device, np.arange(4))).ravel().tolist() == [0, 0, 1, 1]
        device.wrong = 99
        with pytest.raises(
            Overload, match=r"^function:1: bit 0 of its questionable status is set \(measured 4 times\)"
        ):
            await guarded.infer(device, np.arange(4))


# --- costs ------------------------------------------------------------------------------------------------------------


async def costs_of(device: Instrument, block: Block) -> Costs:
    async with device:
        await device.load(XOR)
        await device.write(np.linspace(-1.0, 1.0, device.info.n_parameters))
        return await guarded_probing.probe(device, block)


@pytest.mark.parametrize("baseline", Baseline)
@pytest.mark.parametrize("own_codes", [False, True])
async def test_overloads_change_no_bit(baseline: Baseline, *, own_codes: bool) -> None:
    block = replace(BLOCK, baseline=baseline)
    device = Instrument(50, own_codes=own_codes)
    costs, clean = await costs_of(device, block), await costs_of(Instrument(), block)
    np.testing.assert_array_equal(costs.perturbed, clean.perturbed)
    np.testing.assert_array_equal(costs.reference, clean.reference)
    assert (costs.held, costs.evaluations) == (clean.held, clean.evaluations)
    assert device.guard.counts.overloads >= 5
    assert not own_codes or baseline is not Baseline.NONE or device.guard.counts.overloads == device.found["overload"]


@pytest.mark.parametrize("own_codes", [False, True])
async def test_what_is_declared_is_repeated_too(*, own_codes: bool) -> None:
    device = Instrument(50, own_codes=own_codes, overload=-999.0)
    assert (await costs_of(device, BLOCK)).perturbed.min() == -999.0
    device.info = replace(device.info, acquisition=Acquisition(overload=(-999.0,)))
    device.made.clear()
    np.testing.assert_array_equal(
        (await costs_of(device, BLOCK)).perturbed, (await costs_of(Instrument(), BLOCK)).perturbed
    )


@pytest.mark.parametrize("baseline", Baseline)
@pytest.mark.parametrize("own_codes", [False, True])
async def test_costs_that_stay_overloaded_are_named(baseline: Baseline, *, own_codes: bool) -> None:
    part = {Baseline.HELD: "baseline", Baseline.EVERY: "baseline"}.get(baseline, "plus")
    if own_codes:
        part = "plus"
    with pytest.raises(
        Overload, match=rf"^instrument:1: the cost of probe 0 is 9.9e\+37, an.*\({part}, measured 4 times\)"
    ):
        await costs_of(Instrument(1000, own_codes=own_codes), replace(BLOCK, baseline=baseline))


async def test_repeat_0_is_never() -> None:
    device = Instrument(1000)
    with device.guard.applying(0, None, None), pytest.raises(Overload, match=r"\(baseline\)$"):
        await costs_of(device, BLOCK)
    assert device.guard.counts == GuardCounts()


# --- how a measurement is taken ---------------------------------------------------------------------------------------


class Steps(FunctionDevice):
    """Answers 1, 2, 3, ..., and remembers when."""

    def __init__(self, acquisition: Acquisition | None) -> None:
        super().__init__(lambda theta: 0.0, 3)
        self.info = replace(self.info, acquisition=acquisition)
        self.times: list[float] = []

    async def measure(self, samples: IntArray, step: int, part: Part) -> int | float:
        self.times.append(time.monotonic())
        return len(self.times)


@pytest.mark.parametrize("override", [False, True])
async def test_readings_are_averaged(*, override: bool) -> None:
    ticks = []
    device = Steps(None if override else Acquisition(readings=3))
    with device.guard.applying(3, None, 3 if override else None):
        async with device:
            await device.load(XOR)
            device.watch = lambda: ticks.append(1)
            costs = await device.probe(Block(0, 2, CodeSpec(), SampleOrder(0, 4, 1, 9), Baseline.HELD))
    assert costs.reference.tolist() == [2.0, 2.0]
    assert costs.perturbed.tolist() == [5.0, 8.0]
    assert (costs.evaluations, device.readings, len(ticks)) == (3, 9, 9)
    assert device.acquisition.readings == (1 if override else 3)


async def test_it_is_waited_after_a_write_and_between_readings() -> None:
    device = Steps(Acquisition(0.03, 2, 0.01))
    async with device:
        await device.load(XOR)
        for _ in range(2):
            await device.write(np.zeros(3))
            written = time.monotonic()
            await device.acquire(np.arange(1), 0, Part.PLUS)
            first, second = device.times[-2:]
            assert first - written >= 0.029
            assert second - first >= 0.01
        await guarded.settle(device)  # at once: it has settled
