"""A network: a list of layers with their shapes, parameters and nodes resolved."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from mgdhw import topology
from mgdhw.errors import ConfigError
from mgdhw.parsing import did_you_mean
from mgdhw_sim.ideal.layers import Conv2d, Dense, Layer, Shape
from mgdhw_sim.reference.tables import ACTIVATIONS

MAX_PARAMETERS = 1 << 27
MAX_SIGNALS = 1 << 24
"""Of one layer and sample."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A layer at its place in a network.

    Args:
        number: of the layer, from 1: what errors call it.
        layer: what it is.
        shape_in, shape_out: of its signals.
        parameters: where its parameters lie in θ; None if it has none.
        activation: of its outputs; "identity" if it has no parameters.
    """

    number: int
    layer: Layer
    shape_in: Shape
    shape_out: Shape
    parameters: topology.Layer | None
    activation: str


@dataclass(frozen=True)
class Network:
    """Layers one after another.

    Args:
        shape: of the inputs.
        layers: first layer first.
        activation: of all layers with parameters but the last, where a layer does not name its own.
        last: of the last one with parameters.

    Raises:
        ConfigError: a layer cannot take what the one before gives, there is no activation of a name, no layer has
            parameters, or there are too many.
    """

    shape: Shape
    layers: tuple[Layer, ...]
    activation: str = "tanh"
    last: str = "identity"

    def __post_init__(self) -> None:
        self.stages  # noqa: B018  (resolved at once, so that errors come where the network is made)

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """Every layer at its place."""
        if min(self.shape) < 1:
            raise ConfigError(f"input={_dimensions(self.shape)}: expected sizes of 1 or more")
        weighted = [place for place, layer in enumerate(self.layers) if isinstance(layer, Dense | Conv2d)]
        if not weighted:
            raise ConfigError("layers: expected at least one with parameters: dense:N or convHxW:CHANNELS")
        stages: list[Stage] = []
        shape, parameter, node = self.shape, 0, 0
        for place, layer in enumerate(self.layers):
            before = f"layers: layer {place + 1}, {layer}, after {_dimensions(shape)} signals: "
            try:
                after = layer.shape_after(shape)
            except ValueError as error:
                raise ConfigError(before + str(error)) from None
            own = _parameters(layer, shape, after, parameter, node)
            activation = "identity"
            if isinstance(layer, Dense | Conv2d):
                activation = layer.activation or (self.last if place == weighted[-1] else self.activation)
            if activation not in ACTIVATIONS:
                hint = did_you_mean(activation, ACTIVATIONS)
                raise ConfigError(f"{before}no activation {activation!r}{hint} ({', '.join(ACTIVATIONS)})")
            stages.append(Stage(place + 1, layer, shape, after, own, activation))
            if own is not None:
                parameter, node = own.parameters.stop, own.nodes.stop
            if parameter > MAX_PARAMETERS or max(_size(shape), _size(after)) > MAX_SIGNALS:
                raise ConfigError(
                    f"{before}{parameter:,} parameters and {_dimensions(after)} signals are too many; expected at most"
                    f" {MAX_PARAMETERS:,} and {MAX_SIGNALS:,}"
                )
            shape = after
        return tuple(stages)

    @cached_property
    def topology(self) -> topology.Topology:
        """The layers that have parameters."""
        own = tuple(stage.parameters for stage in self.stages if stage.parameters is not None)
        return topology.Topology(own[-1].parameters.stop, own)

    @property
    def n_inputs(self) -> int:
        """Numbers in an input."""
        return _size(self.shape)

    @property
    def n_outputs(self) -> int:
        """Numbers in an output."""
        return _size(self.stages[-1].shape_out)

    @property
    def most_signals(self) -> int:
        """Of one sample, in the widest layer."""
        return max(map(_size, (self.shape, *(stage.shape_out for stage in self.stages))))

    def __str__(self) -> str:
        return ",".join(map(str, self.layers))


def _parameters(layer: Layer, before: Shape, after: Shape, parameter: int, node: int) -> topology.Layer | None:
    """Where a layer's parameters lie."""
    match layer:
        case Dense(n_out=n_out):
            return topology.Layer(_size(before), n_out, parameter, node)
        case Conv2d(kernel=(height, width), channels=channels):
            kernel = height * width
            positions = after[0] * after[1]
            return topology.Layer(kernel * before[2], channels, parameter, node, positions, kernel)
        case _:
            return None


def _size(shape: Shape) -> int:
    return shape[0] * shape[1] * shape[2]


def _dimensions(shape: Shape) -> str:
    return "x".join(map(str, shape))
