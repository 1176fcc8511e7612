"""What a training says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mgdhw.training.events import Event, Finished


def of(events: Sequence[Any], kind: type[Any]) -> list[Any]:
    """The events of one kind."""
    return [event for event in events if isinstance(event, kind)]


def end(events: Sequence[Event]) -> Finished:
    """The last event, which has to be the end."""
    assert isinstance(events[-1], Finished)
    return events[-1]
