"""A dataset's inputs on a device: what its converters clip or hardly use, and scaling that makes them fit."""

from __future__ import annotations

import math
from typing import Any

from mgdhw.datasets import Dataset, clipped_share, input_extremes, scaled
from mgdhw.device.info import DeviceInfo
from mgdhw.errors import ConfigError, ConformanceError
from mgdhw.experiment.schema import DataSection

SLACK = 2.0**-16
"""Of the range: what lies beyond it by less is rounding, and nothing to any converter."""
LEAST_USE = 0.25
"""Inputs that use less of the range lose two bits of the converter, and most of the signal."""


def input_notes(info: DeviceInfo, dataset: Dataset) -> tuple[str, ...]:
    """What the user should know about a dataset's inputs on a device; nothing where they fit, or nobody knows."""
    target = _range_of(info)
    misfit = None if target is None else _misfit(dataset, *target, "are clipped")
    return () if misfit is None else (f'{misfit}; data.scale = "auto" makes them fit',)


def fitted(data: DataSection, dataset: Dataset, info: DeviceInfo) -> tuple[DataSection, Dataset, tuple[str, ...]]:
    """A dataset scaled as an experiment says, for a device.

    Args:
        data: what the experiment says; without `scale` inputs stay as they are.
        dataset: as it was loaded.
        info: of the device, whose range is scaled to where the experiment names none.

    Returns:
        The section that has what was decided in it, so that the same is made of the data anywhere; the dataset; and
        what the user should know.

    Raises:
        ConfigError: nobody says which range to scale to.
    """
    wanted, method = data.scale, data.scale or "none"
    target = None if data.scale_to is None else (data.scale_to[0], data.scale_to[1])
    target = target or _range_of(info)
    notes: tuple[str, ...] = ()
    misfit = None
    if wanted == "auto":
        misfit = None if target is None else _misfit(dataset, *target, "would be clipped")
        method = "none" if misfit is None else "minmax"
    elif target is None and method != "none":
        raise ConfigError(
            f'data.scale = "{method}": {info.model} does not say which inputs its converters take; name the range:'
            " data.scale_to = [LOW, HIGH]"
        )
    decided: dict[str, Any] = {"scale": method, "scale_to": None}
    if method != "none":
        assert target is not None, "it is refused above"
        dataset = scaled(dataset, method, *target)
        decided["scale_to"] = list(target)
    if misfit is not None:
        notes = (f'{misfit}; they are scaled (data.scale = "minmax"), each by the extremes of its training samples',)
    return data.model_copy(update=decided), dataset, notes


def _range_of(info: DeviceInfo) -> tuple[float, float] | None:
    """What a device's converters take; None where it does not say, or they take anything. Raises ConformanceError."""
    if info.input_range is None:
        return None
    low, high = info.input_range
    if not low < high:
        raise ConformanceError(
            f"{info.model}: DeviceInfo.input_range is ({low:g}, {high:g}); expected (low, high), the ends of a range"
        )
    return (low, high) if math.isfinite(low) and math.isfinite(high) else None


def _misfit(dataset: Dataset, low: float, high: float, clipped: str) -> str | None:
    """How inputs do not fit converters of a range; None if they do."""
    least, greatest = input_extremes(dataset)
    slack = SLACK * (high - low)
    share, use = clipped_share(dataset, low - slack, high + slack), (greatest - least) / (high - low)
    if share:
        what = f"{_percent(share)} of the inputs {clipped}"
    elif 0 < use < LEAST_USE:
        what = f"the inputs use {_percent(use)} of their range"
    else:
        return None
    return f"{what}: they reach from {least:.4g} to {greatest:.4g}, the device's converters from {low:g} to {high:g}"


def _percent(share: float) -> str:
    """Two digits of a share, so that little is not nothing, nor almost all everything."""
    return f"{100 * share:.2g} %" if share < 0.995 else f"{100 * share:.4g} %"
