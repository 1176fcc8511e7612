"""What a progress display says."""

from __future__ import annotations

import pytest

from mgdhw.cli import training_metrics
from mgdhw.cli.formatting import format_duration, format_rate, sparkline
from mgdhw.cli.training_metrics import TrainingMetrics
from mgdhw.device.readings import GuardCounts
from mgdhw.training.events import BlockDone, Evaluated, Guarded


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (4.21, "4.2 s"), (9.96, "10 s"), (59.6, "1:00"), (187, "3:07"), (7500, "2:05:00")],
)
def test_duration(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("per_second", "text"),
    [(0.5, "0.5 probes/s"), (1234, "1,234 probes/s"), (62_345, "62.3k probes/s"), (2.5e6, "2.5M probes/s")],
)
def test_rate(per_second: float, text: str) -> None:
    assert format_rate(per_second) == text


def test_bars() -> None:
    assert sparkline([0.0, 0.5, 1.0], 0.0, 1.0) == "▁▅█"
    assert len(sparkline([0.1] * 1000, 0.0, 1.0)) <= 24
    assert sparkline([1.0, 1.0], 1.0, 1.0) == "▁▁"


def test_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(training_metrics.time, "monotonic", lambda: now)
    metrics = TrainingMetrics()
    metrics.probes = 10_000
    for step in range(100, 2001, 100):
        now += 0.2
        metrics(BlockDone(step, 100, 2 * step, 0.25))
    metrics(Evaluated(2000, 4000, "test", 0.875, 0.2))
    assert metrics.share == 0.2
    assert metrics.per_second == pytest.approx(500)
    assert metrics.time_left == "16 s left"
    assert metrics.fields() == ["training cost 0.2500", "test accuracy 87.5 %", "4,000 evaluations", "500 probes/s"]


def test_what_is_waited_for_is_no_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(training_metrics.time, "monotonic", lambda: now)
    metrics = TrainingMetrics()
    metrics.speed(0)
    assert metrics.speed.summary(0.0) == "0.0 s"
    metrics.speed.wait()
    now += 12
    metrics.speed.wait()  # another function is compiled, and it is still the same wait
    now += 8
    metrics(BlockDone(100, 100, 200, 0.25))
    assert metrics.speed.summary(20.0) == "20 s, 20 s of it waiting for the device"
    for step in range(200, 1101, 100):
        now += 0.2
        metrics(BlockDone(step, 100, 2 * step, 0.25))
    assert metrics.per_second == pytest.approx(500)
    assert metrics.speed.summary(22.0) == "22 s, 20 s of it waiting for the device, 500 probes/s"


def test_guarded_readings_are_displayed() -> None:
    metrics = TrainingMetrics()
    assert not any("readings" in field for field in metrics.fields())
    for counts in (GuardCounts(10), GuardCounts(2, clipped=5)):
        metrics(Guarded(7, counts))
    assert metrics.fields()[-1] == "12 readings measured again (overload), 5 outliers clipped"
