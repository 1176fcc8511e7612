"""The contract: finding drivers, limits, and what the host does for a device that only sets and measures."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mgdhw.arrays import FloatArray, IntArray
from mgdhw.block import Baseline, Block, CodeSpec, Costs, HeldBaseline, Part
from mgdhw.codes import Codes
from mgdhw.datasets import Dataset
from mgdhw.device import Capability, Device, DeviceInfo, HostCodes, device_schemes, open_device
from mgdhw.errors import ConfigError, ConformanceError, DeviceFault, DeviceUnavailable, LimitExceeded, LinkTimeout
from mgdhw.experiment.schema import Experiment, parse_experiment
from mgdhw.random.sample_order import SampleOrder
from mgdhw.topology import Topology
from mgdhw.training.events import Finished
from mgdhw.training.trainer import Trainer
from mgdhw_sim.device import SimDevice

BOTTOM = np.array([0.5, -0.25, 0.125, 0.75, -1.0])


class Bowl(HostCodes):
    """Five knobs and a meter: the cost is (θ - BOTTOM)² + 1, a float; nothing else is known of it.

    Args:
        lsb: step of a knob, which it rounds to.
        limit: of |θ|.
        fail: called before each measurement with its number.
    """

    def __init__(
        self, lsb: float | FloatArray = 2.0**-10, limit: float = 2.0, fail: Callable[[int], None] | None = None
    ) -> None:
        super().__init__("bowl:1")
        self.info = DeviceInfo(
            model="bowl",
            identity="1",
            topology=Topology(BOTTOM.size),
            theta_min=-limit,
            theta_max=limit,
            theta_lsb=lsb,
            n_inputs=1,
            n_outputs=1,
            cost_kind="mse",
            cost_lsb=1.0,
            capabilities=Capability.MEASURE | Capability.DETERMINISTIC,
        )
        self.theta = np.zeros(BOTTOM.size)
        self.sent: list[FloatArray] = []
        self.measured: list[tuple[list[int], int, Part]] = []
        self.fail = fail

    async def connect(self) -> None:
        pass

    async def disconnect(self) -> None:
        pass

    async def load(self, dataset: Dataset) -> None: ...

    async def apply(self, theta: FloatArray, step: int) -> FloatArray:
        self.sent.append(theta.copy())
        self.theta = np.rint(theta / self.info.theta_lsb) * self.info.theta_lsb
        return self.theta.copy()

    async def read(self) -> FloatArray:
        return self.theta.copy()

    async def infer(self, samples: IntArray, step: int = 0) -> FloatArray:
        return np.full((samples.size, 1), self.cost())

    async def measure(self, samples: IntArray, step: int, part: Part) -> float:
        if self.fail is not None:
            self.fail(len(self.measured))
        self.measured.append((samples.tolist(), step, part))
        return self.cost() * samples.size

    def cost(self) -> float:
        return float(np.square(self.theta - BOTTOM).sum() + 1.0)


async def opened(bowl: Bowl) -> Bowl:
    await bowl.open()
    return bowl


ONE_SAMPLE = Dataset("one", np.zeros((1, 1)), 1.0, np.zeros((1, 1)), 1)


def block(baseline: Baseline = Baseline.HELD, **changes: object) -> Block:
    made = Block(8, 6, CodeSpec("random", 1, 3), SampleOrder(2, 7, batch=2, tau_x=4), baseline)
    return replace(made, **changes)  # type: ignore[arg-type]


# --- finding drivers --------------------------------------------------------------------------------------------------


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Installs a third party's driver package, as pip would: a module, and metadata with its entry point."""

    def package(source: str, entry: str) -> None:
        (tmp_path / "thirdparty_bowl.py").write_text(source, encoding="utf-8")
        folder = tmp_path / "thirdparty_bowl-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: thirdparty-bowl\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text(f"[mgdhw.devices]\n{entry}\n")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "thirdparty_bowl", raising=False)

    return package


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("sim", "device 'sim' has no scheme; expected SCHEME:ADDRESS, for example sim:analog-8bit"),
        ("", "device '' has no scheme; expected"),
        (
            "simm:analog-8bit",
            "device 'simm:analog-8bit': no driver for scheme 'simm'; did you mean 'sim'? (installed: ",
        ),
        (":x", "device ':x': no driver for scheme '' (installed: "),
        ("qqqqqq:1", "device 'qqqqqq:1': no driver for scheme 'qqqqqq' (installed: "),
        ("sim:analog-9bit", "sim:analog-9bit: no preset 'analog-9bit'; did you mean 'analog-8bit'?"),
    ],
)
def test_an_address_that_leads_nowhere_says_what_was_expected(uri: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        open_device(uri)
    assert str(error.value).startswith(message)


def test_a_simulated_chip_is_found_by_its_scheme() -> None:
    assert "sim" in device_schemes()
    device = open_device("sim:analog-8bit?layers=4-3-2")
    assert isinstance(device, SimDevice)
    assert device.info.n_parameters == 23


async def test_a_third_party_driver_is_on_the_same_footing(install: Callable[[str, str], None]) -> None:
    install(
        "from mgdhw_sim.device import open_uri\ndef make(uri):\n    return open_uri('sim:analog-8bit?layers=2-1')\n",
        "bowl = thirdparty_bowl:make",
    )
    assert "bowl" in device_schemes()
    async with open_device("bowl:whatever") as device:
        assert device.info.n_parameters == 3
    with pytest.raises(ConfigError, match="did you mean 'bowl'"):
        open_device("bowll:1")


@pytest.mark.parametrize(
    ("source", "entry"),
    [
        ("", "bowl = thirdparty_nowhere:make"),
        ("", "bowl = thirdparty_bowl:make"),
        ("import thirdparty_missing_library", "bowl = thirdparty_bowl:make"),
    ],
)
def test_a_driver_that_cannot_be_loaded_is_a_config_error(
    install: Callable[[str, str], None], source: str, entry: str
) -> None:
    install(source, entry)
    with pytest.raises(
        ConfigError, match=r"^device 'bowl:1': its driver, .* of thirdparty-bowl 1\.0, cannot be loaded: .*thirdparty_"
    ):
        open_device("bowl:1")


INCOMPLETE = """
from mgdhw.device import {base}

class Bowl({base}):
    async def connect(self): ...
    async def disconnect(self): ...
    async def apply(self, theta, step): ...

def make(uri):
    return Bowl(uri)
"""


@pytest.mark.parametrize(("base", "missing"), [("Device", "infer, probe"), ("HostCodes", "infer")])
def test_a_driver_that_forgets_a_method_is_told_which(
    install: Callable[[str, str], None], base: str, missing: str
) -> None:
    install(INCOMPLETE.format(base=base), "bowl = thirdparty_bowl:make")
    with pytest.raises(ConformanceError) as raised:
        open_device("bowl:1")
    assert str(raised.value) == (
        f"device 'bowl:1': driver thirdparty_bowl.Bowl does not implement {missing}; see docs/drivers.md"
        f" and: python -m pydoc mgdhw.device.{base}"
    )


RENAMED = """
from mgdhw.device import HostCodes

class Bowl(HostCodes):
    async def open(self): ...
    async def close(self): ...
    async def write(self, theta, step=0): ...
    async def infer(self, samples, step=0): ...

def make(uri):
    return Bowl(uri)
"""


def test_a_driver_that_defines_what_every_device_does_is_told_what_to_rename(
    install: Callable[[str, str], None],
) -> None:
    install(RENAMED, "bowl = thirdparty_bowl:make")
    with pytest.raises(
        ConformanceError, match=r"Bowl overrides methods .* open to connect, close to disconnect, write to apply \("
    ):
        open_device("bowl:1")


async def test_a_closed_device_refuses_whatever_its_driver_does() -> None:
    device = await opened(Bowl())
    await device.load(ONE_SAMPLE)
    await device.close()
    for request in (device.write(np.zeros(5)), device.probe(block()), device.probe_with_host_codes(block())):
        with pytest.raises(DeviceUnavailable, match=r"^bowl:1: the device is not open"):
            await request
    assert device.sent == []


def test_a_driver_that_gives_no_device_is_at_fault(install: Callable[[str, str], None]) -> None:
    install("def make(uri):\n    return 3\n", "bowl = thirdparty_bowl:make")
    with pytest.raises(DeviceFault, match=r"^bowl:1: its driver returned an object of type int, not a Device"):
        open_device("bowl:1")


# --- being open -------------------------------------------------------------------------------------------------------


async def test_leaving_closes_the_device_however_it_happens() -> None:
    device = Bowl()
    async with device as same:
        assert same is device
        assert device.is_open
    assert not device.is_open
    with pytest.raises(ZeroDivisionError):
        async with device:
            raise ZeroDivisionError
    assert not device.is_open


async def test_a_closed_chip_says_so() -> None:
    device = open_device("sim:analog-8bit?layers=2-1")
    await device.close()
    with pytest.raises(DeviceUnavailable, match=r"^sim:analog-8bit\?layers=2-1: the device is not open; use it inside"):
        await device.read()


async def test_data_that_does_not_fit_is_refused_with_a_way_out() -> None:
    async with open_device("sim:analog-8bit?layers=2-3-1") as device:
        with pytest.raises(ConfigError, match=r"^sim:.*2-3-1 do not fit dataset 'd'.*for example layers=5-3-4$"):
            await device.load(Dataset("d", np.zeros((3, 5)), 1.0, np.zeros((3, 4)), 3))


# --- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("index", "value", "message"),
    [
        (3, 2.5, "bowl:1: parameter 3 would be 2.5, outside its limits -2 ... 2; nothing was sent"),
        (0, -2.001, "bowl:1: parameter 0 would be -2.001, outside its limits -2 ... 2; nothing was sent"),
        (1, float("nan"), "bowl:1: parameter 1 would be nan, outside its limits -2 ... 2; nothing was sent"),
        (4, float("inf"), "bowl:1: parameter 4 would be inf, outside its limits -2 ... 2; nothing was sent"),
    ],
)
async def test_a_parameter_beyond_its_limits_is_named_and_nothing_is_sent(
    index: int, value: float, message: str
) -> None:
    for device in (Bowl(), open_device("sim:analog-8bit?layers=4-1&weight_range=2")):
        theta = np.zeros(5)
        theta[index] = value
        async with device:
            before = await device.read()
            with pytest.raises(LimitExceeded) as error:
                await device.write(theta)
            assert_array_equal(await device.read(), before)
            assert error.value.uri == device.uri
            if isinstance(device, Bowl):
                assert str(error.value) == message
                assert device.sent == []


def test_limits_may_differ_from_parameter_to_parameter() -> None:
    device = Bowl()
    device.info = replace(device.info, theta_max=np.array([1.0, 2.0, 3.0, 4.0, 5.0]), theta_min=np.full(5, -1.0))
    device.check_limits(np.array([1.0, 2.0, 3.0, 4.0, 5.0]))
    device.check_limits(np.full(5, -1.0))
    with pytest.raises(LimitExceeded, match=r"knob 2 would be 3\.5, outside its limits -1 \.\.\. 3;"):
        device.check_limits(np.array([0.0, 0.0, 3.5, 4.5, 0.0]), "knob")


@pytest.mark.parametrize("shape", [(), (4,), (6,), (5, 1)])
def test_parameters_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"bowl:1: parameters have shape .*, expected \(5,\)"):
        Bowl().check_limits(np.zeros(shape))


@pytest.mark.parametrize("baseline", Baseline)
@pytest.mark.parametrize("side", [1, -1])
async def test_a_block_that_would_leave_the_limits_is_refused_before_anything_is_sent(
    baseline: Baseline, side: int
) -> None:
    """At every level alike: by a device that takes blocks, and by the host for one that doesn't."""
    for device in (Bowl(2.0**-5), open_device("sim:analog-8bit?layers=4-1&weight_range=4")):
        lsb = float(np.max(device.info.theta_lsb))
        edge = float(np.max(device.info.theta_max if side > 0 else device.info.theta_min)) - side * 2 * lsb
        async with device:
            await device.load(Dataset("d", np.zeros((7, device.info.n_inputs)), 1.0, np.zeros((7, 1)), 7))
            theta = await device.write(np.array([0.0, 0.0, edge, 0.0, 0.0]))
            assert isinstance(device, HostCodes)
            if isinstance(device, Bowl):
                device.sent.clear()
            for probe in (device.probe, device.probe_with_host_codes):
                with pytest.raises(LimitExceeded, match=r"perturbed parameter 2 would be .* nothing was sent"):
                    await probe(block(baseline))
            assert_array_equal(await device.read(), theta)
            if isinstance(device, Bowl):
                assert device.sent == []
                assert device.measured == []
            within = block(baseline, codes=CodeSpec("random", 1, 2))
            await device.probe(within)
            await device.probe_with_host_codes(within)


@pytest.mark.parametrize(
    ("limit", "lsb"), [(3.3, 0.1), (2.5, 0.0001), (0.3, 0.1), (10.0, 0.005), (2.3, 0.1), (3.0, 0.1)]
)
async def test_a_decimal_step_may_be_taken_right_up_to_the_limit(limit: float, lsb: float) -> None:
    """3.2 + 0.1 is more than 3.3 in binary floating point, but no knob is turned too far by it."""
    device = await opened(Bowl(lsb, limit))
    highest = (round(limit / lsb) - 1) * lsb
    device.theta = np.array([highest, -highest, 0.0, highest, -highest])
    await device.probe_with_host_codes(block(codes=CodeSpec("random", 1, 1)))
    assert np.abs(device.sent).max() <= limit
    with pytest.raises(LimitExceeded):
        device.check_limits(np.full(5, limit + lsb / 1000))


# --- codes made by the host -------------------------------------------------------------------------------------------


async def expected_costs(given: Block, theta: FloatArray, device: Bowl) -> tuple[list[float], list[float]]:
    """Probe by probe: what is measured, and what it is compared with."""
    values = Codes(given.codes, device.info.topology).values(given.first_step, given.n_probes)

    def cost(at: FloatArray) -> float:
        return float(np.square(at - BOTTOM).sum() + 1.0) * given.order.batch

    perturbed, reference = [], []
    for change in values * device.info.theta_lsb:
        perturbed.append(cost(theta + change))
        if given.baseline is Baseline.ANTITHETIC:
            reference.append(cost(theta - change))
        else:
            reference.append(0.0 if given.baseline is Baseline.NONE else cost(theta))
    return perturbed, reference


@pytest.mark.parametrize("baseline", Baseline)
@pytest.mark.parametrize("lsb", [2.0**-10, "each"])
async def test_the_host_expands_a_block_into_writes_and_measurements(baseline: Baseline, lsb: float | str) -> None:
    device = await opened(Bowl(2.0 ** -np.arange(8.0, 13.0) if isinstance(lsb, str) else lsb))
    theta = await device.write(np.linspace(-0.5, 0.5, 5))
    given = block(baseline)
    costs = await device.probe(given)
    perturbed, reference = await expected_costs(given, theta, device)
    assert costs.perturbed.tolist() == perturbed
    assert costs.reference.tolist() == reference
    assert costs.evaluations == given.evaluations() == len(device.measured)
    assert_array_equal(device.theta, theta)
    assert_array_equal(device.sent[-1], theta)


async def test_every_measurement_carries_its_step_part_and_samples() -> None:
    """Steps 8 ... 13, four to a batch of two: a simulated device keys its noise with them."""
    device = await opened(Bowl())
    samples = block().order.samples(2, 2).tolist()
    await device.probe(block())
    assert device.measured == [
        (samples[0], 8, Part.BASELINE),
        *((samples[0], step, Part.PLUS) for step in (8, 9, 10, 11)),
        (samples[1], 12, Part.BASELINE),
        *((samples[1], step, Part.PLUS) for step in (12, 13)),
    ]
    device.measured.clear()
    await device.probe(block(Baseline.ANTITHETIC, n_probes=2))
    assert [(step, part) for _, step, part in device.measured] == [
        (8, Part.PLUS),
        (8, Part.MINUS),
        (9, Part.PLUS),
        (9, Part.MINUS),
    ]


async def test_a_held_baseline_is_neither_measured_nor_counted_again() -> None:
    device = await opened(Bowl())
    first = await device.probe(block(n_probes=2))
    device.measured.clear()
    second = await device.probe(block(first_step=10, n_probes=2, held=first.held))
    assert first.held == HeldBaseline(first.reference[0], 8) == second.held
    assert [part for _, _, part in device.measured] == [Part.PLUS, Part.PLUS]
    assert second.evaluations == 2
    for baseline in (Baseline.EVERY, Baseline.ANTITHETIC, Baseline.NONE):
        assert (await device.probe(block(baseline))).held is None


@pytest.mark.parametrize("cuts", [[6], [1] * 6, [3, 3], [2, 4], [5, 1]])
@pytest.mark.parametrize("baseline", Baseline)
async def test_any_cut_gives_the_same_costs_and_count(cuts: list[int], baseline: Baseline) -> None:
    device = await opened(Bowl())
    await device.write(np.linspace(-0.5, 0.5, 5))
    whole = await device.probe(block(baseline))
    step, held, parts = 8, None, list[Costs]()
    for size in cuts:
        parts.append(await device.probe(block(baseline, first_step=step, n_probes=size, held=held)))
        step, held = step + size, parts[-1].held
    assert_array_equal(np.concatenate([part.perturbed for part in parts]), whole.perturbed)
    assert_array_equal(np.concatenate([part.reference for part in parts]), whole.reference)
    assert sum(part.evaluations for part in parts) == whole.evaluations
    assert held == whole.held


@pytest.mark.parametrize("number", [0, 1, 5, 7])
async def test_parameters_are_restored_after_a_measurement_that_fails(number: int) -> None:
    def fail(count: int) -> None:
        if count == number:
            raise LinkTimeout("no answer", uri="bowl:1")

    device = await opened(Bowl(fail=fail))
    theta = await device.write(np.linspace(-0.5, 0.5, 5))
    with pytest.raises(LinkTimeout):
        await device.probe(block())
    assert_array_equal(device.theta, theta)


@pytest.mark.parametrize("family", ["random", "sinusoidal", "walsh", "sequential", "sparse"])
async def test_five_knobs_and_a_meter_are_trained_to_the_bottom(family: str) -> None:
    """Costs that are floats, and no structure known: "just P parameters" is enough."""
    experiment = parse_experiment(
        "[training]\nprobes = 6_000\ntau_theta = 32\ntau_x = 32\ninit = 'uniform'\n"
        "[optimizer]\nname = 'momentum'\neta = 0.02\n[codes]\ndensity = 0.5",
        source="test",
        overrides=[f"codes.family={family}", "codes.delta=0.01"],
    )
    device = Bowl(2.0**-12)
    async with device:
        finished = await train(experiment, device)
    assert np.abs(finished.state.theta - BOTTOM).max() < 0.01
    assert device.cost() < 1.0005


async def test_bowls_are_trained_alike_whatever_the_blocks() -> None:
    """Float costs too are added in the order of the probes, so that no cut changes a bit."""
    digests = set()
    for size in (1, 7, 100):
        experiment = parse_experiment(
            "[training]\nprobes = 700\ntau_theta = 50\ntau_x = 9\ninit = 'uniform'",
            source="test",
            overrides=[f"run.block={size}"],
        )
        async with Bowl() as device:
            digests.add((await train(experiment, device)).digest)
    assert len(digests) == 1


async def test_a_knob_at_its_decimal_limit_is_trained_on() -> None:
    """Steep downhill, out of the range: the guard band keeps every perturbation inside."""
    rng = Random(1)
    for _ in range(20):
        lsb = rng.choice((0.1, 0.01, 0.001, 0.003))
        limit = round(rng.randint(5, 60) * lsb, 9)
        experiment = parse_experiment(
            "[training]\nprobes = 60\ntau_theta = 6\ntau_x = 100\ninit = 'uniform'\ninit_scale = 100.0\n"
            "[optimizer]\nname = 'sgd'\neta = 0.0",
            source="test",
            overrides=[f"codes.delta={rng.choice((1, 2)) * lsb}"],
        )
        async with Bowl(lsb, limit) as device:
            assert (await train(experiment, device)).reason == "done"
            assert np.abs(device.sent).max() <= limit


async def train(experiment: Experiment, device: Device) -> Finished:
    async for event in Trainer(experiment, device, ONE_SAMPLE):
        if isinstance(event, Finished):
            return event
    raise AssertionError("no end")


WITHOUT_STEP = """
from mgdhw.device import HostCodes

class Bowl(HostCodes):
    async def connect(self): ...
    async def disconnect(self): ...
    async def apply(self, theta, step): ...
    async def infer(self, samples): ...

def make(uri):
    return Bowl(uri)
"""


def test_a_driver_is_told_what_its_methods_have_to_take(install: Callable[[str, str], None]) -> None:
    install(WITHOUT_STEP, "bowl = thirdparty_bowl:make")
    with pytest.raises(ConformanceError, match=r"Bowl: infer has to accept \(self, samples, step\); see"):
        open_device("bowl:1")
