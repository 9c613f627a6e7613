"""The audit trail's options: what cannot be is refused with its name."""

import os
from pathlib import Path
from typing import Any

import pytest

from store.audit.options import AuditOptions
from store.env.lmdb import LmdbLedger
from store.errors import ConfigError


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("domain", "Example.COM"),
        ("domain", ""),
        ("retention_days", 0),
        ("retention_days", 40_000),
        ("batch_events_max", 0),
        ("batch_size_max", 1 << 40),
        ("batch_age_max_s", 0.0),
        ("ledger_size_max", 10),
        ("full", "shrug"),
        ("heartbeat_s", 0.1),
        ("witnesses_min", 1),
    ],
)
def test_a_value_that_cannot_be_is_refused(field: str, value: Any) -> None:
    """The error says the option's name and what it may be."""
    with pytest.raises(ConfigError, match=field):
        AuditOptions(**{field: value})


def test_a_ledger_has_room_for_what_it_is_given(tmp_path: Path) -> None:
    """One that has none for a single batch would be full while it is empty, and calls refused for ever."""
    with pytest.raises(ConfigError, match="at least 4 times batch_size_max"):
        AuditOptions(ledger_size_max=40 << 20)
    options = AuditOptions(ledger_size_max=40 << 20, batch_size_max=10 << 20)
    ledger = LmdbLedger(tmp_path / "ledger", size_max=options.ledger_size_max)
    for number in range(8):  # Shipped one by one, as large as nothing that compresses is.
        batch = os.urandom(options.batch_size_max)
        ledger.commit({b"batch/%d" % number: batch, b"batch/%d" % (number - 1): None})
    ledger.close()


def test_the_defaults_can_be() -> None:
    """A store is audited without a word of configuration."""
    options = AuditOptions()
    assert options.on
    assert options.full == "refuse"
    assert AuditOptions(heartbeat_s=0.0).heartbeat_s == 0
