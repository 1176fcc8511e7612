"""Pictures without a display. matplotlib (extra `plot`) is imported here, and only when one is drawn."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from mgdhw.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


MISSING = "pictures need matplotlib; install it with: pip install 'mgdhw[plot]'"


def available() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def require() -> None:
    """Say before long work that its picture could not be drawn. Raises ConfigError."""
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
    except (OSError, RuntimeError, ValueError) as error:  # it wants a folder of its own, and asks the environment
        raise ConfigError(
            f"matplotlib cannot be used here: {error}; look at MPLBACKEND, MPLCONFIGDIR and matplotlibrc"
        ) from None
    drawn = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(drawn)
    return drawn


def save(drawn: Figure, file: Path, dpi: int) -> None:
    """Write a figure to that very file; its kind follows the name's ending (.png, .svg, .pdf), PNG without one.

    Raises:
        ConfigError: it cannot be written, or the ending names no kind of picture.
    """
    try:
        drawn.savefig(file, dpi=dpi, format=file.suffix[1:] or "png")
    except OSError as error:
        raise ConfigError(f"{file}: the picture cannot be written: {error.strerror or error}") from None
    except ValueError as error:
        raise ConfigError(f"{file}: the picture cannot be written: {error}") from None
