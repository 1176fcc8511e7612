"""The codes of a whole network: groups that take turns, and a memo of what was made last."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mgdhw.block import CodeSpec, Target
from mgdhw.codes.base import CodeArray, CodeFamily, Group, Matrix
from mgdhw.codes.registry import family_of
from mgdhw.errors import ConfigError
from mgdhw.random.chunk_cache import ChunkCache
from mgdhw.topology import Layer, Topology

MAX_AMPLITUDE = (1 << 15) - 1
CHUNK_VALUES = 1 << 20  # codes are made and kept about this many at a time
MEMO_BYTES = 1 << 28


def groups_of(topology: Topology, groups: str, target: Target = Target.WEIGHTS) -> tuple[Group, ...]:
    """The groups that take turns: one of everything, or one for each layer."""
    if target is Target.NODES:
        if groups == "all":
            return (Group(0, topology.n_nodes),)
        return tuple(Group(layer.first_node, layer.n_nodes) for layer in topology.layers)
    matrices: list[Matrix] = []
    line = 0
    for layer in topology.layers:
        matrices.append(Matrix(layer.first_parameter, layer.n_out, layer.n_in, line))
        line += layer.n_out + layer.n_in + 1
    if groups == "all":
        return (Group(0, topology.n_parameters, tuple(matrices)),)
    if not matrices:
        raise ConfigError(
            'codes.groups: "layer" needs a device that knows its layers, and this one only says how many parameters'
            ' it has; use "all"'
        )
    return tuple(Group(m.start, m.n_out * (m.n_in + 1), (Matrix(0, m.n_out, m.n_in, m.first_line),)) for m in matrices)


class Codes:
    """θ̃ of any probe of a run.

    With L groups, probe k perturbs group k mod L, at the group's own step k div L, and nothing else. What is said of
    parameters here is true of nodes where those are perturbed (`CodeSpec.target`): `size` is their number, n, then.

    Raises:
        ConfigError: no such family, or one that cannot perturb such a network.
    """

    def __init__(self, spec: CodeSpec, topology: Topology) -> None:
        family = family_of(spec)
        for amplitude in (spec.amplitude, *spec.amplitudes):
            if not 1 <= amplitude <= MAX_AMPLITUDE:
                raise ConfigError(f"codes: an amplitude of {amplitude} code units is not within 1 ... {MAX_AMPLITUDE}")
        if spec.amplitudes and len(spec.amplitudes) != len(topology.layers):
            raise ConfigError(f"codes: {len(spec.amplitudes)} amplitudes for {len(topology.layers)} layers")
        if spec.target is Target.NODES:
            _check_nodes(family, topology)
        self.spec = spec
        self.topology = topology
        self.family = family
        self.size = _size(spec, topology)
        self.groups = groups_of(topology, spec.groups, spec.target)
        for group in self.groups:
            self.family.check(spec, group)
        self._chunk = max(1, min(1024, CHUNK_VALUES // self.size))

    def values(self, first_step: int, count: int) -> CodeArray:
        """(count, n) codes of consecutive probes, in code units. Read-only."""
        first_chunk = first_step // self._chunk
        last_chunk = (first_step + count - 1) // self._chunk
        chunks = [_chunk((self.spec, self.topology, self._chunk), c) for c in range(first_chunk, last_chunk + 1)]
        joined = chunks[0] if len(chunks) == 1 else np.concatenate(chunks)
        start = first_step - first_chunk * self._chunk
        return joined[start : start + count]

    def energy(self, first_step: int, count: int) -> NDArray[np.int64]:
        """(n,) sum of θ̃ᵢ² over consecutive probes, in squared code units."""
        if self.family.two_level:
            energy = np.empty(self.size, dtype=np.int64)
            for turn, group in enumerate(self.groups):
                times = len(
                    range(first_step + (turn - first_step) % len(self.groups), first_step + count, len(self.groups))
                )
                energy[group.start : group.start + group.size] = times
            return np.asarray(energy * np.square(self.amplitude), dtype=np.int64)
        return np.asarray(np.square(self.values(first_step, count), dtype=np.int64).sum(axis=0))

    def mean_square(self) -> NDArray[np.float64]:
        """(n,) long-run mean of θ̃ᵢ² over all probes, in squared code units."""
        mean = np.empty(self.size)
        for group in self.groups:
            own = mean[group.start : group.start + group.size]
            for part, spec in _parts(self.spec, self.topology, group):
                own[part] = self.family.mean_square(spec, group) / len(self.groups)
        return mean

    @property
    def amplitude(self) -> int | NDArray[np.int64]:
        """Largest |θ̃ᵢ| of each parameter, in code units: one for all of them, or (n,)."""
        if not self.spec.amplitudes:
            return self.spec.amplitude
        each = np.empty(self.size, dtype=np.int64)
        for layer, amplitude in zip(self.topology.layers, self.spec.amplitudes, strict=True):
            each[_own(layer, self.spec)] = amplitude
        return each

    def window(self) -> int:
        """Probes after which all codes are orthogonal to each other (1: only in the mean)."""
        return len(self.groups) * max(self.family.window(group) for group in self.groups)


def _own(layer: Layer, spec: CodeSpec) -> slice:
    """What of all that is perturbed belongs to a layer."""
    return layer.nodes if spec.target is Target.NODES else layer.parameters


def _size(spec: CodeSpec, topology: Topology) -> int:
    """How many parameters or nodes are perturbed."""
    return topology.n_nodes if spec.target is Target.NODES else topology.n_parameters


def _check_nodes(family: CodeFamily, topology: Topology) -> None:
    """Raise ConfigError where there are no nodes, or the family is one of weight matrices."""
    if not topology.layers:
        raise ConfigError(
            'codes.target: "nodes" needs a device that knows its layers, and this one only says how many parameters it'
            ' has; use "weights"'
        )
    if family.needs_layers:
        raise ConfigError(
            f"codes.family: {family.name} perturbs rows and columns of weight matrices, and nodes have none; use"
            ' random, walsh, sparse, sequential or sinusoidal, or codes.target = "weights"'
        )


def _parts(spec: CodeSpec, topology: Topology, group: Group) -> Iterator[tuple[slice, CodeSpec]]:
    """The stretches of a group that have one amplitude, counted from the group's first parameter, and their codes."""
    if not spec.amplitudes:
        yield slice(0, group.size), spec
        return
    for layer, amplitude in zip(topology.layers, spec.amplitudes, strict=True):
        own = _own(layer, spec)
        start, end = (edge - group.start for edge in (own.start, own.stop))
        if start >= 0 and end <= group.size:
            yield slice(start, end), replace(spec, amplitude=amplitude, amplitudes=())


def _chunk_of(stream: tuple[CodeSpec, Topology, int], number: int) -> CodeArray:
    """Codes of probes number * size ... on. A stream is a spec, a topology and the size of its chunks."""
    spec, topology, size = stream
    family = family_of(spec)
    groups = groups_of(topology, spec.groups, spec.target)
    steps = number * size + np.arange(size, dtype=np.int64)  # the last chunk may end beyond what 63 bits hold
    codes = np.zeros((size, _size(spec, topology)), dtype=np.int16)
    for turn, group in enumerate(groups):
        own = np.flatnonzero(steps % len(groups) == turn)
        for part, uniform in _parts(spec, topology, group):
            values = family.values(uniform, group, steps[own] // len(groups))
            codes[own, group.start + part.start : group.start + part.stop] = values[:, part]
    return codes


_chunk = ChunkCache(_chunk_of, MEMO_BYTES)
"""The host and a simulated device want the same ones; so do replicas, which take turns."""
