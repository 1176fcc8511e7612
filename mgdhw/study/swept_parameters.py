"""What a robustness study varies: one non-ideality at a time, each by an option of a simulated chip's address."""

from __future__ import annotations

import math
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from mgdhw.errors import ConfigError

WEIGHT_RANGE = 4.0
"""Range of the parameters of the chips that are studied."""


@dataclass(frozen=True, slots=True)
class SweptParameter:
    """One non-ideality.

    Args:
        name: as in `--axis`.
        label: for figures, with unit.
        option: option of the address that takes the value.
        values: strengths; the first is the chip without it.
        others: further options, used unless the chip's address gives them.
    """

    name: str
    label: str
    option: str
    values: tuple[float, ...]
    others: str = ""

    def chosen(self, text: str) -> tuple[float, ...]:
        """Selected strengths, from "0.05,0.1", in order; the first of all, the reference, is always included.

        Raises:
            ConfigError: it names other strengths.
        """
        try:
            wanted = {float(word) for word in text.split(",")}
        except ValueError:
            wanted = {math.nan}
        if not wanted <= set(self.values):
            known = ",".join(f"{value:g}" for value in self.values)
            raise ConfigError(f"--axis {self.name}={text}: expected values from {known}, separated by commas")
        return tuple(value for value in self.values if value in wanted | {self.values[0]})

    def address(self, base: str, value: float, seed: int) -> str:
        """The base chip with the non-ideality at this strength (0: none); `seed` selects the individual chip."""
        others = {key: other for key, other in parse_qsl(self.others) if key not in options_of(base)}
        return with_options(base, {"seed": str(seed), self.option: f"{value:.12g}", **others})


def options_of(address: str) -> dict[str, str]:
    """The options of an address."""
    return dict(parse_qsl(address.partition("?")[2], keep_blank_values=True))


def with_options(address: str, options: dict[str, str]) -> str:
    """An address with some options added or replaced."""
    return f"{address.partition('?')[0]}?{urlencode({**options_of(address), **options}, safe='/:,')}"


SWEEPS = {
    axis.name: axis
    for axis in (
        SweptParameter("cost-noise", "cost noise, σ_C", "cost_noise", (0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)),
        SweptParameter("write-noise", "write noise, σ_θ", "write_noise", (0, 0.003, 0.01, 0.03, 0.1, 0.3, 1)),
        SweptParameter(
            "mismatch", "activation mismatch, σ_a", "neuron_std", (0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
        ),
        SweptParameter("weight-bits", "bits of a parameter", "weight_bits", (12, 10, 9, 8, 7, 6, 5, 4)),
        SweptParameter("adc-bits", "bits of the cost ADC", "cost_bits", (16, 12, 10, 9, 8, 7, 6, 5)),
        SweptParameter("stuck", "fraction of stuck cells", "stuck", (0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3)),
        SweptParameter(
            "asymmetry",
            "asymmetry of up and down pulses",
            "up_down",
            (0, 0.1, 0.2, 0.3, 0.45, 0.6, 0.8),
            others=f"w_max={WEIGHT_RANGE:g}&w_min={-WEIGHT_RANGE:g}",
        ),
        SweptParameter(
            "drift",
            "time constant of decay, probes (0: none)",
            "retention",
            (0, 3e6, 1e6, 3e5, 1e5, 3e4, 1e4, 3e3),
            others=f"drift_every=100&w_max={WEIGHT_RANGE:g}&w_min={-WEIGHT_RANGE:g}",
        ),
    )
}
"""The non-idealities studied. σ_C, σ_θ and σ_a are those of the 2023 paper."""
