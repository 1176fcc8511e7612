"""The layers that a network is a list of: what each is, and what it makes of a shape.

A shape is (height, width, channels). Signals lie channel by channel at each position, row by row; a dense layer takes
them in that order. The weight matrix of a convolution has a row for each output channel; along a row run the kernel's
rows, its columns, and the input channels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

Shape = tuple[int, int, int]
"""Height, width, channels."""
Padding = Literal["same", "valid"]


class Layer(ABC):
    """A layer, apart from any network: `str` gives the word for it in an address."""

    @abstractmethod
    def shape_after(self, shape: Shape) -> Shape:
        """Shape of the outputs for inputs of a shape. Raises ValueError, with a remedy, if it cannot take these."""


@dataclass(frozen=True, slots=True)
class Dense(Layer):
    """Every output from every input.

    Args:
        n_out: outputs.
        activation: if it is another than the network's.
    """

    n_out: int
    activation: str = ""

    def shape_after(self, shape: Shape) -> Shape:
        return 1, 1, self.n_out

    def __str__(self) -> str:
        return ":".join(filter(None, ("dense", str(self.n_out), self.activation)))


@dataclass(frozen=True, slots=True)
class Conv2d(Layer):
    """The same weights at every position.

    Args:
        kernel: its height and width.
        channels: of the outputs.
        padding: "same" has ⌈size / stride⌉ outputs and pads with zeros, the odd one at the end; "valid" pads nothing.
        stride: positions from one output to the next, in both directions.
        activation: if it is another than the network's.
    """

    kernel: tuple[int, int]
    channels: int
    padding: Padding = "same"
    stride: int = 1
    activation: str = ""

    def shape_after(self, shape: Shape) -> Shape:
        height, width = (self._outputs(shape[axis], self.kernel[axis]) for axis in (0, 1))
        if height < 1 or width < 1:
            raise ValueError(
                f"a kernel of {self.kernel[0]}x{self.kernel[1]} does not fit into {shape[0]}x{shape[1]} positions;"
                " expected a smaller kernel, less pooling before it, or padding 'same'"
            )
        return height, width, self.channels

    def padded(self, shape: Shape) -> tuple[tuple[int, int], tuple[int, int]]:
        """Zeros before and after the rows, and before and after the columns."""
        if self.padding == "valid":
            return (0, 0), (0, 0)
        sides = []
        for axis in (0, 1):
            total = max(0, (self._outputs(shape[axis], 0) - 1) * self.stride + self.kernel[axis] - shape[axis])
            sides.append((total // 2, total - total // 2))
        return sides[0], sides[1]

    def _outputs(self, size: int, kernel: int) -> int:
        return -(-size // self.stride) if self.padding == "same" else (size - kernel) // self.stride + 1

    def __str__(self) -> str:
        name = f"conv{self.kernel[0]}x{self.kernel[1]}"
        padding = "" if self.padding == "same" else self.padding
        stride = "" if self.stride == 1 else f"stride{self.stride}"
        return ":".join(filter(None, (name, str(self.channels), padding, stride, self.activation)))


@dataclass(frozen=True, slots=True)
class Pool(Layer):
    """The largest or the mean of a square of positions, channel by channel; what is left over at the ends is dropped.

    Args:
        kind: "max" or "avg".
        size: of the square.
        stride: positions from one square to the next.
    """

    kind: Literal["max", "avg"]
    size: int
    stride: int

    def shape_after(self, shape: Shape) -> Shape:
        height, width = ((size - self.size) // self.stride + 1 for size in shape[:2])
        if height < 1 or width < 1:
            raise ValueError(
                f"squares of {self.size}x{self.size} do not fit into {shape[0]}x{shape[1]} positions; expected smaller"
                " ones, or less pooling before it"
            )
        return height, width, shape[2]

    def __str__(self) -> str:
        return f"{self.kind}pool{self.size}" + ("" if self.stride == self.size else f":stride{self.stride}")


@dataclass(frozen=True, slots=True)
class Flatten(Layer):
    """All signals as channels of one position. A dense layer does it by itself."""

    def shape_after(self, shape: Shape) -> Shape:
        return 1, 1, shape[0] * shape[1] * shape[2]

    def __str__(self) -> str:
        return "flatten"
