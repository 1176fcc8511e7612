"""Figures without a display. matplotlib (extra `plot`) is imported here, and only when a figure is drawn."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mgdhw.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


MISSING = "figures need matplotlib; install it with: pip install 'mgdhw[plot]'"


def available() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def require() -> None:
    """Check before long work that its figure can be drawn. Raises ConfigError."""
    if not available():
        raise ConfigError(MISSING)
    figure((1.0, 1.0))


def figure(size: tuple[float, float]) -> Figure:
    """An empty figure, width and height in inches. Raises ConfigError if matplotlib is not installed or fails here."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigError(MISSING) from None
    except (OSError, RuntimeError, ValueError) as error:  # it needs a configuration folder and reads the environment
        raise ConfigError(
            f"matplotlib cannot be used here: {error}; check MPLBACKEND, MPLCONFIGDIR and matplotlibrc"
        ) from None
    drawn = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(drawn)
    return drawn


def save(drawn: Figure, file: Path, dpi: int) -> None:
    """Write a figure to a file; the format follows the extension (.png, .svg, .pdf), PNG without one.

    Raises:
        ConfigError: it cannot be written, or the extension is not a figure format.
    """
    try:
        drawn.savefig(file, dpi=dpi, format=file.suffix[1:] or "png")
    except OSError as error:
        raise ConfigError(f"{file}: cannot write the figure: {error.strerror or error}") from None
    except ValueError as error:
        raise ConfigError(f"{file}: cannot write the figure: {error}") from None


def label_lines(axes: Axes, labels: Sequence[tuple[float, str, str]], size: float = 8.0) -> None:
    """Label curves directly, to the right of the axes, in their own colors; labels keep a distance from each other.

    Call it when the limits of the axes are final.

    Args:
        axes: the axes.
        labels: for each curve the value at its right end, the text, and the color.
        size: font size in points.
    """
    height = axes.bbox.height / axes.figure.dpi * 72.0
    line = 1.25 * size / height  # of text, in fractions of the height of the axes
    transform = axes.transData + axes.transAxes.inverted()
    right = axes.get_xlim()[1]
    ends = sorted(
        (min(1.0, max(0.0, float(transform.transform((right, value))[1]))), text, color)
        for value, text, color in labels
        if math.isfinite(value)
    )
    halves = [line * (1 + text.count("\n")) / 2 for _, text, _ in ends]
    places = [end for end, _, _ in ends]
    for k in range(1, len(places)):
        places[k] = max(places[k], places[k - 1] + halves[k - 1] + halves[k])
    for k in reversed(range(len(places))):  # what would lie above the axes is pushed down
        above = 1.0 if k + 1 == len(places) else places[k + 1] - halves[k + 1] - halves[k]
        places[k] = min(places[k], above)
    for place, (_, text, color) in zip(places, ends, strict=True):
        axes.annotate(
            text, (1.02, place), xycoords="axes fraction", color=color, fontsize=size, va="center",
            annotation_clip=False,
        )  # fmt: skip
