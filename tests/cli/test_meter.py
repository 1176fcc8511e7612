"""What a progress display says."""

from __future__ import annotations

import pytest

from mgdhw.cli import meter as meters
from mgdhw.cli.meter import TrainingMetrics
from mgdhw.cli.numbers import bars, duration, rate
from mgdhw.training.events import BlockDone, Evaluated


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (4.21, "4.2 s"), (9.96, "10 s"), (59.6, "1:00"), (187, "3:07"), (7500, "2:05:00")],
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("per_second", "text"),
    [(0.5, "0.5 probes/s"), (1234, "1,234 probes/s"), (62_345, "62.3k probes/s"), (2.5e6, "2.5M probes/s")],
)
def test_rate(per_second: float, text: str) -> None:
    assert rate(per_second) == text


def test_bars() -> None:
    assert bars([0.0, 0.5, 1.0], 0.0, 1.0) == "▁▅█"
    assert len(bars([0.1] * 1000, 0.0, 1.0)) <= 24
    assert bars([1.0, 1.0], 1.0, 1.0) == "▁▁"


def test_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(meters.time, "monotonic", lambda: now)
    meter = TrainingMetrics()
    meter.probes = 10_000
    for step in range(100, 2001, 100):
        now += 0.2
        meter(BlockDone(step, 100, 2 * step, 0.25))
    meter(Evaluated(2000, 4000, "test", 0.875, 0.2))
    assert meter.share == 0.2
    assert meter.per_second == pytest.approx(500)
    assert meter.left == "16 s left"
    assert meter.fields() == ["cost 0.2500", "test accuracy 87.5 %", "4,000 evaluations", "500 probes/s"]


def test_what_is_waited_for_is_no_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(meters.time, "monotonic", lambda: now)
    meter = TrainingMetrics()
    meter.speed(0)
    assert meter.speed.told(0.0) == "0.0 s"
    meter.speed.wait()
    now += 12
    meter.speed.wait()  # another function is compiled, and it is still the same wait
    now += 8
    meter(BlockDone(100, 100, 200, 0.25))
    assert meter.speed.told(20.0) == "20 s, 20 s of it until the device was ready"
    for step in range(200, 1101, 100):
        now += 0.2
        meter(BlockDone(step, 100, 2 * step, 0.25))
    assert meter.per_second == pytest.approx(500)
    assert meter.speed.told(22.0) == "22 s, 20 s of it until the device was ready, 500 probes/s"
