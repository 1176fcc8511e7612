"""PyTorch, float32, without autograd: each layer is perturbed on its kept input, and only what follows is run again.

The memory format, the number of samples that are run at a time and the number of threads are those that are fastest
here: all are tried before the race. `torch.compile` is not: it leaves the convolutions to the same library (oneDNN),
and they are what takes the time.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from itertools import product

import torch
import torch.nn.functional as functional
from peers.ideal_task import ETA, IdealTask, serve
from peers.task import Advance

from mgdhw_sim.ideal import address
from mgdhw_sim.ideal.layers import Conv2d, Dense, Pool
from mgdhw_sim.ideal.network import Stage

TRIALS = 2
FUNCTIONS = {"tanh": torch.tanh_, "relu": torch.relu_, "identity": lambda z: z}


@dataclass(frozen=True)
class Setting:
    """What is tried."""

    memory_format: torch.memory_format
    micro_batch: int
    threads: int


class Loop:
    """The training in one setting."""

    def __init__(self, task: IdealTask, setting: Setting) -> None:
        self._task, self._setting = task, setting
        self._stages = address.parse(task.uri).network.stages
        self._images = torch.from_numpy(task.inputs)[:, None].contiguous(memory_format=setting.memory_format)
        self._targets = torch.from_numpy(task.targets)
        self._theta = torch.from_numpy(task.state.theta).to(torch.float32)
        self._amplitudes = torch.from_numpy(task.amplitudes)

    def advance(self, steps: int) -> int:
        """Iterations."""
        torch.set_num_threads(self._setting.threads)
        task, theta = self._task, self._theta
        for _ in range(steps):
            samples = torch.randint(len(self._images), (task.batch,))
            signs = torch.randint(0, 2, theta.shape, dtype=torch.int8).to(torch.float32).mul_(2).sub_(1)
            moved = theta + signs * self._amplitudes
            weights, perturbed = self._weights(theta), self._weights(moved)
            total = torch.zeros(len(task.info.topology.layers) if task.by_layer else 1)
            for chosen in samples.split(self._setting.micro_batch):
                total += self._changes(self._images[chosen], self._targets[chosen], weights, perturbed)
            total /= task.batch
            for layer, change in zip(
                task.info.topology.layers, total.expand(len(task.info.topology.layers)), strict=True
            ):
                own = layer.parameters
                theta[own] -= ETA * change * signs[own] / self._amplitudes[own]
        return steps

    def _weights(self, theta: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor] | None]:
        found: list[tuple[torch.Tensor, torch.Tensor] | None] = []
        for stage in self._stages:
            own = stage.parameters
            if own is None:
                found.append(None)
                continue
            w = theta[own.weights].view(own.n_out, own.n_in)
            if isinstance(stage.layer, Conv2d):  # rows, columns, channels -> channels, rows, columns
                w = w.view(own.n_out, *stage.layer.kernel, -1).permute(0, 3, 1, 2)
                w = w.contiguous(memory_format=self._setting.memory_format)
            found.append((w, theta[own.biases]))
        return found

    def _changes(self, x: torch.Tensor, targets: torch.Tensor, weights: list, perturbed: list) -> torch.Tensor:  # type: ignore[type-arg]
        """What perturbing each layer, or all of them, does to the summed cost."""
        kept = []
        y = x
        for stage, own in zip(self._stages, weights, strict=True):
            kept.append(y)
            y = self._stage(stage, own, y)
        base = self._cost(y, targets)
        if not self._task.by_layer:
            y = x
            for stage, own in zip(self._stages, perturbed, strict=True):
                y = self._stage(stage, own, y)
            return (self._cost(y, targets) - base)[None]
        changes = []
        for number, own in enumerate(perturbed):
            if own is None:
                continue
            y = self._stage(self._stages[number], own, kept[number])
            for stage, after in zip(self._stages[number + 1 :], weights[number + 1 :], strict=True):
                y = self._stage(stage, after, y)
            changes.append(self._cost(y, targets) - base)
        return torch.stack(changes)

    @staticmethod
    def _stage(stage: Stage, own: tuple[torch.Tensor, torch.Tensor] | None, x: torch.Tensor) -> torch.Tensor:
        if isinstance(stage.layer, Pool):
            return functional.max_pool2d(x, stage.layer.size)
        assert own is not None
        if isinstance(stage.layer, Dense):
            z = functional.linear(x.flatten(1), *own)
        else:
            assert isinstance(stage.layer, Conv2d)
            z = functional.conv2d(x, *own, padding=stage.layer.padding)
        return FUNCTIONS[stage.activation](z)

    @staticmethod
    def _cost(y: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return -(targets * functional.log_softmax(y, dim=1)).sum()


def build(task: IdealTask) -> Advance:
    """The training, in the setting that is fastest here."""
    torch.set_grad_enabled(False)
    cores = len(os.sched_getaffinity(0))
    formats = (torch.channels_last, torch.contiguous_format)
    sizes = [size for size in (20, 50, 100, 250, 1000) if size <= task.batch]
    settings = [Setting(*choice) for choice in product(formats, sizes, sorted({1, cores}))]
    fastest = min(settings, key=lambda setting: _seconds(Loop(task, setting)))
    return Loop(task, fastest).advance


def _seconds(loop: Loop) -> float:
    loop.advance(1)
    taken = []
    for _ in range(TRIALS):
        began = time.perf_counter()
        loop.advance(1)
        taken.append(time.perf_counter() - began)
    return min(taken)


if __name__ == "__main__":
    serve(__doc__, build)
