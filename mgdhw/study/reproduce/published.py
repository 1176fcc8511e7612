"""Published values: some rows of the data behind the paper's figures, unchanged."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from importlib.resources import files
from statistics import median

FIGURES = ("fig3", "fig4")
TARGET_COSINE = 0.966
"""cos 15°."""
ACCURACIES = (0.2, 0.4, 0.6, 0.8)


@dataclass(frozen=True, slots=True)
class Published:
    """Mean over seeds of one quantity.

    Args:
        mean, deviation: over `seeds` seeds.
    """

    mean: float
    deviation: float
    seeds: int

    @property
    def error(self) -> float:
        """Standard error of the mean."""
        return self.deviation / math.sqrt(self.seeds)


Key = tuple[str, int, int, str]
"""Method, width d, iteration n, quantity."""


def table(name: str) -> list[dict[str, str]]:
    """The rows of one file of the package: "cosine", "curves", "fig3", "fig4"."""
    text = files("mgdhw.study.reproduce").joinpath("data", f"{name}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text)))


def means(figure: str) -> dict[Key, Published]:
    """Means after listed iterations, that belong to a figure."""
    name, quantities = {
        "fig3": ("cosine", {"cosine": "cosine"}),
        "fig4": (
            "curves",
            {"cost_train": "cost_train", "cost_test": "cost_test", "accuracy": "accuracy_test"},
        ),
    }[figure]
    return {
        (row["method"], int(row["d"]), int(row["iteration"]), ours): Published(
            float(row[f"{theirs}_mean"]), float(row[f"{theirs}_sd"]), int(row["seeds"])
        )
        for row in table(name)
        for ours, theirs in quantities.items()
    }


def times(figure: str) -> dict[tuple[str, int, float], float]:
    """Median iterations to a target, by method, d and target; infinite where less than half of the seeds reached it."""
    targets = {TARGET_COSINE: "iterations_to_cos_0.966"}
    if figure == "fig4":
        targets = {share: f"iterations_to_{round(100 * share)}_test" for share in ACCURACIES}
    found: dict[tuple[str, int, float], list[float]] = {}
    for row in table(figure):
        if row["classes"] != "10":
            continue
        for target, column in targets.items():
            value = row[column]
            found.setdefault((row["method"], int(row["d"]), target), []).append(float(value) if value else math.inf)
    return {key: median(values) for key, values in found.items()}
