"""What the tests of this room may ask for by name."""

import pytest

from tests.subscribe.pieces import make_small


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything comes in the smallest pieces, one a step."""
    make_small(monkeypatch)
