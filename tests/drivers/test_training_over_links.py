"""Training over links: to the digest of the same training in this process, whatever happens on the way."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import mgdhw
from mgdhw.block import Baseline, Block, CodeSpec
from mgdhw.characterize.budgeted_device import BudgetedDevice
from mgdhw.cli.log_forwarding import forward_logs
from mgdhw.datasets import load
from mgdhw.device import open_device
from mgdhw.errors import ConfigError, DeviceFault
from mgdhw.random.sample_order import SampleOrder
from mgdhw_drivers.protocol.numbers import Feature
from mgdhw_drivers.server import describe
from mgdhw_drivers.server.endpoint import Endpoint, Line
from mgdhw_drivers.server.serving import serving
from mgdhw_drivers.transports.pty import PtyListener
from mgdhw_drivers.transports.tcp import TcpListener
from mgdhw_sim.engines.reference import Reference
from tests.drivers.links import Voltages, digest

LEVELS = ("host-codes", "device-codes", "learn")
HARSH = "drop=0.02,corrupt=0.02,dup=0.02,split=0.02,delay=1ms,late=0.02"


@pytest.mark.parametrize("how", ["tcp", "unix", "pty", "scpi", "scpi-pty"])
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


@pytest.mark.parametrize("how", ["tcp", "pty"])
async def test_a_device_without_converters_is_served_in_floats(how: str, xor: Any) -> None:
    experiment = xor("host-codes", init="uniform")
    wanted = (await mgdhw.train_async(experiment, device=Voltages("here"), runs=None)).digest
    station = Endpoint(Voltages("there"), Line())
    listener = TcpListener(station, 0) if how == "tcp" else PtyListener(station, None)
    async with serving(station, listener):
        assert await digest(experiment, listener.address) == wanted


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


# --- a device that takes its time -------------------------------------------------------------------------------------


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
