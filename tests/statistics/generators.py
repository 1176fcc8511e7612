"""The generator of noise, compiled, and three broken ones that the battery must reject."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mgdhw.compiled.kernels.gaussian_noise import RAW, fill_row
from mgdhw.random.gaussian import UNIT, fields

from .battery import Address

LIST_ENTRIES = 32_768


def ours(address: Address, draws: int) -> NDArray[np.int16]:
    """`mgdhw.random.gaussian`, by its compiled kernel."""
    out = np.empty(draws, dtype=np.int16)
    fill_row(
        address.seed & 0xFFFFFFFF, address.seed >> 32, int(address.stream), address.step, address.layer, address.part,
        0, draws // 8, RAW, False, np.empty(128, dtype=np.int16), out,
    )  # fmt: skip
    return out


_LIST = np.rint(np.random.default_rng(1).standard_normal(LIST_ENTRIES) * UNIT).astype(np.int16)


def from_a_list(address: Address, draws: int) -> NDArray[np.int16]:
    """Gaussian draws from a list of 32,768, at places that a good hash chooses: aihwkit's way."""
    chosen = fields(address.seed, address.stream, [address.step], draws, layer=address.layer, substream=address.part)[0]
    return _LIST[chosen & (LIST_ENTRIES - 1)]


def key_of_all_layers(address: Address, draws: int) -> NDArray[np.int16]:
    """One key for all layers: recurrent-mgd's mistake."""
    return ours(replace(address, layer=0), draws)


def one_scalar(address: Address, draws: int) -> NDArray[np.int16]:
    """One draw for all parameters."""
    return np.repeat(ours(address, 8)[:1], draws)
