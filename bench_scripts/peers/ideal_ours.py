"""mgdhw itself as a peer: the ideal network through the contract, a segment at a time (`--options=engine=jax`)."""

from __future__ import annotations

import asyncio

from peers.ideal_task import IdealTask, serve
from peers.task import Advance

from mgdhw import open_device
from mgdhw.learning.segment import Segment


def build(task: IdealTask) -> Advance:
    """The training. The process ends with its device open: nothing is left behind but memory."""
    runner = asyncio.Runner()
    device = open_device(task.uri)
    runner.run(device.open())
    runner.run(device.load(task.dataset))
    state = task.state

    def advance(steps: int) -> int:
        nonlocal state
        probes = steps * task.rule.update_period
        state = runner.run(device.learn(Segment(state, task.rule, probes))).state
        return steps

    return advance


if __name__ == "__main__":
    serve(__doc__, build)
