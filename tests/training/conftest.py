"""A digest that takes in more than it does by default."""

import pytest

from mgdhw.learning import digest


@pytest.fixture
def many_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The digest takes in the trajectory every few updates, not only its end."""
    monkeypatch.setattr(digest, "CHECKPOINT_UPDATES", 4)
