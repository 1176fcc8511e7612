"""Networks by name: those of the two papers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mgdhw_sim.ideal.layers import Conv2d, Dense, Layer, Pool
from mgdhw_sim.ideal.network import Network
from mgdhw_sim.ideal.spec import IdealSpec

WIDEST = 512


@dataclass(frozen=True, slots=True)
class Preset:
    """A family of networks.

    Args:
        about: one line, for people.
        make: the network of a width; that of `width`, where the address does not say.
        width: its default; 0 if it comes in one width.
    """

    about: str
    make: Callable[[int], IdealSpec]
    width: int = 0


def study(d: int) -> IdealSpec:
    """The network of width d of Oripov et al., APL Machine Learning 3, 026107 (2025): 439 d² + 71 d + 10 parameters.

    Code units are 2⁻²³, since its amplitude, 0.01 / √N for a layer of N parameters, is small: 0.003 ... 10⁻⁵.
    """
    layers: list[Layer] = []
    for width in (d, 2 * d, 4 * d):
        layers += [Conv2d((3, 3), width), Conv2d((3, 3), width), Pool("max", 2, 2)]
    layers += [Dense(4 * d), Dense(4 * d), Dense(10)]
    network = Network((28, 28, 1), tuple(layers), "tanh", "identity")
    return IdealSpec(name="ideal-fashion", network=network, cost="xent", theta_lsb=2.0**-23)


def fashion_2023(_: int) -> IdealSpec:
    """The Fashion-MNIST network of McCaughan et al., APL Machine Learning 1, 026118 (2023): 14,378 parameters.

    Three convolutions of 16, 32 and 32 channels without padding, each pooled: the only sizes of the kind that give this
    number, and with 16, 32 and 64 the 26,154 of the paper's CIFAR-10 network. Its activation is assumed.
    """
    layers: list[Layer] = []
    for channels in (16, 32, 32):
        layers += [Conv2d((3, 3), channels, "valid"), Pool("max", 2, 2)]
    network = Network((28, 28, 1), (*layers, Dense(10)), "relu", "identity")
    return IdealSpec(name="ideal-fashion-2023", network=network, cost="xent", theta_lsb=2.0**-20)


PRESETS: dict[str, Preset] = {
    "ideal-fashion": Preset("ideal network of the 2025 paper's study, width d, for Fashion-MNIST", study, 4),
    "ideal-fashion-2023": Preset("ideal network of the 2023 paper, 14,378 parameters, for Fashion-MNIST", fashion_2023),
}
"""By name."""


def presets() -> dict[str, str]:
    """Address of each, and what it is."""
    return {f"sim:{name}": f"{preset.about}; floating point" for name, preset in PRESETS.items()}
