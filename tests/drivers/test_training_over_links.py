"""Training over links: to the digest of the same training in this process, whatever happens on the way."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from typing import Any

import numpy as np
import pytest

import mgdhw
from mgdhw.block import Baseline, Block, CodeSpec
from mgdhw.characterize.budgeted_device import BudgetedDevice
from mgdhw.cli.log_forwarding import forward_logs
from mgdhw.datasets import Dataset, load
from mgdhw.device import Capability, DeviceInfo, HostCodes, open_device
from mgdhw.errors import ConfigError, DeviceFault, DeviceUnavailable, LimitExceeded, LinkLost
from mgdhw.random.sample_order import SampleOrder
from mgdhw.topology import Topology
from mgdhw_drivers.protocol.frames import Frame, encode
from mgdhw_drivers.protocol.messages import Identify
from mgdhw_drivers.protocol.numbers import Feature, State, Type
from mgdhw_drivers.server import describe
from mgdhw_drivers.server.endpoint import Endpoint, Line
from mgdhw_drivers.server.serving import serving
from mgdhw_drivers.transports.pty import PtyListener
from mgdhw_drivers.transports.tcp import TcpListener
from mgdhw_sim.engines.reference import Reference

LEVELS = ("host-codes", "device-codes", "learn")
HARSH = "drop=0.02,corrupt=0.02,dup=0.02,split=0.02,delay=1ms,late=0.02"


async def digest(experiment: dict[str, Any], device: str | None = None) -> str:
    """Of a training, here or at a device."""
    return (await mgdhw.train_async(experiment, device=device, runs=None)).digest


@pytest.mark.parametrize("how", ["tcp", "unix", "pty"])
async def test_digits_train_to_the_digest_of_this_process(bench: Any, how: str) -> None:
    experiment = {
        "device": {"uri": "sim:analog-8bit"},
        "training": {"probes": 60, "batch": 4, "tau_theta": 20},
        "optimizer": {"name": "adamw", "eta": 0.05},
        "schedule": {"name": "cosine"},
    }
    wanted = await digest(experiment)
    async with bench.serve("sim:analog-8bit", how) as address:
        for level in LEVELS:
            assert await digest({**experiment, "run": {"level": level}}, address) == wanted, level


@pytest.mark.parametrize(
    "training",
    [
        {"baseline": "antithetic"},
        {"baseline": "every", "batch": 3},
        {"mode": "continuous", "tau_hp": 5.0, "update_every": 3},
        {"rounding": "stochastic", "tau_x": 7},
        {"normalise": "oripov"},
    ],
    ids=str,
)
@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop"])
async def test_every_recipe_is_carried_whole(bench: Any, xor: Any, training: dict[str, Any], optimizer: str) -> None:
    experiment = xor("learn", **training)
    experiment["optimizer"] = {"name": optimizer, "eta": 0.1}
    experiment["run"]["block"] = 33
    async with bench.serve() as address:
        assert await digest(experiment, address) == await digest(experiment)


@pytest.mark.parametrize("family", ["walsh", "sinusoidal"])
async def test_what_continuous_mode_divides_by_is_carried_for_each_parameter(bench: Any, xor: Any, family: str) -> None:
    async with bench.serve() as address:
        for level in LEVELS:
            experiment = xor(level, mode="continuous", update_every=3)
            experiment["codes"] = {"family": family}
            experiment["run"]["block"] = 33
            assert await digest(experiment, address) == await digest(experiment), level


async def test_boards_that_know_no_weights_are_not_asked_to_learn_with_them(
    bench: Any, xor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(describe, "FEATURES", describe.FEATURES & ~Feature.WEIGHTED)
    async with bench.serve() as address:
        with pytest.raises(ConfigError, match=r"not got the weights of continuous mode; use run\.level=device-codes"):
            await digest(xor("learn", mode="continuous"), address)
        experiment = xor("device-codes", mode="continuous")
        assert await digest(experiment, address) == await digest(experiment)


async def test_an_amplitude_for_each_layer_is_left_to_the_host(bench: Any, xor: Any) -> None:
    codes = {"codes": {"delta": [0.0625, 0.03125]}}
    async with bench.serve() as address:
        assert await digest({**xor("auto"), **codes}, address) == await digest({**xor("auto"), **codes})
        for level in LEVELS[1:]:
            with pytest.raises(ConfigError, match=r"codes\.delta: the code generator .* run\.level=host-codes"):
                await digest({**xor(level), **codes}, address)


async def test_the_link_itself_has_one_amplitude(bench: Any) -> None:
    async with bench.serve() as address, open_device(address) as device:
        await device.load(load("xor"))
        await device.write(np.zeros(13))
        block = Block(0, 3, CodeSpec("random", 1, 2, amplitudes=(2, 1)), SampleOrder(0, 4, 1, 1), Baseline.EVERY)
        with pytest.raises(ConfigError, match=r"the link has one amplitude for all layers; use run\.level=host-codes"):
            await device.probe(block)


@pytest.mark.long
@pytest.mark.parametrize("level", LEVELS)
async def test_faults_of_the_line_change_no_bit(bench: Any, xor: Any, level: str) -> None:
    experiment = xor(level)
    experiment["run"]["block"] = 10
    async with bench.serve(faults=HARSH, seed=3) as address:
        assert await digest(experiment, address) == await digest(experiment)


@pytest.mark.parametrize("how", ["tcp", "pty"])
@pytest.mark.parametrize("level", LEVELS[1:])
async def test_reboots_and_unplugs_change_no_bit(bench: Any, xor: Any, level: str, how: str) -> None:
    experiment = xor(level)
    experiment["run"] = {"level": level, "block": 4, "retries": 20}
    async with bench.serve(how=how, faults="reboot=0.02,unplug=0.02,away=50ms", seed=4) as address:
        assert await digest(experiment, address) == await digest(experiment)


@pytest.mark.parametrize("preset", ["rram", "pcm"])
async def test_cells_with_a_memory_are_carried_too(bench: Any, xor: Any, preset: str) -> None:
    chip = f"sim:{preset}?layers=2-3-1&engine=reference"
    for level in LEVELS[1:]:
        experiment = {**xor(level), "device": {"uri": chip}}
        async with bench.serve(chip) as address:
            assert await digest(experiment, address) == await digest(experiment), level


async def test_a_paced_line_changes_no_bit(bench: Any, xor: Any) -> None:
    async with bench.serve(how="pty", baud=921_600) as address:
        assert await digest(xor("device-codes"), address) == await digest(xor("device-codes"))


async def test_an_unplugged_port_is_noticed_at_once_and_named(bench: Any, caplog: pytest.LogCaptureFixture) -> None:
    async with bench.serve(how="pty") as address, open_device(address) as device:
        port = address.removeprefix("serial:")
        await device.load(load("xor"))
        await device.write(np.zeros(13))
        noticed = asyncio.Event()

        class Seen(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                noticed.set()

        seen = Seen(logging.WARNING)
        logging.getLogger("mgdhw.link").addHandler(seen)
        try:
            bench.station.away = asyncio.get_running_loop().time() + 0.2
            bench.listener._destroy()
            await asyncio.wait_for(noticed.wait(), 5.0)
        finally:
            logging.getLogger("mgdhw.link").removeHandler(seen)
        assert port in caplog.text
        assert "gone" in caplog.text
        # Plugged in again it goes on by itself, with what it held.
        np.testing.assert_array_equal(await device.read(), np.zeros(13))


async def test_a_board_that_stays_away_is_lost(bench: Any) -> None:
    async with bench.serve() as address:
        device = open_device(f"{address}?reconnect=0.1")
        await device.open()
    try:
        with pytest.raises(LinkLost):  # at first that it has gone, then that it did not come back
            await device.read()
        with pytest.raises(LinkLost, match=r"did not come back within 0\.1 s"):
            await device.read()
    finally:
        await device.close()


async def test_leaving_ends_in_the_safe_state(bench: Any) -> None:
    async with bench.serve() as address:
        async with open_device(address) as device:
            await device.load(load("xor"))
            await device.write(np.full(13, 0.5))
            assert bench.station._board.state is State.READY
        assert bench.station._board.state is State.SAFE


async def test_a_silent_host_is_a_dead_one(bench: Any) -> None:
    async with bench.serve() as address:
        device = open_device(f"{address}?dead_man=0.2")
        async with device:
            await device.load(load("xor"))
            await device.write(np.full(13, 0.5))
            device._heartbeat.cancel()
            while bench.station._board.state is State.READY or device.session.link.connected:  # noqa: ASYNC110
                await asyncio.sleep(0.01)  # the connection is ended, too
            # The board says so when the host returns, and gets back what it held.
            np.testing.assert_array_equal(await device.read(), np.full(13, 0.5))
            counts = await device.statistics()
            assert counts["dead_man_trips"] == 1


async def test_heartbeats_keep_an_idle_board_awake(bench: Any) -> None:
    async with bench.serve() as address, open_device(f"{address}?dead_man=0.3") as device:
        await device.load(load("xor"))
        await asyncio.sleep(1.0)
        assert (await device.statistics())["dead_man_trips"] == 0


async def test_limits_are_checked_before_anything_is_sent(bench: Any) -> None:
    async with bench.serve() as address, open_device(f"{address}?slew=0.5&stress=2.2") as device:
        assert Capability.LEARN not in device.info.capabilities
        await device.load(load("xor"))
        await device.write(np.full(13, 1.0))
        sent = device.session.link.host_bytes
        with pytest.raises(LimitExceeded, match="parameter 4 would be 9"):
            await device.write(np.where(np.arange(13) == 4, 9.0, 1.0))
        with pytest.raises(LimitExceeded, match=r"moved by 3 in all, more than 2\.2"):
            await device.write(np.full(13, -1.0))
        block = Block(0, 4, CodeSpec("random", 0, 9), SampleOrder(0, 4))
        with pytest.raises(LimitExceeded, match=r"move parameters by 0\.5625 at once, more than 0\.5"):
            await device.probe(block)
        assert device.session.link.host_bytes == sent
        block = Block(0, 4, CodeSpec("random", 0, 400), SampleOrder(0, 4))
        with pytest.raises(LimitExceeded, match="perturbed parameter 0"):
            await device.probe(block)


async def test_larger_moves_than_the_address_allows_are_ramps_also_after_a_safe_state(bench: Any) -> None:
    async with bench.serve() as address, open_device(f"{address}?slew=0.5&stress=9&dead_man=0.2") as device:
        await device.load(load("xor"))
        target = np.where(np.arange(13) == 4, -0.75, 1.25)
        np.testing.assert_array_equal(await device.write(target), target)
        assert (await device.statistics())["sets"] == 3
        device._heartbeat.cancel()
        while bench.station._board.state is State.READY:  # noqa: ASYNC110 (a board sets no events)
            await asyncio.sleep(0.01)
        with contextlib.suppress(LinkLost):  # the dead-man ends the connection, too
            await device.infer(np.arange(4))
        await device.infer(np.arange(4))  # needs them where they were; on the way back they are no faster
        assert (await device.statistics())["sets"] == 6
        assert device.session.motion_limiter.stress == 3 * 1.25


async def test_what_the_link_has_no_room_for_is_refused(bench: Any) -> None:
    async with bench.serve() as address, open_device(address) as device:
        await device.load(load("xor"))
        with pytest.raises(ConfigError, match="no parameters were written"):
            await device.infer(np.arange(4))
        await device.write(np.zeros(13))
        with pytest.raises(ConfigError, match="does not fit into Probe"):
            await device.probe(Block(0, 4, CodeSpec("random", 0, 1), SampleOrder(0, 4, 1, 1 << 32)))
        assert (await device.infer(np.arange(4))).shape == (4, 1)


async def test_questions_in_the_middle_of_a_block_change_no_number(bench: Any) -> None:
    async with bench.serve() as address, open_device(address) as device:
        await device.load(load("xor"))
        await device.write(np.full(13, 0.25))
        block = Block(0, 20_000, CodeSpec("random", 1, 2), SampleOrder(2, 4, 4, 20_000))
        wanted = await device.probe(block)
        link, repeated = device.session.link, device.session.link.repeated
        task = asyncio.create_task(device.probe(block))
        for _ in range(5):
            for kind, payload in ((Type.PING, b""), (Type.IDENTIFY, Identify(7, 0, 16384, 0).pack())):
                device._byte_stream.write(encode(Frame(kind, 0, payload)))  # whose answers nobody awaits
            await asyncio.sleep(0.001)
        np.testing.assert_array_equal((await task).perturbed, wanted.perturbed)
        assert link.connection.stray >= 10
        assert link.repeated == repeated


async def test_a_cancelled_block_answers_no_later_question(bench: Any) -> None:
    async with bench.serve() as address, open_device(address) as device, open_device(bench_chip()) as chip:
        for one in (device, chip):
            await one.load(load("xor"))
            await one.write(np.full(13, 0.25))
        block = Block(0, 500, CodeSpec("random", 1, 2), SampleOrder(2, 4, 2, 3))
        wanted = await chip.probe(block)
        for wait in (0.0, 0.001, 0.01):
            task = asyncio.create_task(device.probe(block))
            await asyncio.sleep(wait)
            task.cancel()
            await asyncio.wait([task])
            answer = await device.probe(block)
            np.testing.assert_array_equal(answer.perturbed, wanted.perturbed)
            np.testing.assert_array_equal(answer.reference, wanted.reference)


def bench_chip() -> str:
    return "sim:analog-8bit?layers=2-3-1&engine=reference"


class Voltages(HostCodes):
    """Four voltages, each with limits of its own, and a cost in floating point."""

    async def connect(self) -> None:
        self.info = DeviceInfo(
            "four voltages",
            "7",
            Topology(4),
            np.array([-1.0, -1.0, -2.0, -2.0]),
            np.array([1.0, 1.0, 2.0, 2.0]),
            np.array([0.001, 0.001, 0.002, 0.002]),
            2,
            1,
            "mse",
            1.0,
            Capability.MEASURE | Capability.DETERMINISTIC,
        )
        self.theta = np.zeros(4)

    async def disconnect(self) -> None:
        self.theta = np.zeros(4)

    async def load(self, dataset: Dataset) -> None:
        self.dataset = dataset

    async def apply(self, theta: Any, step: int) -> Any:
        self.theta = np.round(theta / self.info.theta_lsb) * self.info.theta_lsb
        return self.theta

    async def read(self) -> Any:
        return self.theta

    async def infer(self, samples: Any, step: int = 0) -> Any:
        x = self.dataset.values(samples)
        a, b, c, d = self.theta
        return (a * x[:, :1] + b * x[:, 1:] + c * x[:, :1] * x[:, 1:] + d) / 2

    async def measure(self, samples: Any, step: int, part: Any) -> float:
        return float(np.square(await self.infer(samples) - self.dataset.targets[samples]).sum())


@pytest.mark.parametrize("how", ["tcp", "pty"])
async def test_a_device_without_converters_is_served_in_floats(how: str, xor: Any) -> None:
    experiment = xor("host-codes", init="uniform")
    wanted = (await mgdhw.train_async(experiment, device=Voltages("here"), runs=None)).digest
    station = Endpoint(Voltages("there"), Line())
    listener = TcpListener(station, 0) if how == "tcp" else PtyListener(station, None)
    async with serving(station, listener):
        assert await digest(experiment, listener.address) == wanted


async def test_one_host_at_a_time(bench: Any) -> None:
    async with bench.serve() as address, open_device(address):
        with pytest.raises((DeviceUnavailable, LinkLost), match="in use by another host"):
            await open_device(f"{address}?timeout=0.2&reconnect=0").open()


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("tcp:127.0.0.1", "expected"),
        ("tcp:127.0.0.1:x", "expected"),
        ("tcp:127.0.0.1:1?tiemout=1", "did you mean 'timeout'"),
        ("tcp:127.0.0.1:1?baud=9600", "is for serial: addresses only"),
        ("serial:", "says no port"),
        ("serial:/dev/x?baud=fast", "expected a whole number"),
        ("serial:/dev/x?line=can", "expected usb or uart"),
        ("serial:/dev/x?timeout=0", "expected 0.05"),
    ],
)
def test_addresses_that_are_none(uri: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        open_device(uri)


@pytest.mark.parametrize("uri", ["tcp:127.0.0.1:1?reconnect=0", "serial:/dev/no-such-port?reconnect=0"])
async def test_a_board_that_is_not_there(uri: str) -> None:
    with pytest.raises(DeviceUnavailable, match=r"cannot (connect|open)"):
        async with open_device(uri):
            pass


async def test_what_is_no_board_is_said_so(bench: Any) -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        with pytest.raises(DeviceUnavailable, match="does not answer as a board"):
            async with open_device(f"tcp:127.0.0.1:{port}?timeout=0.2&reconnect=0"):
                pass


async def test_faults_of_the_device_are_told(bench: Any) -> None:
    class Broken(Voltages):
        async def measure(self, samples: Any, step: int, part: Any) -> float:
            raise DeviceFault("the supply is out of regulation", uri=self.uri)

    station = Endpoint(Broken("there"), Line())
    listener = TcpListener(station, 0)
    async with serving(station, listener), open_device(listener.address) as device:
        await device.load(load("xor"))
        await device.write(np.zeros(4))
        with pytest.raises(DeviceFault, match="out of regulation"):
            await device.probe(Block(0, 2, CodeSpec(), SampleOrder(0, 4)))


async def test_samples_held_for_ever_are_held_at_a_board_too(bench: Any) -> None:
    """As `mgdhw check` holds them."""
    xor, costs = load("xor"), []
    async with bench.serve() as address:
        for uri in ("sim:analog-8bit?layers=2-3-1&engine=reference", address):
            async with open_device(uri) as device:
                await device.load(xor)
                await device.write(np.zeros(13))
                budgeted = BudgetedDevice(device, xor, 0, 100, lambda stage, used: None)
                pairs = await budgeted.measure_pairs(8, Baseline.EVERY)
                costs.append([*pairs.perturbed, *pairs.reference])
    assert costs[0] == costs[1]


# --- a device that takes its time ------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["device-codes", "learn"])
async def test_a_device_that_gets_ready_first_is_waited_for_with_a_word(
    bench: Any, xor: Any, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chip is compiled when it is first asked for something; here until the host has said that it waits.

    It is not given up meanwhile, though the host waits for longer than it waits for a silent board.
    """
    wanted = await digest(xor())
    said: list[str] = []
    heard = threading.Event()

    def hear(text: str) -> None:
        said.append(text)
        heard.set()

    method = "learn" if level == "learn" else "probe"
    work = getattr(Reference, method)

    def compiling(self: Reference, *asked: Any) -> Any:
        assert heard.wait(60), "nobody has said anything"
        return work(self, *asked)

    monkeypatch.setattr(Reference, method, compiling)
    with forward_logs(hear, hear):
        async with bench.serve() as address:
            experiment = {**xor(level), "run": {"level": level, "retries": 0}}
            assert await digest(experiment, f"{address}?timeout=0.5") == wanted
    assert said == ["waiting for the device (a chip that is served may have to be compiled first)"]
