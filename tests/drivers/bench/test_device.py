"""A rack as a device: what is sent, ramps, parallel instruments, errors, and the safe state."""

import numpy as np
import pytest

import mgdhw
from mgdhw.block import Baseline, Block, CodeSpec
from mgdhw.device import Capability
from mgdhw.errors import DeviceFault, LimitExceeded, LinkLost, LinkTimeout, Overload
from mgdhw.random.sample_order import SampleOrder
from tests.drivers.bench.fake import FakeBench, example

SOURCE, UNITS, GENERATOR = "source-and-scope", "source-measure-units", "generator-and-digitizer"
XOR = mgdhw.load_dataset("xor")


def block(n_probes: int, baseline: Baseline = Baseline.HELD, amplitude: int = 50) -> Block:
    return Block(0, n_probes, CodeSpec(seed=1, amplitude=amplitude), SampleOrder(1, 4, 2, 3), baseline)


def moved_at_most(bench: FakeBench) -> float:
    owned = {place for group in bench.rack.parameters for place in bench.rack.places(group)}
    return max(abs(after - before) for name, channel, before, after in bench.moves if (name, channel) in owned)


async def test_only_changed_channels_are_sent_in_one_message() -> None:
    bench = FakeBench(example(SOURCE))
    async with bench.device() as device:
        theta = np.zeros(13)
        await device.write(theta)
        theta[[2, 3, 7]] = 0.1, 0.2, 0.3
        bench.sent.clear()
        await device.write(theta)
        assert bench.sent == [("source", "SOUR:VOLT 0.1000,0.2000,0.3000,(@3:4,8);*OPC?")]
        bench.sent.clear()
        await device.write(theta)
        assert bench.sent == []


async def test_messages_fit_into_the_buffer() -> None:
    bench = FakeBench(example(SOURCE, ("buffer = 1024", "buffer = 60")))
    async with bench.device() as device:
        await device.write(np.full(13, 0.1234))
    assert max(len(text) for _, text in bench.sent) <= 60
    np.testing.assert_array_equal(bench.theta(), np.zeros(13))


async def test_values_are_on_the_grid_and_as_sent() -> None:
    bench = FakeBench(example(SOURCE))
    async with bench.device() as device:
        stored = await device.write(np.full(13, 0.10049))
        np.testing.assert_array_equal(stored, np.full(13, 0.1))
        np.testing.assert_array_equal(bench.theta(), stored)
        np.testing.assert_array_equal(await device.read(), stored)


async def test_ramps_begin_where_the_hardware_is_and_end_safe() -> None:
    bench = FakeBench(example(SOURCE))
    for channel in range(1, 14):
        bench.values["source", str(channel)] = 2.0
    bench.outputs_on["source"] = True
    async with bench.device() as device:
        np.testing.assert_array_equal(await device.read(), np.full(13, 2.0))
        await device.write(np.full(13, -1.0))
    assert moved_at_most(bench) <= 0.5 + 1e-9
    np.testing.assert_array_equal(bench.theta(), np.zeros(13))
    assert bench.outputs_on["source"] is False


async def test_instruments_work_at_the_same_time() -> None:
    bench = FakeBench(example(UNITS))
    async with bench.device() as device:
        bench.delay = 0.01
        await device.write(np.full(9, 0.5))
        bench.delay = 0.0
    assert bench.most_busy == 9


@pytest.mark.parametrize("name", [SOURCE, UNITS, GENERATOR])
async def test_outputs_are_those_of_the_network(name: str) -> None:
    bench = FakeBench(example(name))
    async with bench.device() as device:
        await device.load(XOR)
        theta = np.round(np.linspace(-2, 2, device.info.n_parameters), 3)
        await device.write(theta)
        outputs = await device.infer(np.arange(4))
    expected = [[bench.output(theta, XOR.values([sample])[0])] for sample in range(4)]
    np.testing.assert_allclose(outputs, expected, rtol=1e-6)


@pytest.mark.parametrize("baseline", list(Baseline))
async def test_hardware_timed_blocks_give_the_costs_of_single_probes(baseline: Baseline) -> None:
    bench = FakeBench(example(GENERATOR))
    async with bench.device() as device:
        assert Capability.PROBE in device.info.capabilities
        await device.load(XOR)
        theta = await device.write(np.round(np.linspace(-2, 2, 9), 3))
        single = await device.probe_with_host_codes(block(7, baseline))
        before = len(bench.sent)
        timed = await device.probe(block(7, baseline))
        assert len(bench.sent) - before == 11 + 6 + 1 + 2  # uploads, start, record, stop
        np.testing.assert_allclose(timed.perturbed, single.perturbed, rtol=1e-5)
        np.testing.assert_allclose(timed.reference, single.reference, rtol=1e-5)
        assert timed.evaluations == single.evaluations
        assert (timed.held is None) == (single.held is None)
        np.testing.assert_array_equal(bench.theta(), theta)


async def test_long_blocks_are_played_in_parts() -> None:
    bench = FakeBench(example(GENERATOR, ("max_points = 65536", "max_points = 100")))
    async with bench.device() as device:
        await device.load(XOR)
        single = await device.probe_with_host_codes(block(12))
        timed = await device.probe(block(12))
        np.testing.assert_allclose(timed.perturbed, single.perturbed, rtol=1e-5)
        assert max(len(wave) for wave in bench.waveforms.values()) <= 100


async def test_inputs_are_uploaded_once() -> None:
    bench = FakeBench(example(GENERATOR))
    async with bench.device() as device:
        await device.load(XOR)
        for _ in range(3):
            await device.probe_with_host_codes(block(6))
    uploads = [text for _, text in bench.sent if "DATA:NAME" in text]
    assert len(uploads) == len(set(uploads)) == 2 * 4


async def test_overload_names_the_channel() -> None:
    bench = FakeBench(example(SOURCE))
    async with bench.device() as device:
        await device.load(XOR)
        bench.readings = [9.9e37]
        with pytest.raises(Overload, match="scope, channel 1"):
            await device.infer(np.arange(1))


async def test_a_hardware_timed_measurement_that_is_none_is_made_again() -> None:
    bench = FakeBench(example(GENERATOR))
    async with bench.device() as device:
        await device.load(XOR)
        expected = await device.probe(block(6))
        bench.sent.clear()
        bench.overload_at = 45
        costs = await device.probe(block(6))
        np.testing.assert_array_equal(costs.perturbed, expected.perturbed)
        assert device.guard.take().overloads == 1
        assert [text for _, text in bench.sent].count("*TRG") == 2
        device.guard.repeat = 0
        bench.overload_at = 45
        with pytest.raises(Overload, match=r"digitizer, channel 1, reads 9\.9e\+37"):
            await device.probe(block(6))


async def test_a_measured_cost_is_read() -> None:
    change = ('kind = "mse"', 'kind = "mse"\ninstrument = "scope"\nquery = "COST?"\nscale = 2.0\noffset = 0.5')
    bench = FakeBench(example(SOURCE, change))
    async with bench.device() as device:
        await device.load(XOR)
        costs = await device.probe(block(2))
        np.testing.assert_array_equal(costs.perturbed, [5.0, 5.0])  # two samples of 2 · 1 + 0.5


async def test_inputs_beyond_their_limits_are_refused() -> None:
    bench = FakeBench(example(SOURCE))
    async with bench.device() as device:
        await device.load(mgdhw.Dataset("wide", np.array([[0.5, 1.5]]), 1.0, np.array([[1.0]]), 1))
        with pytest.raises(LimitExceeded, match=r"input 2 would be 1\.5 V"):
            await device.infer(np.arange(1))


async def test_errors_in_a_queue_are_raised_after_the_block() -> None:
    bench = FakeBench(example(SOURCE))
    async with bench.device() as device:
        await device.load(XOR)
        bench.errors["source"] = ['-222, "Data out of range"']
        with pytest.raises(DeviceFault, match="-222"):
            await device.probe(block(1))
    assert bench.outputs_on["source"] is False


async def test_after_a_failed_write_the_position_is_read() -> None:
    bench = FakeBench(example(SOURCE))
    async with bench.device() as device:
        await device.write(np.full(13, 2.0))
        bench.fail["SOUR:VOLT 2.5"] = LinkTimeout("no answer", uri="bench:fake")
        with pytest.raises(LinkTimeout):
            await device.write(np.full(13, 3.0))
        for channel in range(1, 14):  # it was switched off and on
            bench.values["source", str(channel)] = 0.0
        bench.moves.clear()
        await device.write(np.full(13, 3.0))
        np.testing.assert_array_equal(bench.theta(), np.full(13, 3.0))
    assert moved_at_most(bench) <= 0.5 + 1e-9


async def test_a_failure_that_only_an_interlock_has_seen_is_not_forgotten() -> None:
    """An instrument that was switched off and on answers the next query, with its outputs off."""
    bench = FakeBench(example(SOURCE))
    async with bench.device() as device:
        await device.load(XOR)
        await device.write(np.full(13, 0.3))
        bench.fail["TRIP"] = LinkLost("switched off and on", uri="bench:fake")
        (interlock,) = device.interlocks
        assert await interlock.problem() is None  # asked again
        with pytest.raises(LinkLost, match="what was set may be lost"):
            await device.probe(block(1))
        with pytest.raises(LinkLost, match="what was set may be lost"):
            await device.infer(np.arange(2))
        bench.values.clear()
        bench.outputs_on["source"] = False
        await device.write(np.full(13, 0.3))
        assert bench.outputs_on["source"]
        np.testing.assert_array_equal(bench.theta(), np.full(13, 0.3))
        await device.probe(block(1))


async def test_what_can_be_reached_is_made_safe() -> None:
    bench = FakeBench(example(UNITS))
    device = bench.device()
    await device.open()
    await device.write(np.full(9, 1.0))
    bench.absent.add("smu3")
    with pytest.raises(LinkLost, match="smu3"):
        await device.close()
    on = {name for name, is_on in bench.outputs_on.items() if is_on}
    assert on == {"smu3"}
    assert bench.theta().tolist() == [0, 0, 1, 0, 0, 0, 0, 0, 0]


async def test_a_rack_that_opens_half_way_is_made_safe() -> None:
    bench = FakeBench(example(UNITS))
    bench.absent.add("meter")
    with pytest.raises(Exception, match="meter is absent"):
        async with bench.device():
            pass
    assert not any(bench.outputs_on.values())


async def test_linked_limits_are_checked_before_anything_is_sent() -> None:
    bench = FakeBench(example(UNITS))
    async with bench.device() as device:
        bench.sent.clear()
        with pytest.raises(LimitExceeded, match="power"):
            await device.write(np.full(9, 7.0))
        assert bench.sent == []


@pytest.mark.parametrize(
    ("condition", "answer", "problem"),
    [
        ('expect = "0"', "+0.0", None),
        ('expect = "0"', "1", "expected '0'"),
        ("max = 4.2", "4.19", None),
        ("max = 4.2", "nan", "expected any ... 4.2"),
        ("min = 1.0\nmax = 2.0", "0.5", "expected 1 ... 2"),
        ("min = 1.0", "cold", "expected a number"),
    ],
)
async def test_interlocks(condition: str, answer: str, problem: str | None) -> None:
    bench = FakeBench(
        example(SOURCE, ('query = "OUTP:PROT:TRIP?"\nexpect = "0"', f'query = "OUTP:PROT:TRIP?"\n{condition}'))
    )
    async with bench.device() as device:
        (interlock,) = device.interlocks
        bench.tripped = answer
        found = await interlock.problem()
        assert (found is None) == (problem is None)
        assert problem is None or problem in str(found)


async def test_an_output_that_is_off_comes_on_at_the_safe_value() -> None:
    bench = FakeBench(example(SOURCE))
    for channel in range(1, 14):  # after a power failure in the middle of a write
        bench.values["source", str(channel)] = 2.0
    async with bench.device() as device:
        np.testing.assert_array_equal(await device.read(), np.zeros(13))
        on = [text for _, text in bench.sent].index("OUTP ON,(@1:13,31:32)")
        assert "SOUR:VOLT 0.0000" in bench.sent[on - 1][1]
