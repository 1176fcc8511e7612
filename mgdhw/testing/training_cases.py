"""Training segments for any device, and the same training run from the host."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mgdhw.codes import Codes
from mgdhw.device import Device, DeviceInfo
from mgdhw.experiment.load import parse_experiment
from mgdhw.learning.rule import UpdateInfo
from mgdhw.learning.segment import Segment, SegmentResult
from mgdhw.learning.state import TrainState
from mgdhw.learning.step import accumulate_costs, next_block, probes_to_update, requested_theta, update
from mgdhw.testing.device_under_test import DeviceUnderTest, Probe
from mgdhw.testing.stimuli import dataset_for, theta_for
from mgdhw.training.prepare import first_state, learning_rule

PROBES = 45
"""Length of a segment: several updates; it ends between two of them."""

TRAINING = """
seed = 6364136223846793005
[training]
probes = 200
batch = 2
tau_x = 4
tau_theta = 10
init = "uniform"
"""


@dataclass(frozen=True, slots=True)
class Case:
    """One training configuration.

    Args:
        name: for messages.
        overrides: of the experiment `TRAINING`.
        eta_steps: learning rate in steps of a parameter, for optimizers whose steps have one size.
    """

    name: str
    overrides: tuple[str, ...]
    eta_steps: float = 2.0


CASES = (
    Case("random, held, adam", ("optimizer.name=adam",)),
    Case(
        "walsh, antithetic, rmsprop", ("codes.family=walsh", "training.baseline=antithetic", "optimizer.name=rmsprop")
    ),
    Case(
        "sinusoidal, every, adamw, cosine",
        ("codes.family=sinusoidal", "training.baseline=every", "optimizer.name=adamw", "schedule.name=cosine"),
    ),
    Case(
        "sparse, held, momentum, 1/t",
        ("codes.family=sparse", "codes.density=0.4", "optimizer.name=momentum", "schedule.name='1/t'"),
        20.0,
    ),
    Case(
        "sequential, held, nesterov",
        ("codes.family=sequential", "optimizer.name=nesterov", "training.tau_theta=7"),
        40.0,
    ),
    Case("random, held, sgd, an update for each probe", ("optimizer.name=sgd", "training.tau_theta=1")),
    Case("random, held, adam, rounded stochastically", ("optimizer.name=adam", "training.rounding=stochastic"), 0.3),
    Case("random, held, sgd, scaled as in the 2025 paper", ("optimizer.name=sgd", "training.normalise=oripov"), 400.0),
    Case(
        "random, continuous, sgd",
        ("training.mode=continuous", "training.update_every=3", "training.tau_theta=20", "optimizer.name=sgd"),
    ),
)
LAYERED_CASES = (
    Case("rank1, held, adam", ("codes.family=rank1", "optimizer.name=adam")),
    Case("random by layer, antithetic, adam", ("codes.groups=layer", "training.baseline=antithetic")),
)
"""For devices whose layers are known."""
NODE_CASES = (
    Case("nodes, held, adam", ("codes.target=nodes", "optimizer.name=adam")),
    Case(
        "nodes by layer, antithetic, momentum, scaled as in the 2025 paper",
        (
            "codes.target=nodes",
            "codes.groups=layer",
            "training.baseline=antithetic",
            "optimizer.name=momentum",
            "training.normalise=oripov",
        ),
    ),
)
"""For devices whose nodes can be perturbed."""


def cases_for(info: DeviceInfo) -> tuple[Case, ...]:
    """The cases that suit a device."""
    layered = CASES + LAYERED_CASES if info.topology.layers else CASES
    return layered + NODE_CASES if info.perturbs_nodes else layered


def segment_for(dut: DeviceUnderTest, case: Case, n_probes: int = PROBES, number: int = 0) -> Segment:
    """A segment from the first probe on; `number` distinguishes replicas."""
    info = dut.info
    eta = f"optimizer.eta={case.eta_steps * float(np.min(info.theta_lsb))!r}"
    experiment = parse_experiment(TRAINING, source="conformance", overrides=(*case.overrides, eta)).replica(number)
    dataset = dataset_for(info)
    rule, _ = learning_rule(experiment, info, dataset.n_train)
    state = first_state(experiment, info, rule, dataset, theta_for(info, number))
    return Segment(replace(state, cells=dict(dut.cells)), rule, n_probes)


async def train_from_host(device: Device, probe: Probe, segment: Segment, at_most: int = 4) -> SegmentResult:
    """The same segment run by the host's own loop, in blocks of at most `at_most` probes."""
    state, rule = segment.state, segment.rule
    codes = Codes(rule.codes, device.info.topology)
    end = state.step + segment.n_probes
    total: float = 0
    last: UpdateInfo | None = None
    await device.restore(state.cells)
    await device.write(requested_theta(state, rule), state.step)
    while state.step < end:
        block = next_block(state, rule, min(at_most, end - state.step, probes_to_update(state, rule)))
        costs = await probe(block)
        total += float(costs.perturbed.sum())
        state = accumulate_costs(state, costs, rule, codes)
        if state.step % rule.update_period == 0:
            state, last = update(state, rule, codes)
            await device.write(requested_theta(state, rule), state.step)
    state = replace(state, cells=await device.snapshot())
    return SegmentResult(state, total / segment.n_probes, last)


def continue_from(state: TrainState, segment: Segment, n_probes: int) -> Segment:
    """The segment that continues from a state."""
    return replace(segment, state=state, n_probes=n_probes)
